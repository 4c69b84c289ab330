/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <sys/stat.h>

#include "cli/output.h"

#define CTRL_A 1

static void raw_mode(struct terminal *t)
{
	struct termios raw;

	if (tcgetpgrp(0) != getpgrp() || tcgetattr(0, &t->before) < 0)
		return;
	raw = t->before;
	cfmakeraw(&raw);
	/* Our own lines go to the same terminal: "\n" still returns the carriage. */
	raw.c_oflag |= OPOST | ONLCR;
	if (tcsetattr(0, TCSANOW, &raw) < 0)
		return;
	t->raw = true;
	t->stdin_open = true;
}

void terminal_open(struct terminal *t)
{
	struct stat st;

	t->out = output_open(STDOUT_FILENO, &t->restore_out);
	t->stdout_gone = t->out < 0;
	if (isatty(0))
		raw_mode(t);
	else if (fstat(0, &st) == 0 &&
		 (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || S_ISREG(st.st_mode)))
		t->stdin_open = true;
}

void terminal_close(struct terminal *t)
{
	if (t->raw)
		tcsetattr(0, TCSANOW, &t->before);
	t->raw = false;
	output_close(STDOUT_FILENO, t->out, t->restore_out);
}

void terminal_print(struct terminal *t, const char *data, size_t len)
{
	if (t->stdout_gone || len > sizeof(t->pending))
		return;
	memcpy(t->pending, data, len);
	t->pending_len = len;
}

void terminal_write(struct terminal *t)
{
	ssize_t n = write(t->out, t->pending, t->pending_len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		t->stdout_gone = true;
		t->pending_len = 0;
		return;
	}
	t->pending_len -= (size_t)n;
	memmove(t->pending, t->pending + n, t->pending_len);
}

size_t terminal_read(struct terminal *t, char *keys, size_t max, void (*key)(void *ctx, char c),
		     void *ctx)
{
	ssize_t n = read(0, keys, max);
	size_t len = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* The end of our input is not the end of the guest. */
	if (n <= 0)
		t->stdin_open = false;
	for (ssize_t i = 0; i < n; i++) {
		const char c = keys[i];
		const bool escaped = t->escape;

		t->escape = t->raw && !escaped && c == CTRL_A;
		if (escaped && c != CTRL_A)
			key(ctx, c);
		else if (!t->escape)
			keys[len++] = c;
	}
	return len;
}
