/* SPDX-License-Identifier: Apache-2.0 */
/* `ssihv trace timeline`: a run as a picture. */
#ifndef SSIHV_CLI_TRACE_TIMELINE_H
#define SSIHV_CLI_TRACE_TIMELINE_H

#include <stdio.h>

#include "cli/trace_what.h"
#include "trace/timeline.h"

/**
 * trace_timeline_svg() - write it to @out
 * @what: what the pages are
 *
 * Whether it could be written, ferror(3) tells.
 */
void trace_timeline_svg(FILE *out, const struct trace_set *set, const struct timeline *t,
			const struct trace_what *what);

#endif
