/* SPDX-License-Identifier: Apache-2.0 */
/* `ssihv trace top`: where the time of a run went, as a table or as JSON. */
#ifndef SSIHV_CLI_TRACE_TOP_H
#define SSIHV_CLI_TRACE_TOP_H

#include <jansson.h>

#include "cli/trace_what.h"

/**
 * trace_top_table() - nodes, and the first @pages pages, on standard output
 * @what: what they are
 */
void trace_top_table(const struct trace_set *set, const struct trace_top *top,
		     const struct trace_what *what, size_t pages);

/** trace_top_json() - the same. Return: NULL without memory. */
json_t *trace_top_json(const struct trace_set *set, const struct trace_top *top,
		       const struct trace_what *what, size_t pages);

#endif
