/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens, on standard error: on a terminal one status line that is redrawn, until the guest's
 * console takes the same terminal; with -v each step as a line. The reason of the end is a line as
 * soon as it is known, however long the nodes take to end.
 */
#include <stdarg.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "cli/run.h"

void progress_open(struct run *run)
{
	run->progress.quiet = run->opts->quiet;
	run->progress.verbose = run->opts->verbose;
	run->progress.tty = isatty(2);
	run->progress.shared = isatty(2) && isatty(1);
}

void progress_clear(struct run *run)
{
	if (run->progress.drawn)
		fputs("\r\033[K", stderr);
	run->progress.drawn = false;
}

static _printf_(2, 0) void say(struct run *run, const char *fmt, va_list args)
{
	progress_clear(run);
	fprintf(stderr, "[%6.1f] ", (double)(clock_now_ns() - run->started_ns) / 1e9);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

void progress_say(struct run *run, const char *fmt, ...)
{
	va_list args;

	if (!run->progress.verbose)
		return;
	va_start(args, fmt);
	say(run, fmt, args);
	va_end(args);
}

void progress_warn(struct run *run, const char *fmt, ...)
{
	va_list args;

	if (run->progress.quiet)
		return;
	va_start(args, fmt);
	say(run, fmt, args);
	va_end(args);
}

void progress_doing(struct run *run, const char *text)
{
	snprintf(run->progress.doing, sizeof(run->progress.doing), "%s", text);
}

void progress_end(struct run *run)
{
	if (run->result == RUN_POWEROFF || strcmp(run->told, run->reason) == 0)
		return;
	progress_clear(run);
	fprintf(stderr, "ssihv: %s\n", run->reason);
	strcpy(run->told, run->reason);
}

void progress_draw(struct run *run)
{
	struct progress *p = &run->progress;
	char line[512];
	struct winsize size;
	int n;

	if (p->quiet || !p->tty || (p->shared && p->console_seen))
		return;
	n = snprintf(line, sizeof(line), "[%6.1f]",
		     (double)(clock_now_ns() - run->started_ns) / 1e9);
	if (p->doing[0])
		n += snprintf(line + n, sizeof(line) - (size_t)n, "  %s", p->doing);
	for (unsigned i = 0; !p->doing[0] && i < run->cfg->nodes_count && n < (int)sizeof(line);
	     i++)
		n += snprintf(line + n, sizeof(line) - (size_t)n, "  %s: %s",
			      run->nodes[i].cfg->name,
			      run->nodes[i].phase[0] ? run->nodes[i].phase : "starting");
	if (ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && size.ws_col <= sizeof(line))
		line[size.ws_col - 1] = '\0';
	fprintf(stderr, "\r\033[K%s", line);
	p->drawn = true;
}
