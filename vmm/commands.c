/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/commands.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>

#include "vmm/machine.h"

int commands_init(struct commands *c, int fd)
{
	*c = (struct commands){.fd = fd};
	c->last = &c->first;
	pthread_mutex_init(&c->lock, NULL);
	c->line = malloc(COMMAND_LINE_MAX);
	return c->line ? 0 : -ENOMEM;
}

static void command_free(struct command *c)
{
	json_decref(c->what);
	json_decref(c->id);
	free(c);
}

void commands_free(struct commands *c)
{
	for (struct command *next; c->first; c->first = next) {
		next = c->first->next;
		command_free(c->first);
	}
	free(TAKE_PTR(c->line));
}

/* ---- answers ---- */

static void answer(struct command *c, json_t *reply)
{
	if (reply && c->id)
		json_object_set(reply, "id", c->id);
	if (c->reply)
		c->reply(c->ctx, reply);
	json_decref(reply);
	command_free(c);
}

void command_done(struct command *c, json_t *body)
{
	json_t *reply = json_pack("{s:b}", "ok", true);

	if (reply && body)
		json_object_update_missing(reply, body);
	json_decref(body);
	answer(c, reply);
}

void command_failed(struct command *c, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer(c, json_pack("{s:b, s:s}", "ok", false, "text", text));
}

/* ---- the queue ---- */

static struct command *command_new(json_t *what, json_t *id, node_reply_fn reply, void *ctx)
{
	struct command *c = calloc(1, sizeof(*c));

	if (!c) {
		json_decref(what);
		return NULL;
	}
	c->what = what;
	c->id = json_incref(id);
	c->reply = reply;
	c->ctx = ctx;
	return c;
}

int commands_add(struct commands *q, json_t *what, node_reply_fn reply, void *ctx)
{
	struct command *c = command_new(what, NULL, reply, ctx);
	bool ended;

	if (!c)
		return -ENOMEM;
	pthread_mutex_lock(&q->lock);
	ended = q->ended;
	if (!ended) {
		*q->last = c;
		q->last = &c->next;
	}
	pthread_mutex_unlock(&q->lock);
	if (ended)
		command_failed(c, "the node has ended");
	return 0;
}

static struct command *next_command(struct commands *q)
{
	pthread_mutex_lock(&q->lock);
	struct command *c = q->first;
	if (c) {
		q->first = c->next;
		if (!q->first)
			q->last = &q->first;
	}
	pthread_mutex_unlock(&q->lock);
	return c;
}

/* ---- carrying out ---- */

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

void commands_end(struct node *n)
{
	pthread_mutex_lock(&n->commands.lock);
	n->commands.ended = true;
	pthread_mutex_unlock(&n->commands.lock);
	for (struct command *c; (c = next_command(&n->commands));)
		command_failed(c, "the node has ended");
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

bool commands_wanted(const struct node *n)
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

void commands_run(struct node *n)
{
	take_lines(n);
	for (struct command *c; (c = next_command(&n->commands));)
		carry_out(n, c);
}

void commands_read(struct node *n, short events)
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
