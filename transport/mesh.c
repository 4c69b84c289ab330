/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing up the mesh: one poll loop over everything that is under way.
 *
 * Every connection to be is a slot. A slot to a lower node is dialled by us (dial.c), one to a
 * higher node waits for a stranger that says the right hello (accept.c). The loop ends when all
 * slots are up and all peers have said that theirs are, too (slots.h), at the deadline, when
 * cancelled, or at an error that waiting cannot heal.
 *
 * A slot that is up is still watched for a hang-up: the peer may end and be started again while
 * others are awaited. Else only MESHED is read from it: messages that follow the greeting wait in
 * the socket for the connection that is made of it.
 *
 * LIMITS. Per iteration the loop does bounded work per socket. Memory: about 600 bytes a slot and
 * a stranger, given back at the end.
 */
#include <limits.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/clock.h"
#include "transport/accept.h"
#include "transport/address.h"
#include "transport/dial.h"
#include "transport/mesh.h"

enum { POLL_LISTEN, POLL_CANCEL, POLL_SLOTS };

static int peers_init(struct bringup *b)
{
	const struct mesh_config *cfg = b->cfg;

	for (unsigned peer = 0; peer < cfg->nodes; peer++) {
		struct err why;
		int r;

		peer_trouble(b, peer, "it has not connected to this node");
		if (peer >= cfg->self)
			continue;
		r = address_resolve(cfg->address[peer], false, &b->peers[peer].addresses, &why);
		if (r < 0)
			return err_set(b->err, r, "%s: %s", cfg->name[peer], why.text);
	}
	return 0;
}

static int bringup_init(struct bringup *b)
{
	if (getrandom(&b->instance, sizeof(b->instance), 0) != sizeof(b->instance))
		return err_set(b->err, -errno, "no random numbers: %s", strerror(errno));
	if (slots_init(b) < 0)
		return err_set(b->err, -ENOMEM, "out of memory");
	b->poll = calloc(POLL_SLOTS + b->slot_count + STRANGERS_MAX, sizeof(*b->poll));
	if (!b->poll)
		return err_set(b->err, -ENOMEM, "out of memory");
	return peers_init(b);
}

static int dial_due(struct bringup *b, uint64_t now)
{
	int r = 0;

	for (unsigned i = 0; i < b->slot_count && r == 0; i++) {
		struct slot *s = &b->slots[i];

		if (s->state == SLOT_DOWN && slot_dials(b, s) && now >= s->retry_at)
			r = dial_start(b, s, now);
	}
	return r;
}

/* More may follow MESHED: that is not ours to read. */
static bool awaits_meshed(const struct bringup *b, const struct slot *s)
{
	return s->class_ == WIRE_CLASS_CONTROL && !b->peers[s->peer].heard;
}

static struct pollfd slot_poll(const struct bringup *b, const struct slot *s)
{
	struct pollfd p = {.fd = s->channel ? s->channel->fd : -1};

	if (s->state == SLOT_CONNECTING)
		p.events = s->want;
	else if (s->state == SLOT_GREETING)
		p.events = POLLIN;
	else if (b->peers[s->peer].left)
		p.fd = -1; /* its end is no news: not again and again */
	else if (s->state == SLOT_UP)
		p.events = (short)(s->channel->hangup | (awaits_meshed(b, s) ? POLLIN : 0));
	return p;
}

static int fill_poll(struct bringup *b)
{
	const struct listener *l = b->cfg->listener;
	unsigned n = POLL_SLOTS;

	b->poll[POLL_LISTEN] = (struct pollfd){.fd = l ? l->fd : -1, .events = POLLIN};
	b->poll[POLL_CANCEL] = (struct pollfd){.fd = b->cfg->cancel_fd, .events = POLLIN};
	for (unsigned i = 0; i < b->slot_count; i++)
		b->poll[n++] = slot_poll(b, &b->slots[i]);
	for (unsigned i = 0; i < b->stranger_count; i++) {
		const struct stranger *s = &b->strangers[i];

		b->poll[n++] = (struct pollfd){.fd = s->channel->fd, .events = s->want};
	}
	return (int)n;
}

