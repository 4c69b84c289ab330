/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile peer on control and event connections: node 0 is a real one (tests/vmm/cluster.h), node
 * 1 is this test, which joins as it should and then sends what no node may. The VM must end, and
 * name the culprit.
 */
#include <poll.h>

#include "tests/vmm/guests.h"
#include "transport/tcp.h"

struct player {
	struct cluster *c;
	struct mesh mesh;
	struct listener *listener;
	uint32_t heard; /* bit: type - WIRE_JOIN */
};

static int on_message(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct player *p = ctx;

	if (h->type >= WIRE_JOIN)
		p->heard |= 1u << (h->type - WIRE_JOIN);
	return 0;
}

static void await(struct player *p, enum wire_type type)
{
	struct pollfd fd = {.fd = p->mesh.control[0]->fd, .events = POLLIN};

	while (!(p->heard >> (type - WIRE_JOIN) & 1)) {
		assert_true(poll(&fd, 1, CLUSTER_PATIENCE_S * 1000) > 0);
		assert_true(conn_ready(p->mesh.control[0], on_message, p) >= 0);
	}
}

static void send_raw(struct player *p, enum wire_class class_, struct wire_hdr h,
		     const void *payload)
{
	struct conn *c = class_ == WIRE_CLASS_EVENT ? p->mesh.event[0] : p->mesh.control[0];
	uint8_t bytes[sizeof(h) + WIRE_EVENT_MAX];

	/* Past conn_send(), which would not send what is wrong. */
	memcpy(bytes, &h, sizeof(h));
	memset(bytes + sizeof(h), 0, WIRE_EVENT_MAX);
	if (payload)
		memcpy(bytes + sizeof(h), payload, MIN(h.len, WIRE_EVENT_MAX));
	size_t len = sizeof(h) + MIN(h.len, WIRE_EVENT_MAX);
	assert_int_equal(send(c->fd, bytes, len, MSG_NOSIGNAL), len);
}

static struct wire_hdr header(uint8_t type, uint32_t len)
{
	return (struct wire_hdr){.type = type, .len = len, .from = 1, .epoch = 7};
}

static void join_as(struct player *p, uint32_t more)
{
	struct cpu_identity id;
	struct wire_join body = {0};
	struct err err;
	struct kvm kvm;

	assert_int_equal(kvm_open(&kvm, &err), 0);
	assert_int_equal(cpu_identity_read(&kvm, &id), 0);
	memcpy(body.cpu.word, id.word, sizeof(body.cpu.word));
	memcpy(body.cpu.msr, id.msr, sizeof(body.cpu.msr));
	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++)
		if (cpu_rules[i].join == CPU_EITHER)
			body.cpu.word[i] |= more;
	body.tsc_khz = kvm.tsc_khz;
	kvm_close(&kvm);
	send_raw(p, WIRE_CLASS_CONTROL, header(WIRE_JOIN, sizeof(body)), &body);
}

static void join(struct player *p)
{
	join_as(p, 0);
}

/* Connects as node 1. */
static struct player player_connect(struct cluster *c)
{
	const char *address[2] = {c->cfg->nodes[0].address, c->cfg->nodes[1].address};
	const char *name[2] = {c->cfg->nodes[0].name, c->cfg->nodes[1].name};
	struct mesh_config mesh = {
		.nodes = 2,
		.self = 1,
		.shards = c->cfg->pager.shards,
		.address = address,
		.name = name,
		.epoch = 7,
		.timeout_ms = CLUSTER_PATIENCE_S * 1000,
		.cancel_fd = -1,
	};
	struct player p = {.c = c};
	struct err err;

	assert_int_equal(cluster_digest(c->cfg, &mesh.config_digest), 0);
	assert_int_equal(transport_listen(tcp_transport(), address[1], NULL, &p.listener, &err), 0);
	mesh.listener = p.listener;
	if (mesh_connect(&mesh, &p.mesh, &err) < 0)
		fail_msg("%s", err.text);
	return p;
}

/* Node 0 runs, and waits for nothing of us. */
static struct player player_ready(void)
{
	struct cluster *c = CLUSTER_MAKE(2, echo);

	cluster_start(c, 1);
	struct player p = player_connect(c);
	join(&p);
	await(&p, WIRE_START);
	send_raw(&p, WIRE_CLASS_CONTROL, header(WIRE_READY, 0), NULL);
	cluster_await_event(c, 0, "ready");
	return p;
}

static void player_leave(struct player *p)
{
	mesh_close(&p->mesh);
	listener_close(p->listener);
	cluster_destroy(p->c);
}

static void expect_blame(struct player *p)
{
	cluster_expect_end(p->c, 0, "failed", "node node1 was lost (it broke the protocol)");
	const json_t *e = cluster_await_event(p->c, 0, "stopped");
	assert_string_equal(json_string_value(json_object_get(e, "culprit")), "node1");
}

