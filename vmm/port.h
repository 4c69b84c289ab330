/* SPDX-License-Identifier: Apache-2.0 */
/* Where a node (vmm/node.h) touches the world around it. */
#ifndef SSIHV_VMM_PORT_H
#define SSIHV_VMM_PORT_H

#include <jansson.h>

#include "base/base.h"

/* The world around a node; stays the caller's. */
struct node_port {
	int commands; /* read: JSON lines, see vmm/commands.h; their end stops the node; or -1 */
	int console; /* written: what the guest prints. Non-blocking, or a file; -1: nobody reads */
	/* Something happened (vmm/events.h). Any thread, several at a time. May be NULL. */
	void (*event)(void *ctx, const json_t *event);
	void *ctx;
};

/** Called with the answer to a command, which is borrowed, by the main thread. */
typedef void (*node_reply_fn)(void *ctx, const json_t *reply);

#endif
