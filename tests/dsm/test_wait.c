/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shard looks at while it waits for an answer (dsm/shard_wait.c). Its peers are stand-ins
 * for connections, so that they can have something to say without an event that tells of it, and
 * without an end. A test that fails may hang: what it waits for never comes then.
 */
#include "tests/check.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "dsm/pager.h"
#include "dsm/uffd.h"

#define NODES	  3
#define NODE_SIZE (4 * REGION_BYTES)
#define EPOCH	  7
#define FLOOD	  1000

enum peer_mode { SILENT, ANSWERS, FLOODS, ASKS, BREAKS };

struct peer {
	struct conn conn;
	_Atomic enum peer_mode mode;
	_Atomic unsigned requests, grants,
		flood; /* GETS and GRANTs that it got, URGEs that it sent */
	struct wire_hdr request;
};

struct rig {
	struct pager_config cfg;
	struct mem_layout layout;
	struct pager *pager;
	struct peer peer[NODES];
	struct conn *conn[NODES];
	uint64_t page[PAGE_BYTES / sizeof(uint64_t)];
	_Atomic int culprit; /* that `fatal` has named */
	char text[160];
};

static int peer_post(struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct peer *p = container_of(c, struct peer, conn);

	p->grants += h->type == WIRE_GRANT;
	if (h->type == WIRE_GETS) {
		p->request = *h;
		p->requests++;
	}
	return 0;
}

static int peer_flush(struct conn *c)
{
	return 0;
}

static struct wire_hdr message(const struct peer *p, enum wire_type type, uint64_t addr)
{
	return (struct wire_hdr){.type = (uint8_t)type,
				 .from = (uint8_t)p->conn.peer,
				 .node = (uint8_t)p->conn.peer,
				 .epoch = EPOCH,
				 .addr = addr};
}

static int peer_receive(struct conn *c, conn_recv_fn take, void *ctx)
{
	struct peer *p = container_of(c, struct peer, conn);
	struct rig *r = container_of(p, struct rig, peer[c->peer]);
	enum peer_mode mode = p->mode;
	struct wire_hdr h;

	switch (mode) {
	case SILENT:
		return 0;
	case ANSWERS:
		if (!p->requests)
			return 0;
		p->mode = SILENT;
		h = message(p, WIRE_GRANT, p->request.addr);
		h.node = 0;
		h.flags = WIRE_GRANT_DATA;
		h.len = PAGE_BYTES;
		return take(ctx, c, &h, r->page) ?: 1;
	case FLOODS:
		p->flood++;
		h = message(p, WIRE_URGE, NODE_SIZE);
		return take(ctx, c, &h, NULL) ?: 1;
	case ASKS:
		p->mode = SILENT;
		h = message(p, WIRE_GETS, 0);
		return take(ctx, c, &h, NULL) ?: 1;
	case BREAKS:
		return -ECONNRESET;
	}
	return 0;
}

static const struct conn_ops peer_ops = {
	.send = peer_post,
	.flush = peer_flush,
	.receive = peer_receive,
};

static void on_fatal(void *ctx, int culprit, const char *text)
{
	struct rig *r = ctx;

	snprintf(r->text, sizeof(r->text), "%s", text);
	r->culprit = culprit;
}

static void set_up(struct rig *r)
{
	const uint64_t size[NODES] = {NODE_SIZE, NODE_SIZE, NODE_SIZE};
	struct err err;

	*r = (struct rig){.culprit = -1};
	r->cfg = (struct pager_config){
		.nodes = NODES,
		.shards = 1,
		.epoch = EPOCH,
		.spin_ns = 3600 * NSEC_PER_SEC,
		.conn = r->conn,
		.fatal = on_fatal,
		.ctx = r,
	};
	for (uint16_t i = 1; i < NODES; i++) {
		struct conn *c = &r->peer[i].conn;

		*c = (struct conn){.ops = &peer_ops, .peer = i, .class_ = WIRE_CLASS_PAGE};
		c->fd = eventfd(0, EFD_CLOEXEC);
		assert_true(c->fd >= 0);
		r->conn[i] = c;
	}
	assert_int_equal(mem_layout_init(size, NODES, &r->layout, &err), 0);
	assert_int_equal(ram_new(&r->layout, &r->cfg.ram, &err), 0);
	assert_int_equal(pager_new(&r->cfg, &r->pager, &err), 0);
	assert_int_equal(pager_start(r->pager), 0);
}

