/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node tells whoever started it, by its port; `ssihv node` writes it as a line to its
 * standard error.
 *
 *   {"t": 1.234, "node": "node0", "event": "phase", "text": "connecting"}
 *   {"t": 1.9, "node": "node0", "event": "log", "level": "warning", "text": "..."}
 *   {"t": 2.0, "node": "node0", "event": "ready"}
 *   {"t": 9.0, "node": "node0", "event": "stopped", "reason": "poweroff", "text": "...",
 *    "culprit": "node1"}
 *   {"t": 9.1, "node": "node0", "event": "report", "report": {...}}
 *   {"t": 3.1, "node": "node0", "event": "reply", "id": 8, "ok": true}     see vmm/commands.h
 *
 * t: seconds since the node started.
 */
#ifndef SSIHV_VMM_EVENTS_H
#define SSIHV_VMM_EVENTS_H

#include "vmm/port.h"

struct events {
	const char *node;
	const struct node_port *port;
	uint64_t start_ns;
};

void events_init(struct events *ev, const char *node, const struct node_port *port);
void events_phase(const struct events *ev, const char *fmt, ...) _printf_(2, 3);
void events_log(const struct events *ev, const char *level, const char *fmt, ...) _printf_(3, 4);

/** events_emit() - @event with the fields of @body, whose reference is taken; NULL for none. */
void events_emit(const struct events *ev, const char *event, json_t *body);

#endif
