/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report of a run, merged from three sources: what the guest proved (its PROOF line), what each
 * node counted, and what we saw ourselves. The last wins: a guest cannot say that it ended well.
 */
#ifndef SSIHV_CLI_REPORT_H
#define SSIHV_CLI_REPORT_H

#include <stdio.h>

#include "cli/proof.h"
#include "cluster/cluster_run.h"

struct report_source {
	const struct cluster_config *cfg;
	const struct cluster_run *run;
	const struct proof *proof;
	const json_t *marks; /* marks.h; NULL: none */
	uint64_t started_ns;
};

/** report_make() - everything that is known of the run, as JSON. Return: NULL without memory. */
json_t *report_make(const struct report_source *from);

/** report_in_place() - is @path something that must not be replaced: a device, FIFO or link? */
bool report_in_place(const char *path);

/** report_save() - in one piece or not at all, but for what is written in place. */
int report_save(const json_t *report, const char *path, struct err *err);

/** report_table() - what most readers want of it. */
void report_table(const json_t *report, FILE *f);

#endif
