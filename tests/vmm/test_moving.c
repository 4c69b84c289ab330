/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPUs that move and the interrupts that follow them: three nodes of two vCPUs in this process,
 * with real connections and without KVM. A vCPU is its inbox; nothing runs.
 */
#include "tests/check.h"

#include <sys/eventfd.h>

#include "tests/transport/loopback.h"
#include "transport/tcp.h"
#include "vmm/moving.h"

#define NODES 3
#define VCPUS 6 /* 2k and 2k + 1 are node k's */
#define EPOCH 5

struct half {
	struct interrupts irq;
	struct moving moving;
	struct link link[NODES];
	struct vcpu *vcpu[VCPUS];
};

struct world {
	struct topology topology;
	struct half node[NODES];
	int wake;
};

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

static void set_up_node(struct world *w, unsigned self)
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
		if (self == 0 || w->topology.node[i] == self)
			h->vcpu[i] = new_vcpu(i);
	interrupts_init(&h->irq, self, &w->topology, h->link, h->vcpu, true);
	moving_init(&h->moving, &h->irq);
}

static int set_up(void **state)
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
		set_up_node(w, i);
	connect_nodes(w, 0, 1);
	connect_nodes(w, 0, 2);
	connect_nodes(w, 1, 2);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

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
	return 0;
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
	case WIRE_VCPU_HOME:
		return moving_home(&half->moving, c->peer, h);
	}
	return -EPROTO;
}

/* Node @to takes what @from has sent. Return: 0, or how the first wrong message was answered. */
static int pump(struct world *w, unsigned from, unsigned to)
{
	return MIN(conn_receive(w->node[to].link[from].conn, take, &w->node[to]), 0);
}

static void pump_all(struct world *w)
{
	for (unsigned round = 0; round < 4; round++)
		for (unsigned from = 0; from < NODES; from++)
			for (unsigned to = 0; to < NODES; to++)
				if (from != to)
					assert_int_equal(pump(w, from, to), 0);
}

static void send_vector(struct world *w, unsigned from, unsigned vcpu, uint8_t vector)
{
	const struct irq_message m = {.dest = w->topology.apic_id[vcpu], .vector = vector};

	interrupts_send(&w->node[from].irq, ROUTE_DEVICE, &m);
}

/* Has node @node the vector in its inbox of @vcpu? Takes it out. */
static bool has(struct world *w, unsigned node, unsigned vcpu, uint8_t vector)
{
	struct vcpu *v = w->node[node].vcpu[vcpu];
	uint64_t bit = UINT64_C(1) << (vector % 64);

	return v && (atomic_fetch_and(&v->inbox.vector[vector / 64], ~bit) & bit);
}

static struct vcpu_image *image_of(unsigned index)
{
	struct vcpu_image *image = malloc(sizeof(*image));

	assert_non_null(image);
	for (size_t i = 0; i < sizeof(*image); i++)
		((uint8_t *)image)[i] = (uint8_t)(i * 7 + index);
	image->index = index;
	return image;
}

static void move(struct world *w, unsigned index)
{
	_cleanup_free_ struct vcpu_image *image = image_of(index);

	moving_leave(&w->node[0].moving, w->node[0].vcpu[index], image);
}

/* ---- the way that it should go ---- */

static void an_interrupt_goes_where_the_vcpu_lodges(void **state)
{
	struct world *w = *state;

	send_vector(w, 1, 4, 0x50);
	send_vector(w, 0, 5, 0x51);
	send_vector(w, 2, 5, 0x52);
	pump_all(w);
	assert_true(has(w, 0, 4, 0x50));
	assert_true(has(w, 0, 5, 0x51));
	assert_true(has(w, 0, 5, 0x52));
	assert_false(has(w, 2, 4, 0x50) || has(w, 2, 5, 0x51) || has(w, 2, 5, 0x52));
}

