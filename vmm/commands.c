/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/commands.h"

#include <stdarg.h>
#include <stdio.h>

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

struct command *command_new(json_t *what, json_t *id, node_reply_fn reply, void *ctx)
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

struct command *commands_next(struct commands *q)
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

void commands_close(struct commands *q)
{
	pthread_mutex_lock(&q->lock);
	q->ended = true;
	pthread_mutex_unlock(&q->lock);
	for (struct command *c; (c = commands_next(q));)
		command_failed(c, "the node has ended");
}
