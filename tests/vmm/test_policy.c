/* SPDX-License-Identifier: Apache-2.0 */
/* Where a vCPU is to run and how, by what it does: decisions alone, no KVM, no thread. */
#include "tests/check.h"

#include "vmm/policy.h"

enum { OWN, SECOND, THIRD, VCPUS }; /* a vCPU of each of three nodes */

static const struct topology topology = {.nodes = 3, .vcpus = VCPUS, .node = {0, 1, 2}};
static const struct vcpu_usage kernel = {.cpu_ns = POLICY_LODGES_NS},
			       busy = {.cpu_ns = POLICY_LODGES_NS + 1},
			       user = {.cpu_ns = 1, .user = true};

static struct policy first_node(void)
{
	struct policy p;

	policy_init(&p, 0, &topology, true);
	return p;
}

static void a_lodger_goes_home_with_work_of_its_own(void **state)
{
	struct policy p = first_node();

	for (unsigned i = SECOND; i <= THIRD; i++) {
		assert_true(policy_looks(&p, i));
		assert_int_equal(policy_where(&p, i, &kernel), 0);
		assert_int_equal(policy_where(&p, i, &busy), i);
		assert_int_equal(policy_where(&p, i, &user), i);
	}
}

static void a_vcpu_at_home_stays(void **state)
{
	struct policy p = first_node();

	assert_false(policy_looks(&p, OWN));
	assert_int_equal(policy_where(&p, OWN, &busy), 0);
	assert_int_equal(policy_where(&p, OWN, &user), 0);
	/* One that comes home, too. */
	policy_init(&p, 1, &topology, true);
	policy_is_here(&p, SECOND, true);
	assert_false(policy_looks(&p, SECOND));
	assert_int_equal(policy_where(&p, SECOND, &user), 1);
	assert_int_equal(policy_slice(&p), 0);
	assert_false(policy_yields(&p));
}

static void one_that_could_not_go_does_not_try_again(void **state)
{
	struct policy p = first_node();

	policy_has_stayed(&p, SECOND);
	assert_false(policy_looks(&p, SECOND));
	assert_int_equal(policy_where(&p, SECOND, &user), 0);
	assert_int_equal(policy_where(&p, THIRD, &user), 2);
	/* It lodges as before. */
	policy_is_here(&p, THIRD, false);
	assert_int_equal(policy_slice(&p), POLICY_SLICE_NS);
	assert_int_equal(policy_slack(&p, SECOND), POLICY_SLACK_NS);
}

static void vcpus_take_turns_while_a_lodger_is_awake(void **state)
{
	struct policy p = first_node();

	assert_int_equal(policy_slice(&p), POLICY_SLICE_NS);
	policy_is_asleep(&p, SECOND, true);
	assert_int_equal(policy_slice(&p), POLICY_SLICE_NS);
	policy_is_asleep(&p, THIRD, true);
	assert_int_equal(policy_slice(&p), 0);
	policy_is_asleep(&p, OWN, true); /* no lodger: does not count */
	policy_is_asleep(&p, OWN, false);
	assert_int_equal(policy_slice(&p), 0);
	policy_is_asleep(&p, SECOND, false);
	assert_int_equal(policy_slice(&p), POLICY_SLICE_NS);
}

static void who_sends_lets_lodgers_go_first_asleep_or_not(void **state)
{
	struct policy p = first_node();

	policy_is_asleep(&p, SECOND, true);
	policy_is_asleep(&p, THIRD, true);
	assert_true(policy_yields(&p));
	policy_is_here(&p, SECOND, false);
	assert_true(policy_yields(&p));
	policy_is_here(&p, THIRD, false);
	assert_false(policy_yields(&p));
}

/* Its thread stays behind, and goes to sleep and wakes up as before. */
static void one_that_has_left_counts_no_more(void **state)
{
	struct policy p = first_node();

	policy_is_asleep(&p, THIRD, true);
	policy_is_here(&p, SECOND, false);
	assert_int_equal(policy_slice(&p), 0);
	policy_is_asleep(&p, SECOND, true);
	policy_is_asleep(&p, SECOND, false);
	assert_int_equal(policy_slice(&p), 0);
	assert_int_equal(policy_slack(&p, SECOND), 0);
	assert_false(policy_looks(&p, SECOND));
	/* Refused there: it is back, awake. */
	policy_is_here(&p, SECOND, true);
	assert_int_equal(policy_slice(&p), POLICY_SLICE_NS);
	/* What is told twice counts once. */
	policy_is_here(&p, SECOND, true);
	policy_is_here(&p, SECOND, false);
	assert_int_equal(policy_slice(&p), 0);
}

static void only_lodgers_are_woken_late(void **state)
{
	struct policy p = first_node();

	assert_int_equal(policy_slack(&p, OWN), 0);
	assert_int_equal(policy_slack(&p, SECOND), POLICY_SLACK_NS);
}

static void nobody_lodges_where_all_start_at_home(void **state)
{
	for (unsigned self = 0; self < topology.nodes; self++) {
		struct policy p;

		policy_init(&p, self, &topology, false);
		assert_int_equal(policy_slice(&p), 0);
		assert_false(policy_yields(&p));
		for (unsigned i = 0; i < VCPUS; i++) {
			assert_false(policy_looks(&p, i));
			assert_int_equal(policy_slack(&p, i), 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lodger_goes_home_with_work_of_its_own),
		cmocka_unit_test(a_vcpu_at_home_stays),
		cmocka_unit_test(one_that_could_not_go_does_not_try_again),
		cmocka_unit_test(vcpus_take_turns_while_a_lodger_is_awake),
		cmocka_unit_test(who_sends_lets_lodgers_go_first_asleep_or_not),
		cmocka_unit_test(one_that_has_left_counts_no_more),
		cmocka_unit_test(only_lodgers_are_woken_late),
		cmocka_unit_test(nobody_lodges_where_all_start_at_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