static void a_vcpu_arrives_as_it_left(void **state)
{
	struct world *w = *state;
	_cleanup_free_ struct vcpu_image *expected = image_of(4);

	move(w, 4);
	pump_all(w);
	struct vcpu *v = w->node[2].vcpu[4];
	assert_non_null(v->inbox.arrival);
	assert_memory_equal(v->inbox.arrival, expected, sizeof(*expected));
	assert_true(atomic_load(&v->inbox.events) & VCPU_EVENT_ARRIVE);
	assert_int_equal(atomic_load(&w->node[0].moving.left), 1);
	assert_int_equal(atomic_load(&w->node[2].moving.arrived), 1);
	assert_null(w->node[2].vcpu[5]->inbox.arrival);
}

static void interrupts_follow_it(void **state)
{
	struct world *w = *state;

	/* Sent before it left, not yet taken by node 0; sent by who does not know yet. */
	send_vector(w, 1, 4, 0x60);
	move(w, 4);
	send_vector(w, 1, 4, 0x61);
	/* What was in its inbox when it left. */
	interrupts_pass_on(&w->node[0].irq, 4, IRQ_FIXED, 0x62, false);
	send_vector(w, 0, 4, 0x63);
	pump_all(w);
	for (unsigned vector = 0x60; vector <= 0x63; vector++)
		assert_true(has(w, 2, 4, (uint8_t)vector));

	/* By now all know: node 0 has nothing to do with it. */
	send_vector(w, 1, 4, 0x64);
	assert_int_equal(pump(w, 1, 2), 0);
	assert_true(has(w, 2, 4, 0x64));
	send_vector(w, 2, 4, 0x65);
	assert_true(has(w, 2, 4, 0x65));
	for (unsigned vector = 0x60; vector <= 0x65; vector++)
		assert_false(has(w, 0, 4, (uint8_t)vector));
}

static void init_and_sipi_follow_it_too(void **state)
{
	struct world *w = *state;

	move(w, 3);
	interrupts_pass_on(&w->node[0].irq, 3, IRQ_INIT, 0, false);
	interrupts_pass_on(&w->node[0].irq, 3, IRQ_SIPI, 0x9a, false);
	interrupts_pass_on(&w->node[0].irq, 3, IRQ_NMI, 0, false);
	interrupts_pass_on(&w->node[0].irq, 3, IRQ_FIXED, 0x77, true);
	pump_all(w);
	struct vcpu_inbox *inbox = &w->node[1].vcpu[3]->inbox;
	uint32_t all = VCPU_EVENT_ARRIVE | VCPU_EVENT_INIT | VCPU_EVENT_SIPI | VCPU_EVENT_NMI |
		       VCPU_EVENT_VECTOR;
	assert_int_equal(atomic_load(&inbox->events), all);
	assert_int_equal(atomic_load(&inbox->sipi), 0x9a);
	assert_true(atomic_load(&inbox->level[1]) >> (0x77 - 64) & 1);
}

static void a_broadcast_reaches_each_where_it_is(void **state)
{
	struct world *w = *state;
	const struct irq_message m = {.vector = 0x44, .shorthand = IRQ_TO_OTHERS};

	move(w, 4);
	move(w, 3);
	pump_all(w);
	assert_true(interrupts_send(&w->node[1].irq, 3, &m));
	pump_all(w);
	static const unsigned at[VCPUS] = {0, 0, 0, NODES, 2, 0};
	for (unsigned v = 0; v < VCPUS; v++)
		for (unsigned node = 0; node < NODES; node++)
			assert_int_equal(has(w, node, v, 0x44), node == at[v]);
}

/* ---- what no peer may send ---- */

static void send_part(struct world *w, unsigned from, unsigned to, uint64_t index, uint32_t offset,
		      size_t len)
{
	uint8_t part[WIRE_PAYLOAD_MAX] = {0};
	const struct wire_part head = {.offset = offset};

	memcpy(part, &head, sizeof(head));
	link_send(&w->node[from].link[to],
		  (struct wire_hdr){.type = WIRE_VCPU_STATE, .addr = index}, part,
		  sizeof(head) + len);
}

