/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing up the mesh: one poll loop over everything that is under way.
 *
 * Every connection to be is a slot. A slot to a lower node is dialled by us (dial.c), one to a
 * higher node waits for a stranger that says the right hello (accept.c). The loop ends when all
 * slots are up, at the deadline, when cancelled, or at an error that waiting cannot heal.
 *
 * A slot that is up is still watched for a hang-up: the peer may end and be started again while
 * others are awaited. Only its end is looked at, never its data: messages that follow the hello
 * wait in the socket for the connection that is made of it.
 *
 * LIMITS. Per iteration the loop does bounded work per socket. Memory: about 600 bytes a slot and
 * a stranger, given back at the end.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "transport/address.h"
#include "transport/bringup.h"
#include "transport/tcp.h"

enum { POLL_LISTEN, POLL_CANCEL, POLL_SLOTS };

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
		.version = WIRE_VERSION,
		.config = b->cfg->config_digest,
		.from = (uint16_t)b->cfg->self,
		.to = s->peer,
		.class_ = (uint16_t)s->class_,
		.shard = s->shard,
		.epoch = b->cfg->epoch,
	};
}

int greeting_read(int fd, struct greeting *g)
{
	for (;;) {
		ssize_t missing = greeting_missing(g), n;

		if (missing <= 0)
			return missing < 0 ? (int)missing : 1;
		n = recv(fd, g->bytes + g->got, (size_t)missing, MSG_DONTWAIT);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
		g->got += (size_t)n;
	}
}

/* A fresh socket takes a greeting whole; one that does not is of no use. */
int greeting_send(int fd, const void *bytes, size_t len)
{
	ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

void slot_up(struct bringup *b, struct slot *s, int fd)
{
	const struct mesh_config *cfg = b->cfg;
	struct peer *p = &b->peers[s->peer];

	s->fd = fd;
	s->state = SLOT_UP;
	p->refused = false;
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
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->state = SLOT_DOWN;
	s->retry_at = retry_at;
}

static int slots_init(struct bringup *b)
{
	const struct mesh_config *cfg = b->cfg;
	unsigned slots;

	b->slots_per_peer = 2 + cfg->shards;
	slots = (cfg->nodes - 1) * b->slots_per_peer;
	b->slots = calloc(slots + 1, sizeof(*b->slots)); /* a lone node has none */
	b->poll = calloc(POLL_SLOTS + slots + STRANGERS_MAX, sizeof(*b->poll));
	if (!b->slots || !b->poll)
		return err_set(b->err, -ENOMEM, "out of memory");
	for (unsigned peer = 0; peer < cfg->nodes; peer++) {
		for (unsigned i = 0; peer != cfg->self && i < b->slots_per_peer; i++) {
			static const enum wire_class of[] = {WIRE_CLASS_CONTROL, WIRE_CLASS_EVENT,
							     WIRE_CLASS_PAGE};

			b->slots[b->slot_count++] = (struct slot){
				.peer = (uint16_t)peer,
				.shard = (uint16_t)(i < 2 ? 0 : i - 2),
				.class_ = of[MIN(i, 2U)],
				.fd = -1,
			};
		}
	}
	return 0;
}

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

static int fill_poll(struct bringup *b)
{
	static const short events[] = {
		[SLOT_CONNECTING] = POLLOUT,
		[SLOT_GREETING] = POLLIN,
		[SLOT_UP] = POLLRDHUP,
	};
	unsigned n = POLL_SLOTS;

	b->poll[POLL_LISTEN] = (struct pollfd){.fd = b->cfg->listen_fd, .events = POLLIN};
	b->poll[POLL_CANCEL] = (struct pollfd){.fd = b->cfg->cancel_fd, .events = POLLIN};
	for (unsigned i = 0; i < b->slot_count; i++, n++)
		b->poll[n] =
			(struct pollfd){.fd = b->slots[i].fd, .events = events[b->slots[i].state]};
	for (unsigned i = 0; i < b->stranger_count; i++, n++)
		b->poll[n] = (struct pollfd){.fd = b->strangers[i].fd, .events = POLLIN};
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

static int handle_slots(struct bringup *b, uint64_t now)
{
	for (unsigned i = 0; i < b->slot_count; i++) {
		struct slot *s = &b->slots[i];
		int r = 0;

		if (!b->poll[POLL_SLOTS + i].revents)
			continue;
		if (s->state != SLOT_UP) {
			r = dial_ready(b, s, now);
		} else {
			peer_trouble(b, s->peer, "it went away again");
			slot_down(b, s, now);
		}
		if (r < 0)
			return r;
	}
	return 0;
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
			stranger_ready(b, &b->strangers[i]);
	strangers_expire(b, now);
	return b->poll[POLL_LISTEN].revents ? accept_ready(b, now) : 0;
}

static int timed_out(struct bringup *b)
{
	const struct mesh_config *cfg = b->cfg;
	char list[400] = "";
	int code = -ETIMEDOUT;
	size_t len = 0;

	for (unsigned peer = 0; peer < cfg->nodes && len < sizeof(list); peer++) {
		const struct peer *p = &b->peers[peer];

		if (peer == cfg->self || p->up == b->slots_per_peer)
			continue;
		if (p->refused)
			code = -EPROTO;
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s at %s (%s)",
					len ? ", " : "", cfg->name[peer], cfg->address[peer],
					p->trouble);
	}
	return err_set(b->err, code, "no connection within %u.%u s to %s", cfg->timeout_ms / 1000,
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

/* All slots are up: makes connections of their sockets. */
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
		const struct tcp_config tcp = {
			.self = (uint16_t)cfg->self,
			.peer = s->peer,
			.shard = s->shard,
			.class_ = s->class_,
			.epoch = cfg->epoch,
		};

		if (tcp_conn_new(s->fd, &tcp, place_of(&m, s)) < 0)
			return err_set(b->err, -ENOMEM, "out of memory");
		s->fd = -1;
	}
	*ret = m;
	m = (struct mesh){0};
	return 0;
}

static void bringup_free(struct bringup *b)
{
	for (unsigned i = 0; b->slots && i < b->slot_count; i++)
		if (b->slots[i].fd >= 0)
			close(b->slots[i].fd);
	for (unsigned i = 0; i < b->stranger_count; i++)
		if (b->strangers[i].fd >= 0)
			close(b->strangers[i].fd);
	for (unsigned i = 0; i < MAX_NODES; i++)
		if (b->peers[i].addresses)
			freeaddrinfo(b->peers[i].addresses);
	free(b->slots);
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
	b->cfg = cfg;
	b->err = err;
	r = slots_init(b);
	if (r == 0)
		r = peers_init(b);
	while (r == 0 && b->complete < cfg->nodes - 1)
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
