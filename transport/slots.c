/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "transport/slots.h"

int slots_init(struct bringup *b)
{
	static const enum wire_class of[] = {WIRE_CLASS_CONTROL, WIRE_CLASS_EVENT, WIRE_CLASS_PAGE};
	const struct mesh_config *cfg = b->cfg;

	b->slots_per_peer = 2 + cfg->shards;
	/* A lone node has none. */
	b->slots = calloc((cfg->nodes - 1) * b->slots_per_peer + 1, sizeof(*b->slots));
	if (!b->slots)
		return -ENOMEM;
	for (unsigned peer = 0; peer < cfg->nodes; peer++) {
		for (unsigned i = 0; peer != cfg->self && i < b->slots_per_peer; i++) {
			b->slots[b->slot_count++] = (struct slot){
				.peer = (uint16_t)peer,
				.shard = (uint16_t)(i < 2 ? 0 : i - 2),
				.class_ = of[MIN(i, 2U)],
			};
		}
	}
	return 0;
}

void slots_free(struct bringup *b)
{
	for (unsigned i = 0; i < b->slot_count; i++)
		channel_drop(b->slots[i].channel);
	free(b->slots);
}

void slot_up(struct bringup *b, struct slot *s, struct channel *channel, uint32_t instance)
{
	const struct mesh_config *cfg = b->cfg;
	struct peer *p = &b->peers[s->peer];

	s->channel = channel;
	s->state = SLOT_UP;
	s->greeting.got = 0;
	p->instance = instance;
	p->unfit = false;
	p->busy_since = 0;
	if (++p->up < b->slots_per_peer)
		return;
	b->complete++;
	if (cfg->progress)
		cfg->progress(cfg->progress_ctx, s->peer, b->complete, cfg->nodes - 1);
}

void slot_down(struct bringup *b, struct slot *s, uint64_t retry_at)
{
	struct peer *p = &b->peers[s->peer];

	if (s->state == SLOT_UP && p->up-- == b->slots_per_peer)
		b->complete--;
	if (s->state == SLOT_UP && s->class_ == WIRE_CLASS_CONTROL)
		p->told = p->heard = p->left = false;
	channel_drop(s->channel);
	s->channel = NULL;
	s->state = SLOT_DOWN;
	s->retry_at = retry_at;
}

void peer_down(struct bringup *b, unsigned peer, uint64_t now)
{
	for (unsigned i = 0; i < b->slot_count; i++)
		if (b->slots[i].peer == peer && b->slots[i].state == SLOT_UP)
			slot_down(b, &b->slots[i], now);
}

void slot_died(struct bringup *b, struct slot *s, uint64_t now)
{
	peer_trouble(b, s->peer, "it went away again");
	/* Not at once: who takes connections only to close them must not keep us busy. */
	if (b->peers[s->peer].heard)
		peer_down(b, s->peer, now + RETRY_NS);
	else
		slot_down(b, s, now + RETRY_NS);
}

bool peer_speaks(const struct bringup *b, unsigned peer)
{
	const struct slot *control = &b->slots[(peer - (peer > b->cfg->self)) * b->slots_per_peer];

	return b->peers[peer].told && channel_waits(control->channel);
}

bool peer_hung_up(const struct bringup *b, unsigned peer)
{
	for (unsigned i = 0; i < b->slot_count; i++) {
		const struct slot *s = &b->slots[i];

		if (s->peer == peer && s->state == SLOT_UP && !channel_gone(s->channel))
			return false;
	}
	return true;
}

void peer_trouble(struct bringup *b, unsigned peer, const char *fmt, ...)
{
	struct peer *p = &b->peers[peer];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->trouble, sizeof(p->trouble), fmt, ap);
	va_end(ap);
}

struct wire_hello slot_hello(const struct bringup *b, const struct slot *s)
{
	return (struct wire_hello){
		.magic = WIRE_MAGIC,
		.version = wire_version(),
		.config = b->cfg->config_digest,
		.from = (uint16_t)b->cfg->self,
		.to = s->peer,
		.class_ = (uint16_t)s->class_,
		.shard = s->shard,
		.epoch = b->cfg->epoch,
		.instance = b->instance,
	};
}

int greeting_read(struct channel *c, struct greeting *g)
{
	for (;;) {
		ssize_t missing = greeting_missing(g), n;

		if (missing <= 0)
			return missing < 0 ? (int)missing : 1;
		n = channel_hear(c, g->bytes + g->got, (size_t)missing);
		if (n < 0)
			return n == -EAGAIN ? 0 : (int)n;
		g->got += (size_t)n;
	}
}
