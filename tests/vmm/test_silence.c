/* SPDX-License-Identifier: Apache-2.0 */
/* A peer that hangs, its connections open, by one node's view: without a clock of its own. */
#include "tests/check.h"

#include "base/clock.h"
#include "tests/vmm/node_rig.h"

#define SILENCE_NS (SILENCE_MS * NSEC_PER_MSEC)
#define LOOK_NS	   NSEC_PER_SEC /* by then it has been looked again, whatever was before */

/* All peers were heard when the node says that it is @ns. What it says is passed in, and so is
 * this. */
static uint64_t open_rig(struct node_rig *rig, unsigned self)
{
	const uint64_t then = clock_now_ns() - NSEC_PER_SEC;

	node_rig_open(rig, self, false);
	rig->n->tsc_holds = true;
	for (unsigned i = 0; i < RIG_NODES; i++)
		rig->n->heard[i] = then;
	return then;
}

static void the_first_node_looks_at_all(void **state)
{
	for (unsigned silent = 1; silent < RIG_NODES; silent++) {
		struct node_rig rig;
		uint64_t then = open_rig(&rig, 0);

		for (unsigned i = 1; i < RIG_NODES; i++)
			rig.n->heard[i] += i == silent ? 0 : LOOK_NS;
		peers_time(rig.n, then + SILENCE_NS);
		assert_false(node_stopping(rig.n));
		peers_time(rig.n, then + SILENCE_NS + LOOK_NS);
		assert_true(node_stopping(rig.n));
		assert_int_equal(rig.n->stop.culprit, silent);
		node_rig_expect_stop(&rig, "was lost (silent for 20 s)");
		node_rig_close(&rig);
	}
}

/* Whatever it says. */
static void who_was_heard_is_not_silent(void **state)
{
	struct node_rig rig;
	uint64_t then = open_rig(&rig, 0);

	assert_int_equal(node_rig_hear(&rig, WIRE_CLASS_CONTROL, 1,
				       (struct wire_hdr){.type = WIRE_PING}, NULL),
			 0);
	assert_true(rig.n->heard[1] > then);
	peers_time(rig.n, rig.n->heard[1] + SILENCE_NS);
	assert_int_equal(rig.n->stop.culprit, 2);
	node_rig_close(&rig);
}

/* The others talk to the first node alone. */
static void others_look_at_the_first(void **state)
{
	struct node_rig rig;
	uint64_t then = open_rig(&rig, 1);

	rig.n->heard[0] += LOOK_NS;
	peers_time(rig.n, then + SILENCE_NS + LOOK_NS);
	assert_false(node_stopping(rig.n));
	peers_time(rig.n, then + SILENCE_NS + 2 * LOOK_NS);
	assert_int_equal(rig.n->stop.culprit, 0);
	node_rig_close(&rig);
}

/* Before the guest runs a node may be busy with its start: that has deadlines of its own. */
static void nobody_need_say_anything_before_the_guest_runs(void **state)
{
	struct node_rig rig;
	uint64_t then = open_rig(&rig, 0);

	rig.n->run_ns = 0;
	peers_time(rig.n, then + 3 * SILENCE_NS);
	assert_false(node_stopping(rig.n));
	node_rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_node_looks_at_all),
		cmocka_unit_test(who_was_heard_is_not_silent),
		cmocka_unit_test(others_look_at_the_first),
		cmocka_unit_test(nobody_need_say_anything_before_the_guest_runs),
	};

	return cmocka_run_group_tests_name("silence", tests, NULL, NULL);
}
