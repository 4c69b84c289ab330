/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes that run mesh_connect() in threads of this process, on ports the kernel picks. The threads
 * only record what they got: cmocka's asserts belong to the main thread.
 */
#ifndef SSIHV_TESTS_TRANSPORT_CLUSTER_H
#define SSIHV_TESTS_TRANSPORT_CLUSTER_H

#include "tests/check.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "transport/mesh.h"
#include "transport/tcp.h"
#include "tests/open_files.h"

#define NODES_MAX 5
#define SHARDS	  2
#define PATIENCE  60000 /* ms: never reached unless something is broken */
#define CONFIG	  UINT64_C(0x1122334455667788)
#define EPOCH	  4

struct node {
	struct mesh_config cfg;
	struct mesh mesh;
	struct err err;
	int result;
	pthread_t thread;
	unsigned progress; /* calls */
	unsigned complete; /* of the last call */
	char refused[600]; /* last text */
};

struct cluster {
	const struct transport *transport;
	unsigned nodes;
	char address[NODES_MAX][32];
	const char *addresses[NODES_MAX];
	struct node node[NODES_MAX];
};

static inline void note_progress(void *ctx, unsigned peer, unsigned complete, unsigned peers)
{
	struct node *n = ctx;

	n->complete = complete;
	__atomic_add_fetch(&n->progress, 1, __ATOMIC_RELEASE); /* for node_await_progress() */
}

static inline void note_refused(void *ctx, const char *text)
{
	struct node *n = ctx;

	snprintf(n->refused, sizeof(n->refused), "%s", text);
}

/* Node @i listens, on a port of its own. */
static inline void node_listen(struct cluster *c, unsigned i, const char *host)
{
	static const char *const names[NODES_MAX] = {"alpha", "beta", "gamma", "delta", "epsilon"};
	struct node *n = &c->node[i];
	uint16_t port;

	n->cfg = (struct mesh_config){
		.nodes = c->nodes,
		.self = i,
		.shards = SHARDS,
		.address = c->addresses,
		.name = names,
		.config_digest = CONFIG,
		.epoch = EPOCH,
		.timeout_ms = PATIENCE,
		.cancel_fd = eventfd(0, EFD_CLOEXEC),
		.progress = note_progress,
		.progress_ctx = n,
		.refused = note_refused,
	};
	snprintf(c->address[i], sizeof(c->address[i]), "%s:0", host);
	assert_int_equal(
		transport_listen(c->transport, c->address[i], &port, &n->cfg.listener, &n->err), 0);
	snprintf(c->address[i], sizeof(c->address[i]), "%s:%u", host, port);
	c->addresses[i] = c->address[i];
}

/* Everybody listens over @t, nobody connects yet. */
static inline void cluster_listen_over(struct cluster *c, const struct transport *t, unsigned nodes)
{
	*c = (struct cluster){.transport = t, .nodes = nodes};
	for (unsigned i = 0; i < nodes; i++)
		node_listen(c, i, "127.0.0.1");
}

static inline void cluster_listen(struct cluster *c, unsigned nodes)
{
	cluster_listen_over(c, tcp_transport(), nodes);
}

static inline uint16_t node_port(const struct cluster *c, unsigned i)
{
	return (uint16_t)atoi(strchr(c->address[i], ':') + 1);
}

static inline void *node_main(void *arg)
{
	struct node *n = arg;

	n->result = mesh_connect(&n->cfg, &n->mesh, &n->err);
	return NULL;
}

static inline void node_start(struct cluster *c, unsigned i)
{
	assert_int_equal(pthread_create(&c->node[i].thread, NULL, node_main, &c->node[i]), 0);
}

/* Waits for its end; what mesh_connect() returned. */
static inline int node_join(struct cluster *c, unsigned i)
{
	assert_int_equal(pthread_join(c->node[i].thread, NULL), 0);
	if (c->node[i].result < 0)
		print_message("# node %u: %s\n", i, c->node[i].err.text);
	return c->node[i].result;
}

/* Waits until node @i has told of @calls complete peers. */
static inline void node_await_progress(struct cluster *c, unsigned i, unsigned calls)
{
	while (__atomic_load_n(&c->node[i].progress, __ATOMIC_ACQUIRE) < calls)
		usleep(1000);
}

static inline void node_cancel(struct cluster *c, unsigned i)
{
	assert_int_equal(eventfd_write(c->node[i].cfg.cancel_fd, 1), 0);
}

static inline void cluster_close(struct cluster *c)
{
	for (unsigned i = 0; i < c->nodes; i++) {
		mesh_close(&c->node[i].mesh);
		listener_close(c->node[i].cfg.listener);
		close(c->node[i].cfg.cancel_fd);
	}
}

/* The header's first use of a connection: it arrives at the other end of this very one. */
static inline int link_take(void *ctx, struct conn *c, const struct wire_hdr *h, const void *data)
{
	*(struct wire_hdr *)ctx = *h;
	return 0;
}

/* A message of the connection's class, from node @from. */
static inline struct wire_hdr link_message(const struct conn *c, unsigned from)
{
	static const uint8_t types[] = {[WIRE_CLASS_CONTROL] = WIRE_PING,
					[WIRE_CLASS_EVENT] = WIRE_EOI,
					[WIRE_CLASS_PAGE] = WIRE_GRANT};
	struct wire_hdr h = {.epoch = EPOCH, .type = types[c->class_], .from = (uint8_t)from};

	if (c->class_ == WIRE_CLASS_PAGE)
		h.addr = (c->shard + 1) * PAGE_BYTES;
	return h;
}

static inline void check_link(struct conn *from, struct conn *to)
{
	struct wire_hdr h, got = {0};

	assert_non_null(from);
	assert_non_null(to);
	assert_int_equal(from->class_, to->class_);
	assert_int_equal(from->shard, to->shard);
	h = link_message(from, to->peer);
	assert_int_equal(conn_send(from, &h, NULL), 0);
	while (got.type == 0) {
		assert_int_equal(conn_flush(from), 0);
		assert_true(conn_ready(to, link_take, &got) >= 0);
	}
	assert_memory_equal(&got, &h, sizeof(h));
}

/* Every connection exists, leads to the right place and carries messages both ways. */
static inline void check_mesh(struct cluster *c)
{
	for (unsigned i = 0; i < c->nodes; i++) {
		const struct mesh *m = &c->node[i].mesh;

		assert_int_equal(m->nodes, c->nodes);
		assert_int_equal(m->self, i);
		assert_null(m->control[i]);
		for (unsigned j = 0; j < c->nodes; j++) {
			const struct mesh *o = &c->node[j].mesh;

			if (i == j)
				continue;
			assert_int_equal(m->control[j]->peer, j);
			check_link(m->control[j], o->control[i]);
			check_link(m->event[j], o->event[i]);
			for (unsigned s = 0; s < SHARDS; s++) {
				unsigned here = s * c->nodes + j, there = s * c->nodes + i;

				assert_int_equal(m->page[here]->shard, s);
				check_link(m->page[here], o->page[there]);
			}
		}
	}
}

#endif
