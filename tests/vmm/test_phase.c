/* SPDX-License-Identifier: Apache-2.0 */
/* The phases of a pause, one node's view of them, step by step and without a clock of its own. */
#include "tests/check.h"
#include "tests/vmm/node_rig.h"
#include "vmm/phase.h"

#define BEGIN	 UINT64_C(1000)
#define PATIENCE (PHASE_PATIENCE_S * NSEC_PER_SEC)

static int hear_phase(struct node_rig *rig, unsigned peer, enum wire_type type,
		      enum wire_phase phase, uint64_t ticks)
{
	return node_rig_hear(
		rig, WIRE_CLASS_CONTROL, peer,
		(struct wire_hdr){.type = (uint8_t)type, .flags = (uint8_t)phase, .addr = ticks},
		NULL);
}

static void done(struct node_rig *rig, unsigned peer, enum wire_phase phase)
{
	assert_int_equal(hear_phase(rig, peer, WIRE_PHASE_DONE, phase, 0), 0);
}

static void expect_under_way(const struct node_rig *rig, enum wire_phase phase)
{
	assert_false(node_stopping(rig->n));
	assert_int_equal(rig->n->phase.now, phase);
	assert_int_equal(rig->answers, 0);
}

/* ---- the deadline ---- */

static void a_peer_has_a_minute(void **state)
{
	struct node_rig rig;

	node_rig_open(&rig, 0, false);
	node_rig_command(&rig, "pause");
	phase_step(rig.n, BEGIN);
	done(&rig, 1, WIRE_PHASE_PAUSE);
	phase_step(rig.n, BEGIN + PATIENCE);
	expect_under_way(&rig, WIRE_PHASE_PAUSE);
	phase_step(rig.n, BEGIN + PATIENCE + 1);
	node_rig_expect_stop(&rig, "node node2 did not pause the guest within 60 s");
	node_rig_close(&rig);
	/* Whoever asked is not left without an answer. */
	assert_int_equal(rig.answers, 1);
	assert_false(rig.ok);
}

/* The minute is one phase's. */
static void each_phase_has_its_own_minute(void **state)
{
	struct node_rig rig;

	node_rig_open(&rig, 0, false);
	node_rig_command(&rig, "pause");
	phase_step(rig.n, BEGIN);
	for (unsigned peer = 1; peer < RIG_NODES; peer++)
		done(&rig, peer, WIRE_PHASE_PAUSE);
	phase_step(rig.n, BEGIN + PATIENCE);
	phase_step(rig.n, BEGIN + 2 * PATIENCE);
	expect_under_way(&rig, WIRE_PHASE_STAND);
	phase_step(rig.n, BEGIN + 2 * PATIENCE + 1);
	node_rig_expect_stop(&rig, "node node1 did not pause the guest within 60 s");
	node_rig_close(&rig);
}

static void a_resume_that_never_ends_is_told_as_one(void **state)
{
	struct node_rig rig;

	node_rig_open(&rig, 0, false);
	rig.n->phase.last = WIRE_PHASE_STAND;
	guest_clock_stop(&rig.n->clock);
	node_rig_command(&rig, "resume");
	phase_step(rig.n, BEGIN);
	expect_under_way(&rig, WIRE_PHASE_TIME);
	phase_step(rig.n, BEGIN + PATIENCE + 1);
	node_rig_expect_stop(&rig, "node node1 did not resume the guest within 60 s");
	node_rig_close(&rig);
}

/* A vCPU of node 0 that does not park: nobody else is to blame, whoever has answered. */
static void the_first_node_blames_itself(void **state)
{
	struct node_rig rig;

	node_rig_open(&rig, 0, false);
	struct vcpu *v = aligned_alloc(64, ALIGN_UP(sizeof(*v), 64));

	assert_non_null(v);
	memset(v, 0, sizeof(*v));
	rig.n->vcpu[0] = v;
	node_rig_command(&rig, "pause");
	phase_step(rig.n, BEGIN);
	done(&rig, 1, WIRE_PHASE_PAUSE);
	phase_step(rig.n, BEGIN + PATIENCE + 1);
	node_rig_expect_stop(&rig, "node node0 did not pause");
	node_rig_close(&rig);
}

/* Who only follows has no deadline: node 0 has, and says it to all. */
static void who_follows_waits(void **state)
{
	struct node_rig rig;

	node_rig_open(&rig, 1, false);
	struct vcpu *v = aligned_alloc(64, ALIGN_UP(sizeof(*v), 64));

	assert_non_null(v);
	memset(v, 0, sizeof(*v));
	rig.n->vcpu[1] = v;
	assert_int_equal(hear_phase(&rig, 0, WIRE_PHASE, WIRE_PHASE_PAUSE, 0), 0);
	phase_step(rig.n, BEGIN);
	phase_step(rig.n, BEGIN + 2 * PATIENCE);
	expect_under_way(&rig, WIRE_PHASE_PAUSE);
	assert_int_equal(rig.count, 0);
	node_rig_close(&rig);
}

