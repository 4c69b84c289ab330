/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/events.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

void events_init(struct events *ev, const char *node)
{
	*ev = (struct events){.node = node, .start_ns = clock_now_ns()};
}

static double elapsed(const struct events *ev)
{
	return (double)((clock_now_ns() - ev->start_ns) / NSEC_PER_MSEC) / 1000.0;
}

void events_emit(const struct events *ev, const char *event, json_t *body)
{
	json_t *line =
		json_pack("{s:f, s:s, s:s}", "t", elapsed(ev), "node", ev->node, "event", event);

	if (line && body)
		json_object_update_missing(line, body);
	json_decref(body);
	char *text =
		line ? json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6))
		     : NULL;
	json_decref(line);
	if (!text)
		return;
	size_t len = strlen(text);
	text[len] = '\n'; /* in place of the final NUL: one write, one line */
	/* Nobody is left to tell when standard error is gone. */
	if (write(STDERR_FILENO, text, len + 1) < 0)
		(void)0;
	free(text);
}

static _printf_(1, 0) json_t *text_body(const char *fmt, va_list ap)
{
	char text[600];

	vsnprintf(text, sizeof(text), fmt, ap);
	return json_pack("{s:s}", "text", text);
}

void events_phase(const struct events *ev, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	events_emit(ev, "phase", text_body(fmt, ap));
	va_end(ap);
}

void events_log(const struct events *ev, const char *level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_t *body = text_body(fmt, ap);
	va_end(ap);
	if (body)
		json_object_set_new(body, "level", json_string(level));
	events_emit(ev, "log", body);
}