static void what_no_node_may_send_ends_the_vm(void **state)
{
	const struct wire_ipi ipi = {.vector = 0x40, .vcpus = 1}, smi = {.mode = 2, .vcpus = 1},
			      many = {.vector = 0x40, .vcpus = 2},
			      odd = {.vector = 0x40, .vcpus = 1, .level = 2};
	const struct wire_io reply = {.cookie = 0x100, .addr = 0x3f8, .count = 1, .size = 1},
			     request = {.addr = 0x3f8, .count = 1, .size = 3},
			     reserved = {.addr = 0x3f8, .count = 1, .size = 1, .reserved = 1};
	const struct wire_start start = {.tsc_khz = 1};
	const struct {
		enum wire_class class_;
		struct wire_hdr h;
		const void *payload;
	} wrong[] = {
		{WIRE_CLASS_CONTROL, header(200, 0)},
		{WIRE_CLASS_CONTROL, header(0, 0)},
		{WIRE_CLASS_CONTROL, header(WIRE_HELLO, sizeof(struct wire_hello))},
		{WIRE_CLASS_CONTROL, header(WIRE_GETS, 0)},
		{WIRE_CLASS_CONTROL, header(WIRE_JOIN, sizeof(struct wire_join))},
		{WIRE_CLASS_CONTROL, header(WIRE_JOIN, 1)},
		{WIRE_CLASS_CONTROL, header(WIRE_START, sizeof(start)), &start},
		{WIRE_CLASS_CONTROL, header(WIRE_PONG, sizeof(struct wire_pong))},
		{WIRE_CLASS_CONTROL, {.type = WIRE_PING, .from = 1, .epoch = 8}},
		{WIRE_CLASS_CONTROL, {.type = WIRE_PING, .from = 0, .epoch = 7}},
		{WIRE_CLASS_CONTROL, header(WIRE_PING, UINT32_MAX)},
		{WIRE_CLASS_CONTROL, header(WIRE_STOP, 0)}, /* no reason */
		{WIRE_CLASS_CONTROL,
		 {.type = WIRE_STOP, .from = 1, .epoch = 7, .flags = WIRE_STOP_FAILED, .addr = 9}},
		{WIRE_CLASS_CONTROL,
		 {.type = WIRE_PHASE, .from = 1, .epoch = 7, .flags = WIRE_PHASE_PAUSE}},
		{WIRE_CLASS_CONTROL,
		 {.type = WIRE_PHASE_DONE, .from = 1, .epoch = 7, .flags = WIRE_PHASE_PAUSE}},
		{WIRE_CLASS_EVENT, header(200, 0)},
		{WIRE_CLASS_EVENT, header(WIRE_JOIN, sizeof(struct wire_join))},
		{WIRE_CLASS_EVENT, header(WIRE_IPI, sizeof(smi)), &smi},
		{WIRE_CLASS_EVENT, header(WIRE_IPI, sizeof(many)), &many},
		{WIRE_CLASS_EVENT, header(WIRE_IPI, sizeof(odd)), &odd},
		{WIRE_CLASS_EVENT,
		 {.type = WIRE_IPI, .len = sizeof(ipi), .from = 1, .epoch = 7, .node = 40},
		 &ipi},
		{WIRE_CLASS_EVENT, header(WIRE_IO_REPLY, sizeof(reply)), &reply},
		{WIRE_CLASS_EVENT, header(WIRE_IO_REQUEST, sizeof(request)), &request},
		{WIRE_CLASS_EVENT, header(WIRE_IO_REQUEST, sizeof(reserved)), &reserved},
		{WIRE_CLASS_EVENT, header(WIRE_VCPU_STATE, 100)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct player p = player_ready();

		send_raw(&p, wrong[i].class_, wrong[i].h, wrong[i].payload);
		expect_blame(&p);
		player_leave(&p);
	}
}

/* What one host says of its weaknesses all guests see: any feature, if it were believed. */
static void a_cpu_of_bits_that_no_rule_has_ends_the_vm(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, echo);

	cluster_start(c, 1);
	struct player p = player_connect(c);
	join_as(&p, UINT32_MAX);
	expect_blame(&p);
	player_leave(&p);
}

static void events_before_all_are_ready_end_the_vm(void **state)
{
	const struct wire_ipi ipi = {.vector = 0x40, .vcpus = 1};
	struct cluster *c = CLUSTER_MAKE(2, echo);

	cluster_start(c, 1);
	struct player p = player_connect(c);
	send_raw(&p, WIRE_CLASS_EVENT, header(WIRE_IPI, sizeof(ipi)), &ipi);
	expect_blame(&p);
	player_leave(&p);
}

static void a_stop_with_any_text_is_told(void **state)
{
	static const char text[] = "\xffy\xc3y\x1b[2J\n\0bad";
	struct wire_hdr h = header(WIRE_STOP, sizeof(text) - 1);
	struct player p = player_ready();

	h.flags = WIRE_STOP_FAILED;
	send_raw(&p, WIRE_CLASS_CONTROL, h, text);
	cluster_expect_end(p.c, 0, "failed", "?y?y?[2J?");
	player_leave(&p);
}

