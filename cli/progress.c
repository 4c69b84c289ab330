/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <poll.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "cli/output.h"

#define CLOSE_NS (2 * NSEC_PER_SEC)
#define LOST_MAX 80 /* bytes of the line that tells it */

static double elapsed(const struct progress *p)
{
	return (double)(clock_now_ns() - p->started_ns) / 1e9;
}

/* ---- what is kept ---- */

bool progress_waits(const struct progress *p)
{
	return p->kept_len > 0;
}

static void tell_lost(struct progress *p)
{
	if (!p->lost || p->kept_len + LOST_MAX > sizeof(p->kept))
		return;
	p->kept_len +=
		(size_t)snprintf(p->kept + p->kept_len, LOST_MAX,
				 "ssihv: %u lines are missing here, nobody read them\n", p->lost);
	p->lost = 0;
}

void progress_flush(struct progress *p)
{
	ssize_t n = 0;

	while (p->kept_len && (n = write(p->fd, p->kept, p->kept_len)) > 0) {
		p->kept_len -= (size_t)n;
		memmove(p->kept, p->kept + n, p->kept_len);
		tell_lost(p);
	}
	/* Nobody is left to tell when standard error is gone. */
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		p->kept_len = 0;
}

/* fopencookie()'s write: all of it or nothing, and always well. */
static ssize_t keep(void *cookie, const char *data, size_t len)
{
	struct progress *p = cookie;

	/* Once a line is lost those behind it are too, until that was told. */
	if (p->lost || len > sizeof(p->kept) - p->kept_len) {
		for (size_t i = 0; i < len; i++)
			p->lost += data[i] == '\n';
		return (ssize_t)len;
	}
	memcpy(p->kept + p->kept_len, data, len);
	p->kept_len += len;
	progress_flush(p);
	return (ssize_t)len;
}

void progress_open(struct progress *p, bool quiet, bool verbose)
{
	static const cookie_io_functions_t functions = {.write = keep};

	*p = (struct progress){
		.quiet = quiet,
		.verbose = verbose,
		.tty = isatty(2),
		.shared = isatty(2) && isatty(1),
		.started_ns = clock_now_ns(),
	};
	p->fd = output_open(STDERR_FILENO, &p->restore);
	p->file = fopencookie(p, "w", functions) ?: stderr;
}

void progress_close(struct progress *p)
{
	uint64_t end = clock_now_ns() + CLOSE_NS, now;

	fflush(p->file);
	while (progress_waits(p) && (now = clock_now_ns()) < end) {
		struct pollfd fd = {.fd = p->fd, .events = POLLOUT};

		poll(&fd, 1, (int)((end - now) / NSEC_PER_MSEC) + 1);
		progress_flush(p);
	}
	if (p->file != stderr)
		fclose(p->file);
	output_close(STDERR_FILENO, p->fd, p->restore);
}

/* ---- what is said ---- */

void progress_clear(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", p->file);
	else if (p->mid_line)
		fputc('\n', p->file);
	p->drawn = p->mid_line = false;
	fflush(p->file);
}

static _printf_(2, 0) void say(struct progress *p, const char *fmt, va_list args)
{
	progress_clear(p);
	fprintf(p->file, "[%6.1f] ", elapsed(p));
	vfprintf(p->file, fmt, args);
	fputc('\n', p->file);
	fflush(p->file);
}

void progress_step(struct progress *p, const char *fmt, ...)
{
	va_list args;

	if (!p->verbose)
		return;
	va_start(args, fmt);
	say(p, fmt, args);
	va_end(args);
}

void progress_warn(struct progress *p, const char *fmt, ...)
{
	va_list args;

	if (p->quiet)
		return;
	va_start(args, fmt);
	say(p, fmt, args);
	va_end(args);
}

void progress_answer(struct progress *p, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	progress_clear(p);
	vfprintf(p->file, fmt, args);
	fputc('\n', p->file);
	fflush(p->file);
	va_end(args);
}

bool progress_wanted(const struct progress *p)
{
	return p->tty && !p->quiet && !(p->shared && p->console_seen);
}

void progress_draw(struct progress *p, const char *text)
{
	char line[sizeof(p->line)];
	struct winsize size;

	if (!progress_wanted(p))
		return;
	snprintf(line, sizeof(line), "[%6.1f]  %s", elapsed(p), text);
	if (ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && size.ws_col <= sizeof(line))
		line[size.ws_col - 1] = '\0';
	if (p->drawn && strcmp(line, p->line) == 0)
		return;
	fprintf(p->file, "\r\033[K%s", line);
	fflush(p->file);
	strcpy(p->line, line);
	p->drawn = true;
}

void progress_console(struct progress *p, const char *data, size_t len)
{
	if (!p->shared || !len)
		return;
	if (p->drawn)
		progress_clear(p);
	p->console_seen = true;
	p->mid_line = data[len - 1] != '\n';
}
