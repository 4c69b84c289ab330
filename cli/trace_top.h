/* SPDX-License-Identifier: Apache-2.0 */
/* `ssihv trace top`: where the time of a run went, as a table or as JSON. */
#ifndef SSIHV_CLI_TRACE_TOP_H
#define SSIHV_CLI_TRACE_TOP_H

#include <jansson.h>

#include "trace/top.h"

/** trace_top_table() - nodes, and the first @pages pages, on standard output. */
void trace_top_table(const struct trace_set *set, const struct trace_top *top, size_t pages);

/** trace_top_json() - the same. Return: NULL without memory. */
json_t *trace_top_json(const struct trace_set *set, const struct trace_top *top, size_t pages);

#endif
