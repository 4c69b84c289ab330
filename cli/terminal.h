/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console on our standard input and output. Output goes out as it comes, a few KiB
 * ahead of whoever reads it at most: for a reader that stalls the first node keeps as much as
 * CONSOLE_OUTPUT_MAX (vmm/platform.h) and drops the rest. The guest's UART never waits. Input is
 * taken from a pipe, or from a terminal in raw mode whose foreground job we are; else nothing is
 * touched. On a terminal Ctrl-A and a key are for us, Ctrl-A Ctrl-A is a Ctrl-A.
 *
 * INVARIANT. The terminal is restored however the run ends by itself or by the signals that end it
 * (signals.h). Others, SIGKILL and SIGQUIT among them, leave it raw: the shell's `reset` helps.
 */
#ifndef SSIHV_CLI_TERMINAL_H
#define SSIHV_CLI_TERMINAL_H

#include <termios.h>

#include "base/base.h"

struct terminal {
	char pending[4096]; /* from the guest, not yet written */
	size_t pending_len;
	int out, restore_out; /* output.h */
	bool stdout_gone;
	bool stdin_open, raw, escape;
	struct termios before;
};

void terminal_open(struct terminal *t);
void terminal_close(struct terminal *t);

/**
 * terminal_print() - take what the guest printed, when nothing is pending
 * @len: at most sizeof(t->pending)
 */
void terminal_print(struct terminal *t, const char *data, size_t len);

/** terminal_write() - after POLLOUT on @t->out: write what is pending as far as it goes. */
void terminal_write(struct terminal *t);

/**
 * terminal_read() - after POLLIN: take what was typed
 * @keys: what is for the guest; @max bytes at most
 * @key:  called for each key that followed a Ctrl-A
 *
 * Return: the number of @keys.
 */
size_t terminal_read(struct terminal *t, char *keys, size_t max, void (*key)(void *ctx, char c),
		     void *ctx);

#endif
