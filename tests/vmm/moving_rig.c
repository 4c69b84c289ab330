/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vmm/moving_rig.h"

#include <sys/eventfd.h>

#include "tests/check.h"
#include "tests/transport/loopback.h"
#include "transport/tcp.h"

#define EPOCH 5

static struct conn *end(int fd, unsigned self, unsigned peer)
{
	const struct conn_config cfg = {.self = (uint16_t)self,
					.peer = (uint16_t)peer,
					.class_ = WIRE_CLASS_EVENT,
					.epoch = EPOCH};
	struct conn *c;

	assert_int_equal(tcp_tune(fd), 0);
	assert_int_equal(tcp_conn_new(fd, &cfg, &c), 0);
	return c;
}

static void connect_nodes(struct world *w, unsigned a, unsigned b)
{
	int fd[2];

	loopback_pair(fd);
	w->node[a].link[b].conn = end(fd[0], a, b);
	w->node[b].link[a].conn = end(fd[1], b, a);
}

static struct vcpu *new_vcpu(unsigned index)
{
	struct vcpu *v = aligned_alloc(64, ALIGN_UP(sizeof(*v), 64));

	assert_non_null(v);
	memset(v, 0, sizeof(*v));
	v->index = index;
	return v;
}

static void set_up_node(struct world *w, unsigned self, bool everywhere)
{
	struct half *h = &w->node[self];

	for (unsigned i = 0; i < NODES; i++) {
		h->link[i].wake = w->wake;
		h->link[i].self = (uint16_t)self;
		h->link[i].epoch = EPOCH;
		pthread_mutex_init(&h->link[i].lock, NULL);
	}
	/* Node 0 has all vCPUs: its own and the lodgers. */
	for (unsigned i = 0; i < VCPUS; i++)
		if (everywhere || self == 0 || w->topology.node[i] == self)
			h->vcpu[i] = new_vcpu(i);
	interrupts_init(&h->irq, self, &w->topology, h->link, h->vcpu, true);
	moving_init(&h->moving, &h->irq);
	h->moving.anywhere = everywhere;
}

struct world *world_new(bool everywhere)
{
	struct world *w = calloc(1, sizeof(*w));
	struct cluster_config *cfg;
	struct err err;

	assert_non_null(w);
	assert_int_equal(cluster_default(CLUSTER_LOCAL, NODES, 64 * MIB, 2, &cfg, &err), 0);
	assert_int_equal(topology_init(cfg, &w->topology, &err), 0);
	cluster_free(cfg);
	w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (unsigned i = 0; i < NODES; i++)
		set_up_node(w, i, everywhere);
	connect_nodes(w, 0, 1);
	connect_nodes(w, 0, 2);
	connect_nodes(w, 1, 2);
	return w;
}

void world_free(struct world *w)
{
	for (unsigned i = 0; i < NODES; i++) {
		for (unsigned k = 0; k < NODES; k++)
			if (w->node[i].link[k].conn)
				conn_close(w->node[i].link[k].conn);
		for (unsigned k = 0; k < VCPUS; k++) {
			if (w->node[i].vcpu[k])
				free(w->node[i].vcpu[k]->inbox.arrival);
			free(w->node[i].vcpu[k]);
		}
		moving_free(&w->node[i].moving);
	}
	close(w->wake);
	free(w);
}

/* As vmm/messages.c does. */
static int take(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct half *half = ctx;

	switch (h->type) {
	case WIRE_IPI:
		return interrupts_receive(&half->irq, h->node, payload);
	case WIRE_VCPU_STATE:
		return MIN(moving_state(&half->moving, c->peer, h, payload), 0);
	case WIRE_VCPU_AT:
		return moving_at(&half->moving, c->peer, h, payload);
	case WIRE_VCPU_REFUSED:
		return moving_refused(&half->moving, c->peer, h, payload);
	}
	return -EPROTO;
}

int pump(struct world *w, unsigned from, unsigned to)
{
	return MIN(conn_receive(w->node[to].link[from].conn, take, &w->node[to]), 0);
}

void pump_all(struct world *w)
{
	for (unsigned round = 0; round < 4; round++)
		for (unsigned from = 0; from < NODES; from++)
			for (unsigned to = 0; to < NODES; to++)
				if (from != to)
					assert_int_equal(pump(w, from, to), 0);
}
