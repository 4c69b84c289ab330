/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the event class that a node does not take, or that a connection does not: what
 * arrives at the wrong node, at the wrong time or from a future that no clock explains, and what
 * cannot be sent any more.
 */
#include "tests/check.h"
#include "tests/vmm/node_rig.h"

static const struct wire_ipi ipi = {.vector = 0x40, .vcpus = 1};

static struct wire_hdr header(enum wire_type type, uint32_t len)
{
	return (struct wire_hdr){.type = (uint8_t)type, .len = len};
}

static int hear(struct node_rig *rig, struct wire_hdr h, const void *payload)
{
	return node_rig_hear(rig, WIRE_CLASS_EVENT, 2, h, payload);
}

/* Devices are on node 0: what is for them is wrong anywhere else, and well there. */
static void what_is_for_devices_is_taken_by_their_node_alone(void **state)
{
	const struct wire_io io = {.addr = 0x3f8 + 7, .count = 1, .size = 1};

	for (unsigned self = 0; self < 2; self++) {
		int expected = self == PLATFORM_NODE ? 0 : -EPROTO;
		struct wire_hdr eoi = header(WIRE_EOI, 0);
		struct node_rig rig;

		node_rig_open(&rig, self, false);
		eoi.addr = 0x40;
		assert_int_equal(hear(&rig, eoi, NULL), expected);
		assert_int_equal(hear(&rig, header(WIRE_IO_REQUEST, sizeof(io)), &io), expected);
		assert_int_equal(rig.count, self == PLATFORM_NODE ? 1 : 0);
		node_rig_close(&rig);
	}
}

static void nothing_is_taken_before_the_devices_are_up(void **state)
{
	struct node_rig rig;

	node_rig_open(&rig, 0, false);
	rig.n->platform_up = false;
	assert_int_equal(hear(&rig, header(WIRE_EOI, 0), NULL), -EPROTO);
	/* Of a node that stops: its peers may not know yet. */
	node_quit(rig.n, "over");
	assert_int_equal(hear(&rig, header(WIRE_EOI, 0), NULL), 0);
	node_rig_close(&rig);
}

/* No clock of the cluster can have told this stamp: it is no reason to wait for it. */
static void a_stamp_that_is_far_ahead_is_refused(void **state)
{
	struct wire_hdr h = header(WIRE_IPI, sizeof(ipi));
	struct node_rig rig;

	node_rig_open(&rig, 0, false);
	h.stamp = guest_clock_tsc(&rig.n->clock) + 3600 * UINT64_C(1000) * rig.n->clock.tsc_khz;
	struct vcpu *v = aligned_alloc(64, ALIGN_UP(sizeof(*v), 64));

	assert_non_null(v);
	memset(v, 0, sizeof(*v));
	rig.n->vcpu[0] = v;
	assert_int_equal(hear(&rig, h, &ipi), -EPROTO);
	assert_int_equal(atomic_load(&v->inbox.events), 0);
	h.stamp = guest_clock_tsc(&rig.n->clock);
	assert_int_equal(hear(&rig, h, &ipi), 0);
	assert_int_not_equal(atomic_load(&v->inbox.events), 0);
	node_rig_close(&rig);
}

/* Any thread may send, only the main thread ends what is broken: it is woken to look. */
static void what_cannot_be_sent_wakes_the_main_thread(void **state)
{
	struct node_rig rig;
	uint64_t token;

	node_rig_open(&rig, 1, false);
	struct link *link = &rig.n->link[0];

	link_send(link, header(WIRE_EOI, 0), NULL, 0);
	assert_int_equal(rig.count, 1);
	assert_int_equal(read(rig.n->wake, &token, sizeof(token)), -1);
	rig.event[0].error = -EPIPE;
	link_send(link, header(WIRE_EOI, 0), NULL, 0);
	assert_int_equal(read(rig.n->wake, &token, sizeof(token)), sizeof(token));
	/* Sent in part: what is left needs somebody who waits for room. */
	rig.event[0].error = 0;
	rig.event[0].conn.queued = 1;
	link_send(link, header(WIRE_EOI, 0), NULL, 0);
	assert_int_equal(read(rig.n->wake, &token, sizeof(token)), sizeof(token));
	node_rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_for_devices_is_taken_by_their_node_alone),
		cmocka_unit_test(nothing_is_taken_before_the_devices_are_up),
		cmocka_unit_test(a_stamp_that_is_far_ahead_is_refused),
		cmocka_unit_test(what_cannot_be_sent_wakes_the_main_thread),
	};

	return cmocka_run_group_tests_name("refused", tests, NULL, NULL);
}
