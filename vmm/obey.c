/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/obey.h"

#include <poll.h>

#include "vmm/machine.h"
#include "vmm/node.h"
#include "vmm/phase.h"

/* ---- what can be asked ---- */

/* The answer to a line of the stream. */
static void reply_event(void *ctx, const json_t *reply)
{
	struct node *n = ctx;

	if (reply)
		events_emit(&n->ev, "reply", json_deep_copy(reply));
}

static void do_stats(struct node *n, struct command *c)
{
	json_t *report = node_report(n);

	if (report)
		command_done(c, json_pack("{s:o}", "report", report));
	else
		command_failed(c, "out of memory");
}

static void do_stop(struct node *n, struct command *c)
{
	node_quit(n, "asked to stop");
	command_done(c, NULL);
}

static const struct verb {
	const char *name;
	void (*carry_out)(struct node *n, struct command *c);
} verbs[] = {
	{"stats", do_stats},
	{"pause", phase_pause},
	{"resume", phase_resume},
	{"stop", do_stop},
};

/* Bytes as characters: UTF-8 of U+0000 to U+00FF. Return: how many; negative for anything else. */
static ssize_t decode(const char *text, size_t len, char *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)text[i];

		if (byte >= 0x80) {
			if (byte > 0xc3) /* 0xc2 and 0xc3 lead the characters up to U+00FF */
				return -EINVAL;
			byte = (uint8_t)(byte << 6 | (text[++i] & 0x3f));
		}
		ret[n++] = (char)byte;
	}
	return (ssize_t)n;
}

static void do_input(struct node *n, struct command *c, const json_t *input)
{
	size_t len = json_string_length(input);

	if (!json_is_string(input)) {
		command_failed(c, "input is a string");
		return;
	}
	if (len > sizeof(n->typed) - n->typed_len) {
		command_failed(c, "the guest does not read what was typed");
		return;
	}
	ssize_t got = decode(json_string_value(input), len, n->typed + n->typed_len);
	if (got < 0) {
		command_failed(c, "input has characters above U+00FF");
		return;
	}
	n->typed_len += (size_t)got;
	if (c->reply == reply_event && !c->id)
		c->reply = NULL; /* not an event for each key */
	command_done(c, NULL);
}

static void carry_out(struct node *n, struct command *c)
{
	const json_t *input = json_object_get(c->what, "input");
	const char *name = json_string_value(json_object_get(c->what, "command"));

	if (input) {
		do_input(n, c, input);
		return;
	}
	for (size_t i = 0; name && i < ARRAY_SIZE(verbs); i++)
		if (strcmp(name, verbs[i].name) == 0) {
			verbs[i].carry_out(n, c);
			return;
		}
	command_failed(c, "%s", name ? "no such command" : "no command");
}

/* ---- the stream ---- */

static void on_line(struct node *n, const char *line, size_t len)
{
	json_t *what = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	json_t *id = json_object_get(what, "id");
	struct command *c = command_new(what, json_is_integer(id) ? id : NULL, reply_event, n);

	if (!c)
		return;
	if (json_is_object(what))
		carry_out(n, c);
	else
		command_failed(c, "no JSON object");
}

bool obey_wants(const struct node *n)
{
	return n->commands.len < COMMAND_LINE_MAX && n->typed_len < TYPED_ENOUGH;
}

/* Acts on the lines that are whole, as long as there is room for what was typed. */
static void take_lines(struct node *n)
{
	struct commands *q = &n->commands;
	char *at = q->line, *end = q->line + q->len, *newline;

	while (n->typed_len < TYPED_ENOUGH && (newline = memchr(at, '\n', (size_t)(end - at)))) {
		if (!q->skip)
			on_line(n, at, (size_t)(newline - at));
		q->skip = false;
		at = newline + 1;
	}
	q->len = (size_t)(end - at);
	memmove(q->line, at, q->len);
	if (q->len == COMMAND_LINE_MAX && !memchr(q->line, '\n', q->len)) {
		if (!q->skip)
			on_line(n, "", 0);
		q->skip = true;
		q->len = 0;
	}
}

void obey_all(struct node *n)
{
	take_lines(n);
	for (struct command *c; (c = commands_next(&n->commands));)
		carry_out(n, c);
}

void obey_read(struct node *n, short events)
{
	struct commands *q = &n->commands;
	ssize_t got = 0;

	if (!(events & (POLLIN | POLLHUP | POLLERR)))
		return;
	if (events & POLLIN)
		got = read(q->fd, q->line + q->len, COMMAND_LINE_MAX - q->len);
	if (got > 0) {
		q->len += (size_t)got;
		return;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* Its end, or an error that would come again and again: a terminal that has hung up. */
	q->fd = -1;
	node_quit(n, "whoever started this node has gone");
}
