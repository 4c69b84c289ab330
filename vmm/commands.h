/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What whoever started a node may ask of it, until it is carried out (vmm/obey.h). A command is a
 * JSON object, given by node_command() or as a line of the port's stream:
 *
 *   {"input": "ls\r"}                    the user typed; a character is a byte, U+0000 to U+00FF
 *   {"command": "stats", "id": 7}        what the node has counted; as in its "report"
 *   {"command": "pause", "id": 8}        node 0: the whole guest stands still (vmm/phase.h)
 *   {"command": "resume", "id": 9}       node 0: it goes on
 *   {"command": "stop", "id": 10}        the VM ends
 *
 * Each but good input is answered, a pause when all nodes have paused: {"ok": true, ...} or
 * {"ok": false, "text": why}. To a line of the stream the answer is an event, with its id:
 *
 *   {"t": 3.1, "node": "node0", "event": "reply", "id": 8, "ok": true}
 *
 * LIMITS. A line has less than COMMAND_LINE_MAX bytes. While the guest does not read what was
 * typed, and there is much of it, the stream is not read either: its end is noticed nevertheless.
 *
 * Threads: commands_add() any, the rest the main thread.
 */
#ifndef SSIHV_VMM_COMMANDS_H
#define SSIHV_VMM_COMMANDS_H

#include <pthread.h>

#include "vmm/port.h"

#define COMMAND_LINE_MAX (64 * KIB)

/* A command that was not answered yet. */
struct command {
	struct command *next;
	json_t *what;
	json_t *id; /* of a line of the stream: its number, or NULL */
	node_reply_fn reply;
	void *ctx;
};

struct commands {
	pthread_mutex_t lock; /* of `first` and `ended` */
	struct command *first, **last;
	bool ended; /* the node has: answer at once */

	/* The stream: what has come of it and is no whole line. */
	int fd; /* -1: there is none, or it has ended */
	char *line;
	size_t len;
	bool skip; /* the rest of a line that is too long */
};

int commands_init(struct commands *c, int fd);
void commands_free(struct commands *c);

/** commands_add() - see node_command(); the caller wakes the main thread. */
int commands_add(struct commands *c, json_t *command, node_reply_fn reply, void *ctx);

/** commands_next() - take the oldest of those that wait; NULL for none. */
struct command *commands_next(struct commands *c);

/** commands_close() - answer what waits and what still comes: the node has ended. */
void commands_close(struct commands *c);

/** command_new() - one that is in no queue; @what: reference is taken. NULL without memory. */
struct command *command_new(json_t *what, json_t *id, node_reply_fn reply, void *ctx);

/** command_done() - answer with success and the fields of @body (taken, or NULL); frees @c. */
void command_done(struct command *c, json_t *body);

/** command_failed() - answer that it was not done, and why; frees @c. */
void command_failed(struct command *c, const char *fmt, ...) _printf_(2, 3);

#endif
