/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes gathered to lines. Whoever writes them decides their length: it is bounded. */
#ifndef SSIHV_CLUSTER_LINES_H
#define SSIHV_CLUSTER_LINES_H

#include "base/base.h"

/* Start with {.max = ...}. */
struct lines {
	char *buf;
	size_t len, size, max;
};
typedef void (*line_fn)(void *ctx, char *line, size_t len);

/** lines_add() - gather @data, call @fn for each full line; one above the bound comes in parts. */
void lines_add(struct lines *l, const char *data, size_t len, line_fn fn, void *ctx);

/** lines_end() - call @fn for what has no newline yet; frees the buffer. */
void lines_end(struct lines *l, line_fn fn, void *ctx);

#endif
