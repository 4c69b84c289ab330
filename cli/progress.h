/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens, on standard error: on a terminal one status line that is redrawn, until the guest's
 * console takes the same terminal; with -v each step as a line. The reason of the end is a line as
 * soon as it is known, however long the nodes take to end.
 *
 * Nothing here waits for whoever reads standard error: what that has not taken is kept, up to
 * PROGRESS_KEPT, and goes out when there is room (progress_flush()). What comes after that is lost,
 * and how many lines that were is told. At the end there are two seconds for the rest.
 */
#ifndef SSIHV_CLI_PROGRESS_H
#define SSIHV_CLI_PROGRESS_H

#include <stdio.h>

#include "base/base.h"

#define PROGRESS_KEPT (64 * KIB)

struct progress {
	bool quiet, verbose, tty, shared; /* shared: the guest's console is on the same terminal */
	bool drawn;
	bool console_seen, mid_line; /* on a shared terminal: where the guest's output stands */
	uint64_t started_ns;
	char line[512];	 /* as it was drawn last */
	FILE *file;	 /* whatever is written to it is kept below; for a table, or a few lines */
	int fd, restore; /* output.h */
	char kept[PROGRESS_KEPT];
	size_t kept_len;
	unsigned lost; /* lines since there was room */
};

/** progress_open() - @p must not move until progress_close(). */
void progress_open(struct progress *p, bool quiet, bool verbose);
/** progress_close() - what is kept is written, or given up after two seconds. */
void progress_close(struct progress *p);

/** progress_waits() - is something kept? Then @p->fd is to be polled for POLLOUT, */
bool progress_waits(const struct progress *p);
/** progress_flush() - and this called: write what is kept as far as it goes. */
void progress_flush(struct progress *p);

/** progress_step() - a step that was made: a line, if the user wants them all. */
void progress_step(struct progress *p, const char *fmt, ...) _printf_(2, 3);

/** progress_warn() - a line that every user should see. */
void progress_warn(struct progress *p, const char *fmt, ...) _printf_(2, 3);

/** progress_answer() - a line that the user has asked for. */
void progress_answer(struct progress *p, const char *fmt, ...) _printf_(2, 3);

/** progress_wanted() - is there a status line to be drawn? */
bool progress_wanted(const struct progress *p);

/** progress_draw() - @text as the status line. */
void progress_draw(struct progress *p, const char *text);
void progress_clear(struct progress *p);

/** progress_console() - the guest prints this next. */
void progress_console(struct progress *p, const char *data, size_t len);

#endif
