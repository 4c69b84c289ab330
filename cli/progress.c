/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "base/clock.h"

static double elapsed(const struct progress *p)
{
	return (double)(clock_now_ns() - p->started_ns) / 1e9;
}

void progress_open(struct progress *p, bool quiet, bool verbose)
{
	*p = (struct progress){
		.quiet = quiet,
		.verbose = verbose,
		.tty = isatty(2),
		.shared = isatty(2) && isatty(1),
		.started_ns = clock_now_ns(),
	};
}

void progress_clear(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	else if (p->mid_line)
		fputc('\n', stderr);
	p->drawn = p->mid_line = false;
}

static _printf_(2, 0) void say(struct progress *p, const char *fmt, va_list args)
{
	progress_clear(p);
	fprintf(stderr, "[%6.1f] ", elapsed(p));
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
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
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
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
	fprintf(stderr, "\r\033[K%s", line);
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