/* Milliseconds until something is due, rounded up. */
static int patience(const struct bringup *b, uint64_t now, uint64_t deadline)
{
	uint64_t until = deadline;

	for (unsigned i = 0; i < b->slot_count; i++)
		if (b->slots[i].state == SLOT_DOWN && slot_dials(b, &b->slots[i]))
			until = MIN(until, b->slots[i].retry_at);
	for (unsigned i = 0; i < b->stranger_count; i++)
		until = MIN(until, b->strangers[i].deadline);
	if (until <= now)
		return 0;
	return (int)MIN((until - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC, (uint64_t)INT_MAX);
}

/* All are up, and everybody has said so: who ends from now on may have left the bring-up. */
static bool is_meshed(const struct bringup *b)
{
	for (unsigned i = 0; i < b->cfg->nodes; i++)
		if (i != b->cfg->self && (!b->peers[i].told || !b->peers[i].heard))
			return false;
	return b->complete == b->cfg->nodes - 1;
}

/* A slot that is up has an event: MESHED, or its end. */
static void up_ready(struct bringup *b, struct slot *s, uint64_t now)
{
	int r = awaits_meshed(b, s) ? greeting_read(s->channel, &s->greeting) : 0;

	if (r > 0 && greeting_meshed(&s->greeting, s->peer, b->cfg->epoch))
		b->peers[s->peer].heard = true;
	if (r < 0 || (r > 0 && !b->peers[s->peer].heard))
		slot_died(b, s, now);
	else if (peer_speaks(b, s->peer))
		b->peers[s->peer].left = b->peers[s->peer].heard;
	else if (channel_gone(s->channel) && !is_meshed(b))
		slot_died(b, s, now);
}

static int handle_slots(struct bringup *b, uint64_t now)
{
	for (unsigned i = 0; i < b->slot_count; i++) {
		struct slot *s = &b->slots[i];
		int r = 0;

		/* Not what has been closed by the fate of another since. */
		if (!b->poll[POLL_SLOTS + i].revents || !s->channel)
			continue;
		if (s->state == SLOT_UP)
			up_ready(b, s, now);
		else
			r = dial_ready(b, s, now);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Are all slots up? Looks: what poll() has told may be old by now. */
static bool is_complete(struct bringup *b)
{
	unsigned peers = b->cfg->nodes - 1;

	if (is_meshed(b))
		return true;
	for (unsigned i = 0; i < b->slot_count && b->complete == peers; i++)
		if (channel_gone(b->slots[i].channel) && !peer_speaks(b, b->slots[i].peer))
			slot_died(b, &b->slots[i], clock_now_ns());
	return b->complete == peers;
}

/* To those who do not know it yet. */
static void tell_meshed(struct bringup *b, uint64_t now)
{
	const struct wire_hdr h = hello_meshed((uint16_t)b->cfg->self, b->cfg->epoch);

	if (!is_complete(b))
		return;
	for (unsigned i = 0; i < b->slot_count; i++) {
		struct slot *s = &b->slots[i];

		if (s->class_ != WIRE_CLASS_CONTROL || s->state != SLOT_UP ||
		    b->peers[s->peer].told)
			continue;
		if (channel_say(s->channel, &h, sizeof(h)) < 0) {
			slot_died(b, s, now); /* not all are up any more */
			return;
		}
		b->peers[s->peer].told = true;
	}
}

/* Is @peer away, and not just about to be connected again? */
static bool has_gone(const struct bringup *b, unsigned peer)
{
	for (unsigned i = 0; i < b->slot_count; i++) {
		const struct slot *s = &b->slots[i];

		if (s->peer == peer && (s->state == SLOT_DOWN || s->state == SLOT_CONNECTING))
			return true;
	}
	return false;
}

/* Who has left the bring-up will not connect to the next process of one that has gone. */
static int check_gone(struct bringup *b)
{
	const struct mesh_config *cfg = b->cfg;
	unsigned left = 0, gone = 0;

	while (left < cfg->nodes && !b->peers[left].left)
		left++;
	if (left == cfg->nodes)
		return 0;
	while (gone < cfg->nodes && (gone == cfg->self || !has_gone(b, gone)))
		gone++;
	if (gone == cfg->nodes)
		return 0;
	return err_set(b->err, -ECONNRESET,
		       "%s has gone, after all nodes had connected and %s had begun",
		       cfg->name[gone], cfg->name[left]);
}

/* One round: wait, then handle what is ready. */
static int step(struct bringup *b, uint64_t deadline)
{
	unsigned strangers;
	uint64_t now = clock_now_ns();
	int r = dial_due(b, now);

	if (r < 0)
		return r;
	strangers_expire(b, now);
	strangers = b->stranger_count;
	r = poll(b->poll, (nfds_t)fill_poll(b), patience(b, now, deadline));
	if (r < 0)
		return errno == EINTR ? 0 : err_set(b->err, -errno, "poll: %s", strerror(errno));
	if (b->poll[POLL_CANCEL].revents)
		return err_set(b->err, -ECANCELED, "cancelled while connecting to the other nodes");
	now = clock_now_ns();
	r = handle_slots(b, now);
	if (r < 0)
		return r;
	/* Before new ones come: accept_ready() may move the strangers. */
	for (unsigned i = 0; i < strangers; i++)
		if (b->poll[POLL_SLOTS + b->slot_count + i].revents)
			stranger_ready(b, &b->strangers[i], now);
	strangers_expire(b, now);
	r = b->poll[POLL_LISTEN].revents ? accept_ready(b, now) : 0;
	if (r < 0)
		return r;
	tell_meshed(b, now);
	return check_gone(b);
}

static int timed_out(struct bringup *b)
{
	const struct mesh_config *cfg = b->cfg;
	char list[400] = "";
	int code = -ETIMEDOUT;
	size_t len = 0;

	for (unsigned peer = 0; peer < cfg->nodes && len < sizeof(list); peer++) {
		const struct peer *p = &b->peers[peer];

		if (peer == cfg->self || p->heard ||
		    (p->up == b->slots_per_peer && b->complete < cfg->nodes - 1))
			continue;
		if (p->unfit)
			code = -EPROTO;
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s at %s (%s)",
					len ? ", " : "", cfg->name[peer], cfg->address[peer],
					p->up == b->slots_per_peer
						? "it is not connected to all others yet"
						: p->trouble);
	}
	return err_set(b->err, code, "no connection over %s within %u.%u s to %s",
		       cfg->listener->transport->ops->name, cfg->timeout_ms / 1000,
		       cfg->timeout_ms / 100 % 10, list);
}

static struct conn **place_of(struct mesh *m, const struct slot *s)
{
	switch (s->class_) {
	case WIRE_CLASS_CONTROL:
		return &m->control[s->peer];
	case WIRE_CLASS_EVENT:
		return &m->event[s->peer];
	default:
		return &m->page[s->shard * m->nodes + s->peer];
	}
}

/* All slots are up: makes connections of their channels. */
static int build(struct bringup *b, struct mesh *ret)
{
	const struct mesh_config *cfg = b->cfg;
	_cleanup_(mesh_close) struct mesh m = {
		.nodes = cfg->nodes,
		.self = cfg->self,
		.shards = cfg->shards,
		.page = calloc((size_t)cfg->nodes * cfg->shards, sizeof(struct conn *)),
	};

	if (!m.page)
		return err_set(b->err, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < b->slot_count; i++) {
		struct slot *s = &b->slots[i];
		const struct conn_config conn = {
			.self = (uint16_t)cfg->self,
			.peer = s->peer,
			.shard = s->shard,
			.class_ = s->class_,
			.epoch = cfg->epoch,
		};

		if (channel_open(s->channel, &conn, place_of(&m, s)) < 0)
			return err_set(b->err, -ENOMEM, "out of memory");
		s->channel = NULL;
	}
	*ret = m;
	m = (struct mesh){0};
	return 0;
}

static void bringup_free(struct bringup *b)
{
	for (unsigned i = 0; i < b->stranger_count; i++)
		channel_drop(b->strangers[i].channel);
	for (unsigned i = 0; i < MAX_NODES; i++)
		if (b->peers[i].addresses)
			freeaddrinfo(b->peers[i].addresses);
	slots_free(b);
	free(b->poll);
	free(b);
}

static void bringup_freep(struct bringup **b)
{
	if (*b)
		bringup_free(*b);
}

int mesh_connect(const struct mesh_config *cfg, struct mesh *ret, struct err *err)
{
	_cleanup_(bringup_freep) struct bringup *b = calloc(1, sizeof(*b));
	uint64_t deadline = clock_now_ns() + cfg->timeout_ms * NSEC_PER_MSEC;
	int r;

	if (!b)
		return err_set(err, -ENOMEM, "out of memory");
	if (cfg->nodes == 0 || cfg->nodes > MAX_NODES || cfg->self >= cfg->nodes ||
	    cfg->shards == 0 || cfg->shards > MAX_SHARDS)
		return err_set(err, -EINVAL,
			       "node %u of %u with %u shards is out of range (%u nodes, %u shards)",
			       cfg->self, cfg->nodes, cfg->shards, MAX_NODES, MAX_SHARDS);
	if (cfg->nodes > 1 && !(cfg->listener->transport->ops->caps & TRANSPORT_FIFO))
		return err_set(err, -EINVAL, "messages over %s do not keep their order",
			       cfg->listener->transport->ops->name);
	b->cfg = cfg;
	b->err = err;
	r = bringup_init(b);
	while (r == 0 && !is_meshed(b))
		r = clock_now_ns() < deadline ? step(b, deadline) : timed_out(b);
	return r < 0 ? r : build(b, ret);
}

void mesh_close(struct mesh *mesh)
{
	for (unsigned i = 0; i < MAX_NODES; i++) {
		conn_close(mesh->control[i]);
		conn_close(mesh->event[i]);
	}
	for (size_t i = 0; mesh->page && i < (size_t)mesh->nodes * mesh->shards; i++)
		conn_close(mesh->page[i]);
	free(mesh->page);
	*mesh = (struct mesh){0};
}
