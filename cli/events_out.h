/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's events as lines of JSON on a stream that somebody may or may not read.
 *
 * GOAL. Whoever started a node by hand may have stopped reading: a pager that is at its first page,
 * a terminal that is held. A node that waits for them stops its vCPUs, and its peers with them.
 *
 * HOW. Lines are queued, and a thread of its own writes them and waits where that takes long. What
 * does not fit into the queue is dropped; how much that was is told by a warning in its place. A
 * node's report and its last word always find room, and at the end somebody has a little time to
 * take what is left.
 *
 * A queue and not a descriptor that does not block: lines longer than PIPE_BUF would come in part,
 * and the open file is shared with others.
 */
#ifndef SSIHV_CLI_EVENTS_OUT_H
#define SSIHV_CLI_EVENTS_OUT_H

#include <jansson.h>

#include "base/base.h"

#define EVENTS_OUT_QUEUE (256 * KIB) /* of lines that were not taken */

struct events_out;

/**
 * events_out_new() - write to @fd, which stays the caller's
 *
 * The thread inherits the signal mask.
 *
 * Return: 0; -ENOMEM, -EAGAIN.
 */
int events_out_new(int fd, struct events_out **ret);

/** events_out_put() - @event of @ctx, a struct events_out. Never waits. Any thread. */
void events_out_put(void *ctx, const json_t *event);

/**
 * events_out_free() - nobody calls events_out_put() any more
 * @patience_ms: how long to wait for what has not been taken; then it is dropped
 */
void events_out_free(struct events_out *out, unsigned patience_ms);

#endif