/* ---- phases that follow at once ---- */

/* A lone node awaits nobody: both phases of a pause in one step. */
static void a_phase_that_awaits_nobody_is_not_waited_for(void **state)
{
	struct node_rig rig;

	node_rig_open(&rig, 0, true);
	node_rig_command(&rig, "pause");
	phase_step(rig.n, BEGIN);
	assert_int_equal(rig.answers, 1);
	assert_true(rig.ok);
	assert_true(guest_clock_stood(&rig.n->clock) > 0);
	node_rig_command(&rig, "resume");
	phase_step(rig.n, BEGIN);
	assert_int_equal(rig.answers, 2);
	assert_true(rig.ok);
	assert_int_equal(guest_clock_stood(&rig.n->clock), 0);
	node_rig_close(&rig);
}

/* The last answer is in: the next phase is told, and carried out here, in the same step. */
static void the_next_phase_begins_with_the_last_answer(void **state)
{
	struct node_rig rig;

	node_rig_open(&rig, 0, false);
	node_rig_command(&rig, "pause");
	phase_step(rig.n, BEGIN);
	assert_int_equal(rig.count, RIG_NODES - 1);
	for (unsigned peer = 1; peer < RIG_NODES; peer++)
		done(&rig, peer, WIRE_PHASE_PAUSE);
	phase_step(rig.n, BEGIN);
	assert_int_equal(rig.count, 2 * (RIG_NODES - 1));
	for (unsigned i = 0; i < rig.count; i++) {
		bool second = i >= RIG_NODES - 1;

		assert_int_equal(rig.sent[i].type, WIRE_PHASE);
		assert_int_equal(rig.sent[i].flags, second ? WIRE_PHASE_STAND : WIRE_PHASE_PAUSE);
		assert_int_equal(rig.sent_to[i], 1 + i % (RIG_NODES - 1));
	}
	assert_true(guest_clock_stood(&rig.n->clock) > 0);
	expect_under_way(&rig, WIRE_PHASE_STAND);
	node_rig_close(&rig);
}

/* Node 0, which answers as soon as it hears. */
static void next_at_once(struct node_rig *rig, const struct wire_hdr *h)
{
	enum wire_phase next[] = {
		[WIRE_PHASE_PAUSE] = WIRE_PHASE_STAND,
		[WIRE_PHASE_STAND] = WIRE_PHASE_TIME,
		[WIRE_PHASE_TIME] = WIRE_PHASE_RESUME,
	};

	assert_int_equal(h->type, WIRE_PHASE_DONE);
	if (h->flags == WIRE_PHASE_RESUME)
		return;
	enum wire_phase phase = next[h->flags];
	uint64_t ticks = phase == WIRE_PHASE_TIME ? guest_clock_stood(&rig->n->clock) : 0;
	assert_int_equal(hear_phase(rig, 0, WIRE_PHASE, phase, ticks), 0);
}

/* When node 0 learns that a phase is over here, nothing of it is left that the next could meet. */
static void a_node_that_has_answered_takes_the_next_phase(void **state)
{
	struct node_rig rig;

	node_rig_open(&rig, 1, false);
	rig.on_send = next_at_once;
	assert_int_equal(hear_phase(&rig, 0, WIRE_PHASE, WIRE_PHASE_PAUSE, 0), 0);
	for (unsigned i = 1; i <= 4; i++) {
		phase_step(rig.n, BEGIN);
		assert_int_equal(rig.count, i);
	}
	assert_int_equal(rig.n->phase.last, WIRE_PHASE_RESUME);
	assert_int_equal(rig.n->phase.now, 0);
	node_rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_has_a_minute),
		cmocka_unit_test(each_phase_has_its_own_minute),
		cmocka_unit_test(a_resume_that_never_ends_is_told_as_one),
		cmocka_unit_test(the_first_node_blames_itself),
		cmocka_unit_test(who_follows_waits),
		cmocka_unit_test(a_phase_that_awaits_nobody_is_not_waited_for),
		cmocka_unit_test(the_next_phase_begins_with_the_last_answer),
		cmocka_unit_test(a_node_that_has_answered_takes_the_next_phase),
	};

	return cmocka_run_group_tests_name("phase", tests, NULL, NULL);
}