static void tear_down(struct rig *r)
{
	pager_free(r->pager);
	ram_free(r->cfg.ram);
	for (unsigned i = 1; i < NODES; i++)
		close(r->peer[i].conn.fd);
}

/* The first page of node 1. */
static uint64_t look_at(const struct rig *r)
{
	return *(volatile uint64_t *)(r->cfg.ram->base + NODE_SIZE);
}

static void *thread_looks(void *arg)
{
	look_at(arg);
	return NULL;
}

static void await(const _Atomic unsigned *count, unsigned least)
{
	while (*count < least)
		sched_yield();
}

static void answer_needs_no_event(void **state)
{
	struct rig r;

	set_up(&r);
	r.page[0] = 4711;
	r.peer[1].mode = ANSWERS;
	assert_int_equal(look_at(&r), 4711);
	tear_down(&r);
	assert_int_equal(r.culprit, -1);
}

static void count_call(const struct dsm_proto *proto, void *arg)
{
	++*(unsigned *)arg;
}

/* Peer 1 behaves so from the first, and a thread looks at a page that it has. */
static pthread_t begin(struct rig *r, enum peer_mode mode)
{
	pthread_t thread;

	set_up(r);
	r->peer[1].mode = mode;
	assert_int_equal(pthread_create(&thread, NULL, thread_looks, r), 0);
	return thread;
}

static void end(struct rig *r, pthread_t thread)
{
	pager_stop(r->pager);
	pthread_join(thread, NULL);
	tear_down(r);
}

/* A peer that is hoped for says much, but not what it was asked. */
static void others_are_served_meanwhile(void **state)
{
	const uint64_t one = 1;
	unsigned calls = 0;
	struct rig r;
	pthread_t thread = begin(&r, FLOODS);

	await(&r.peer[1].flood, FLOOD);
	assert_int_equal(r.peer[1].requests, 1);
	assert_int_equal(pager_call(r.pager, 0, count_call, &calls), 0);
	assert_int_equal(calls, 1);
	await(&r.peer[1].flood, r.peer[1].flood + FLOOD);

	r.peer[2].mode = ASKS;
	assert_int_equal(write(r.peer[2].conn.fd, &one, sizeof(one)), sizeof(one));
	await(&r.peer[2].grants, 1);
	end(&r, thread);
	assert_int_equal(r.culprit, -1);
}

static void stop_is_seen_in_a_flood(void **state)
{
	struct rig r;
	pthread_t thread = begin(&r, FLOODS);

	await(&r.peer[1].flood, FLOOD);
	end(&r, thread);
}

/* Nor does silence keep anything waiting. */
static void stop_is_seen_in_silence(void **state)
{
	struct rig r;
	pthread_t thread = begin(&r, SILENT);

	await(&r.peer[1].requests, 1);
	end(&r, thread);
}

static void connection_that_breaks_is_named(void **state)
{
	struct rig r;
	pthread_t thread = begin(&r, BREAKS);

	while (r.culprit < 0)
		sched_yield();
	assert_int_equal(r.culprit, 1);
	assert_non_null(strstr(r.text, "page connection to node 1"));
	end(&r, thread);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_needs_no_event),
		cmocka_unit_test(others_are_served_meanwhile),
		cmocka_unit_test(stop_is_seen_in_a_flood),
		cmocka_unit_test(stop_is_seen_in_silence),
		cmocka_unit_test(connection_that_breaks_is_named),
	};
	struct err err;
	int fd, r = uffd_open(&fd, NULL, &err);

	if (r < 0) {
		printf("1..0 # SKIP %s\n", err.text);
		return 0;
	}
	close(fd);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