static void half_a_message_and_gone_is_a_loss(void **state)
{
	struct player p = player_ready();

	assert_int_equal(send(p.mesh.control[0]->fd, "\0\0\0", 3, MSG_NOSIGNAL), 3);
	mesh_close(&p.mesh);
	p.mesh = (struct mesh){0};
	cluster_expect_end(p.c, 0, "failed", "node node1 was lost");
	player_leave(&p);
}

static void a_peer_that_goes_in_a_phase_ends_the_vm(void **state)
{
	struct player p = player_ready();

	/* As a line: its answer is an event. */
	cluster_send_line(p.c, 0, "{\"command\":\"pause\",\"id\":1}\n");
	await(&p, WIRE_PHASE);
	mesh_close(&p.mesh);
	p.mesh = (struct mesh){0};
	cluster_expect_end(p.c, 0, "failed", "node node1 was lost");
	assert_true(json_is_false(json_object_get(cluster_await_event(p.c, 0, "reply"), "ok")));
	player_leave(&p);
}

static void a_phase_is_confirmed_once_and_as_it_is(void **state)
{
	static const struct {
		unsigned count;
		enum wire_phase phase;
	} wrong[] = {{2, WIRE_PHASE_PAUSE},
		     {1, WIRE_PHASE_STAND},
		     {1, WIRE_PHASE_TIME},
		     {1, WIRE_PHASE_RESUME}};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct wire_hdr h = header(WIRE_PHASE_DONE, 0);
		struct player p = player_ready();

		cluster_send_line(p.c, 0, "{\"command\":\"pause\",\"id\":1}\n");
		await(&p, WIRE_PHASE);
		h.flags = (uint8_t)wrong[i].phase;
		for (unsigned k = 0; k < wrong[i].count; k++)
			send_raw(&p, WIRE_CLASS_CONTROL, h, NULL);
		expect_blame(&p);
		player_leave(&p);
	}
}

/* Each time by less than what is a violation alone. */
static void a_peer_that_is_ahead_all_the_time_ends_the_vm(void **state)
{
	struct player p = player_ready();
	const struct node *n = p.c->member[0].node;
	struct guest_clock *clock = &p.c->member[0].node->clock;
	uint64_t ahead = 40 * clock->tsc_khz, now = __rdtsc();
	struct wire_hdr h = header(WIRE_EOI, 0);

	h.addr = 0x40;
	h.stamp = guest_clock_tsc(clock) + ahead;
	send_raw(&p, WIRE_CLASS_EVENT, h, NULL);
	while (guest_clock_tsc(clock) < h.stamp)
		sched_yield();
	assert_false(node_stopping(n));
	while (patience_take(&clock->patience[1], now, ahead, clock->tsc_khz))
		now += ahead;
	/* Again, if it was taken so late that it was not ahead. */
	while (!node_stopping(n)) {
		h.stamp = guest_clock_tsc(clock) + ahead;
		if (send(p.mesh.event[0]->fd, &h, sizeof(h), MSG_NOSIGNAL) < 0)
			break;
		while (guest_clock_tsc(clock) < h.stamp && !node_stopping(n))
			sched_yield();
	}
	expect_blame(&p);
	player_leave(&p);
}

/* A node's clock may not stand while another's vCPUs still run: the pauses' lengths would differ.
 */
static void clocks_stand_when_all_have_parked(void **state)
{
	struct wire_hdr h = header(WIRE_PHASE_DONE, 0);
	struct player p = player_ready();

	cluster_send_line(p.c, 0, "{\"command\":\"pause\",\"id\":1}\n");
	await(&p, WIRE_PHASE);
	assert_int_equal(guest_clock_stood(&p.c->member[0].node->clock), 0);
	p.heard = 0;
	h.flags = WIRE_PHASE_PAUSE;
	send_raw(&p, WIRE_CLASS_CONTROL, h, NULL);
	await(&p, WIRE_PHASE);
	h.flags = WIRE_PHASE_STAND;
	send_raw(&p, WIRE_CLASS_CONTROL, h, NULL);
	assert_true(json_is_true(json_object_get(cluster_await_event(p.c, 0, "reply"), "ok")));
	assert_true(guest_clock_stood(&p.c->member[0].node->clock) > 0);
	mesh_close(&p.mesh);
	p.mesh = (struct mesh){0};
	cluster_expect_end(p.c, 0, "failed", "node node1 was lost");
	player_leave(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_no_node_may_send_ends_the_vm),
		cmocka_unit_test(a_cpu_of_bits_that_no_rule_has_ends_the_vm),
		cmocka_unit_test(events_before_all_are_ready_end_the_vm),
		cmocka_unit_test(a_stop_with_any_text_is_told),
		cmocka_unit_test(half_a_message_and_gone_is_a_loss),
		cmocka_unit_test(a_peer_that_goes_in_a_phase_ends_the_vm),
		cmocka_unit_test(a_phase_is_confirmed_once_and_as_it_is),
		cmocka_unit_test(a_peer_that_is_ahead_all_the_time_ends_the_vm),
		cmocka_unit_test(clocks_stand_when_all_have_parked),
	};

	return cluster_usable() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