static void a_wrong_state_is_refused(void **state)
{
	static const struct {
		unsigned from, to;
		uint64_t index;
		uint32_t offset;
	} wrong[] = {
		{1, 2, 4, 0},			     /* not from node 0 */
		{0, 2, 3, 0},			     /* another node's vCPU */
		{0, 2, VCPUS, 0},		     /* nobody's */
		{0, 2, UINT64_MAX, 0},		     /* nobody's */
		{0, 2, 4, 100},			     /* a gap */
		{0, 2, 4, UINT32_MAX}, {1, 0, 0, 0}, /* what is node 0's never was elsewhere */
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct world *w;

		assert_int_equal(set_up((void **)&w), 0);
		send_part(w, wrong[i].from, wrong[i].to, wrong[i].index, wrong[i].offset, 64);
		assert_int_equal(pump(w, wrong[i].from, wrong[i].to), -EPROTO);
		tear_down((void **)&w);
	}
}

static void a_state_that_is_too_long_is_refused(void **state)
{
	struct world *w = *state;

	const size_t whole = sizeof(struct vcpu_image) / WIRE_PART_MAX * WIRE_PART_MAX;

	for (size_t done = 0; done < whole; done += WIRE_PART_MAX)
		send_part(w, 0, 2, 4, (uint32_t)done, WIRE_PART_MAX);
	assert_int_equal(pump(w, 0, 2), 0);
	send_part(w, 0, 2, 4, (uint32_t)whole, sizeof(struct vcpu_image) - whole + 1);
	assert_int_equal(pump(w, 0, 2), -EPROTO);
	assert_null(w->node[2].vcpu[4]->inbox.arrival);
}

static void a_vcpu_arrives_once(void **state)
{
	struct world *w = *state;

	move(w, 4);
	pump_all(w);
	send_part(w, 0, 2, 4, 0, 64);
	assert_int_equal(pump(w, 0, 2), -EPROTO);
}

static void a_wrong_home_is_refused(void **state)
{
	static const struct {
		unsigned from, to;
		uint64_t index;
	} wrong[] = {{2, 1, 0}, {2, 1, 3}, {2, 1, VCPUS}, {2, 1, UINT64_MAX}, {2, 0, 4}};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct world *w;

		assert_int_equal(set_up((void **)&w), 0);
		link_send(&w->node[wrong[i].from].link[wrong[i].to],
			  (struct wire_hdr){.type = WIRE_VCPU_HOME, .addr = wrong[i].index}, NULL,
			  0);
		assert_int_equal(pump(w, wrong[i].from, wrong[i].to), -EPROTO);
		tear_down((void **)&w);
	}
}

static void an_interrupt_for_a_vcpu_that_is_not_here_is_refused(void **state)
{
	static const struct {
		unsigned to;
		uint8_t node;
		uint64_t vcpus;
	} wrong[] = {
		{1, 1, 1},     /* still on node 0 */
		{1, 2, 1},     /* never here */
		{1, 0, 1},     /* never here */
		{0, 0, 4},     /* node 0 has two */
		{0, NODES, 1}, /* no such node */
		{1, MAX_NODES - 1, 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const struct wire_ipi ipi = {.vector = 0x40, .vcpus = wrong[i].vcpus};
		struct world *w;

		assert_int_equal(set_up((void **)&w), 0);
		link_send(&w->node[2].link[wrong[i].to],
			  (struct wire_hdr){.type = WIRE_IPI, .node = wrong[i].node}, &ipi,
			  sizeof(ipi));
		assert_int_equal(pump(w, 2, wrong[i].to), -EPROTO);
		tear_down((void **)&w);
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(an_interrupt_goes_where_the_vcpu_lodges),
		CASE(a_vcpu_arrives_as_it_left),
		CASE(interrupts_follow_it),
		CASE(init_and_sipi_follow_it_too),
		CASE(a_broadcast_reaches_each_where_it_is),
		cmocka_unit_test(a_wrong_state_is_refused),
		CASE(a_state_that_is_too_long_is_refused),
		CASE(a_vcpu_arrives_once),
		cmocka_unit_test(a_wrong_home_is_refused),
		cmocka_unit_test(an_interrupt_for_a_vcpu_that_is_not_here_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
