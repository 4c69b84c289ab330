/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child process with three pipes. It is a process group of its own and is ended by that id, with
 * whatever it has started; the id is not used again until it is reaped.
 */
#ifndef SSIHV_CLUSTER_CHILD_H
#define SSIHV_CLUSTER_CHILD_H

#include <sys/types.h>

#include "base/err.h"

struct child {
	pid_t pid; /* 0: not started or reaped */
	int pidfd, in, out, err;
	int status; /* as of waitpid() */
};

#define CHILD_NONE                                                                                 \
	{                                                                                          \
		.pidfd = -1, .in = -1, .out = -1, .err = -1                                        \
	}

/**
 * child_start() - start @argv
 * @with_in: its stdin is a pipe, else it is empty
 *
 * The ends that we keep do not block.
 *
 * Return: 0; negative errno with @err. A program that is not there is started, says so on its
 * standard error and ends with status 127.
 */
int child_start(char *const *argv, bool with_in, struct child *ret, struct err *err);

/** child_signal() - to the whole group; nothing once it is reaped. */
void child_signal(const struct child *c, int number);

/** child_reap() - wait for its end and end what it has left behind; its status is in @c then. */
void child_reap(struct child *c);

/** child_close() - close what is open. The process is not touched. */
void child_close(struct child *c);

#endif
