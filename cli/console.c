/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console. Output goes to standard output as it comes, at most a few KiB ahead of
 * whoever reads it: a reader that stalls holds up the guest's console and nothing else. Its lines
 * are watched for the two marks of the proof from inside, PROOF-START and `PROOF {json}`; what the
 * guest prints is not trusted, only bounded and parsed.
 *
 * Input is taken only from a terminal in raw mode, or from a pipe. Ctrl-A x ends the run, Ctrl-A
 * Ctrl-A sends a Ctrl-A. On a terminal of which we are not the foreground job nothing is touched.
 */
#include <signal.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "cli/run.h"

#define PROOF_MAX (64 * KIB)
#define CTRL_A	  1

static void console_line(void *ctx, char *line, size_t len)
{
	struct run *run = ctx;
	struct console *con = &run->console;
	json_t *proof;

	if (strncmp(line, "PROOF-START", 11) == 0 && !con->proof_start_ns)
		con->proof_start_ns = clock_now_ns();
	if (strncmp(line, "PROOF {", 7))
		return;
	proof = json_loadb(line + 6, len - 6, 0, NULL);
	if (!proof)
		return;
	json_decref(con->proof);
	con->proof = proof;
}

static void raw_mode(struct console *con)
{
	struct termios t;

	if (!isatty(0) || tcgetpgrp(0) != getpgrp() || tcgetattr(0, &con->before) < 0)
		return;
	t = con->before;
	cfmakeraw(&t);
	/* Our own lines go to the same terminal: "\n" still returns the carriage. */
	t.c_oflag |= OPOST | ONLCR;
	if (tcsetattr(0, TCSANOW, &t) < 0)
		return;
	con->raw = true;
	con->stdin_open = true;
}

void console_open(struct run *run)
{
	struct console *con = &run->console;
	char path[sizeof(run->dir) + 16];
	struct stat st;

	con->lines.max = PROOF_MAX;
	snprintf(path, sizeof(path), "%s/console.log", run->dir);
	con->log = fopen(path, "we");
	if (isatty(0))
		raw_mode(con);
	else if (fstat(0, &st) == 0 &&
		 (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || S_ISREG(st.st_mode)))
		con->stdin_open = true;
}

void console_close(struct run *run)
{
	struct console *con = &run->console;

	lines_end(&con->lines, console_line, run);
	if (con->raw)
		tcsetattr(0, TCSANOW, &con->before);
	con->raw = false;
	if (con->log)
		fclose(con->log);
	con->log = NULL;
}

bool console_read(struct run *run, int fd)
{
	struct console *con = &run->console;
	ssize_t n = read(fd, con->pending, sizeof(con->pending));

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	if (con->log)
		fwrite(con->pending, 1, (size_t)n, con->log);
	lines_add(&con->lines, con->pending, (size_t)n, console_line, run);
	if (con->stdout_gone)
		return true;
	if (run->progress.shared && !run->progress.console_seen)
		progress_clear(run);
	run->progress.console_seen = true;
	con->pending_len = (size_t)n;
	return true;
}

void console_write(struct run *run)
{
	struct console *con = &run->console;
	/* After POLLOUT a pipe takes PIPE_BUF bytes without blocking. */
	ssize_t n = write(1, con->pending, con->pending_len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		con->stdout_gone = true;
		con->pending_len = 0;
		return;
	}
	con->pending_len -= (size_t)n;
	memmove(con->pending, con->pending + n, con->pending_len);
}

/*
 * One byte from the terminal. Ctrl-A x is the user's way out of raw mode.
 *
 * Return: is it for the guest?
 */
static bool take_key(struct run *run, char c)
{
	struct console *con = &run->console;
	const bool escaped = con->escape;

	con->escape = con->raw && !escaped && c == CTRL_A;
	if (escaped && c == 'x')
		run_end(run, RUN_INTERRUPTED, 0, "ended by Ctrl-A x");
	return !con->escape && (!escaped || c == CTRL_A);
}

/* {"input": "..."} for the first node: a character is a byte. See vmm/commands.h. */
static void put_input(struct console *con, const char *keys, size_t len)
{
	char *at = con->input + con->input_len;

	if (!len)
		return;
	at = stpcpy(at, "{\"input\":\"");
	for (size_t i = 0; i < len; i++)
		at += sprintf(at, "\\u%04x", (unsigned char)keys[i]);
	at = stpcpy(at, "\"}\n");
	con->input_len = (size_t)(at - con->input);
}

void console_input(struct run *run)
{
	struct console *con = &run->console;
	char data[CONSOLE_KEYS], keys[CONSOLE_KEYS];
	size_t len = 0;
	ssize_t n = read(0, data, sizeof(data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* The end of our input is not the end of the guest. */
	if (n <= 0)
		con->stdin_open = false;
	for (ssize_t i = 0; i < n; i++)
		if (take_key(run, data[i]))
			keys[len++] = data[i];
	put_input(con, keys, len);
	console_feed(run);
}

void console_feed(struct run *run)
{
	struct console *con = &run->console;
	const int fd = run->nodes[0].child.in;
	ssize_t n;

	if (fd < 0 || !con->input_len)
		return;
	n = write(fd, con->input, con->input_len);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		n = (ssize_t)con->input_len; /* the node is gone: nobody will read it */
	if (n <= 0)
		return;
	con->input_len -= (size_t)n;
	memmove(con->input, con->input + n, con->input_len);
}
