/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/events.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

void events_init(struct events *ev, const char *node, const struct node_port *port)
{
	*ev = (struct events){.node = node, .port = port, .start_ns = clock_now_ns()};
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
	if (line && ev->port->event)
		ev->port->event(ev->port->ctx, line);
	json_decref(line);
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
