/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hottest pages of a run are, by the surveys that its nodes left beside their traces
 * (vmm/surveyor.h), and by the kernel's symbols: those that the user has a System.map of, else
 * those that node 0 found in the guest.
 *
 * Where nothing was surveyed, nothing is said of any page.
 */
#ifndef SSIHV_CLI_TRACE_WHAT_H
#define SSIHV_CLI_TRACE_WHAT_H

#include "survey/what.h"
#include "trace/top.h"

struct trace_what {
	struct survey_what *page; /* by address */
	size_t pages;
	struct symbols symbols;
	struct survey_names names;
	unsigned surveys; /* that were read */
	bool cut;	  /* one of them is not all of it */
	bool unfit;	  /* the symbols are another kernel's */
};

/**
 * trace_what_read() - what the first @pages of @top are
 * @dir: of the traces; surveys of other runs in it are left out
 * @map: path of a System.map, or NULL
 *
 * Return: 0, then trace_what_free(); negative errno with @err for a file that is wrong.
 */
int trace_what_read(const char *dir, const char *map, const struct trace_set *set,
		    const struct trace_top *top, size_t pages, struct trace_what *ret,
		    struct err *err);

/** trace_what_text() - of the page at @gpa, in @buf; NULL where nothing was surveyed. */
const char *trace_what_text(const struct trace_what *w, uint64_t gpa, char *buf, size_t len);

void trace_what_free(struct trace_what *w);

#endif
