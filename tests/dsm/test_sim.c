/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thousands of seeded schedules of the real core, and that each broken rule is noticed.
 * SIM_SCHEDULES=N makes it longer, SIM_SEED=S starts elsewhere.
 */
#include "tests/check.h"
#include "tests/dsm/sim.h"

#define SCHEDULES	10000
#define STORMS		1000
#define BREAK_SCHEDULES 300
#define FAIL_SCHEDULES	3000
#define SMALL_SCHEDULES 2000
#define LARGE_SCHEDULES 10

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void schedules_keep_every_invariant(void **state)
{
	uint64_t count = from_environment("SIM_SCHEDULES", SCHEDULES);
	uint64_t seed = from_environment("SIM_SEED", 1);
	struct sim_result sum = {0};
	unsigned lost = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct sim_config cfg = {.seed = seed + i};
		struct sim_result res;

		if (sim_run(&cfg, &res) < 0)
			fail_msg("seed %llu: %s (%s); replay: sim --seed %llu --verbose",
				 (unsigned long long)cfg.seed, res.failure, res.shape,
				 (unsigned long long)cfg.seed);
		lost += res.lost;
		sum.held += res.held;
		sum.queued += res.queued;
		sum.joined += res.joined;
		sum.prefetches += res.prefetches;
		sum.idle += res.idle;
		sum.returns += res.returns;
		sum.untracked += res.untracked;
		sum.moves += res.moves;
		sum.faults += res.faults;
	}
	/* The schedules went where the difficulties are. */
	assert_true(lost > count / 100);
	assert_true(sum.held > count);
	assert_true(sum.queued > count);
	assert_true(sum.joined > count);
	assert_true(sum.faults > 10 * count);
	assert_true(sum.prefetches > count);
	assert_true(sum.idle > count);
	assert_true(sum.returns > count);
	assert_true(sum.untracked > count / 10);
	assert_true(sum.moves > count);
}

/* Nodes that give back all but a few pages, as those of a host that is too small. */
static void small_nodes_keep_every_invariant(void **state)
{
	uint64_t returns = 0;

	for (uint64_t seed = 1; seed <= SMALL_SCHEDULES; seed++) {
		struct sim_config cfg = {.seed = seed, .limit = true};
		struct sim_result res;

		if (sim_run(&cfg, &res) < 0)
			fail_msg("seed %llu: %s (%s); replay: sim --limit --seed %llu --verbose",
				 (unsigned long long)seed, res.failure, res.shape,
				 (unsigned long long)seed);
		returns += res.returns;
	}
	assert_true(returns > SMALL_SCHEDULES);
}

/* Only turns that go by age help here: see dsm/hold.h. */
static void instructions_that_need_several_pages_end(void **state)
{
	for (uint64_t seed = 1; seed <= STORMS; seed++) {
		struct sim_config cfg = {.seed = seed, .storm = true};
		struct sim_result res;

		if (sim_run(&cfg, &res) < 0)
			fail_msg("seed %llu: %s (%s); replay: sim --storm --seed %llu --verbose",
				 (unsigned long long)seed, res.failure, res.shape,
				 (unsigned long long)seed);
	}
}

/* Of clusters that are larger than those by chance, up to the largest. */
static void many_nodes_keep_every_invariant(void **state)
{
	static const unsigned nodes[] = {8, 33, MAX_NODES};

	for (uint64_t seed = 1; seed <= ARRAY_SIZE(nodes) * LARGE_SCHEDULES; seed++) {
		struct sim_config cfg = {.seed = seed, .nodes = nodes[seed % ARRAY_SIZE(nodes)]};
		struct sim_result res;

		if (sim_run(&cfg, &res) < 0)
			fail_msg("seed %llu: %s (%s); replay: sim --nodes %u --seed %llu --verbose",
				 (unsigned long long)seed, res.failure, res.shape, cfg.nodes,
				 (unsigned long long)seed);
	}
}

static void an_action_that_fails_ends_its_core(void **state)
{
	unsigned failed = 0;

	for (uint64_t seed = 1; seed <= FAIL_SCHEDULES; seed++) {
		struct sim_config cfg = {.seed = seed, .fail = true};
		struct sim_result res;

		if (sim_run(&cfg, &res) < 0)
			fail_msg("seed %llu: %s (%s); replay: sim --fail --seed %llu --verbose",
				 (unsigned long long)seed, res.failure, res.shape,
				 (unsigned long long)seed);
		failed += res.failed;
	}
	assert_true(failed > FAIL_SCHEDULES / 2);
}

static void same_seed_gives_the_same_run(void **state)
{
	struct sim_config cfg = {.seed = 4711};
	struct sim_result a, b;

	assert_int_equal(sim_run(&cfg, &a), 0);
	assert_int_equal(sim_run(&cfg, &b), 0);
	assert_string_equal(a.shape, b.shape);
	assert_int_equal(a.events, b.events);
	assert_int_equal(a.accesses, b.accesses);
	assert_int_equal(a.messages, b.messages);
	assert_int_equal(a.faults, b.faults);
	assert_int_equal(a.prefetches, b.prefetches);
	assert_int_equal(a.held, b.held);
	assert_int_equal(a.idle, b.idle);
}

static void broken_rules_are_noticed(void **state)
{
	for (unsigned rule = SIM_BREAK_NOTHING + 1; rule < SIM_BREAK_URGE; rule++) {
		unsigned noticed = 0;

		for (uint64_t seed = 1; seed <= BREAK_SCHEDULES; seed++) {
			struct sim_config cfg = {.seed = seed, .rule = rule};
			struct sim_result res;

			noticed += sim_run(&cfg, &res) == -EIO;
		}
		if (noticed < BREAK_SCHEDULES / 10)
			fail_msg("rule \"%s\" broken: noticed in %u of %u schedules",
				 sim_break_name(rule), noticed, BREAK_SCHEDULES);
		print_message("# %s: noticed in %u of %u\n", sim_break_name(rule), noticed,
			      BREAK_SCHEDULES);
	}
}

/* The only rule that is for progress: nothing but a storm needs it. */
static void storms_notice_a_home_that_does_not_urge(void **state)
{
	unsigned noticed = 0;

	for (uint64_t seed = 1; seed <= STORMS; seed++) {
		struct sim_config cfg = {.seed = seed, .rule = SIM_BREAK_URGE, .storm = true};
		struct sim_result res;

		noticed += sim_run(&cfg, &res) == -EIO;
	}
	print_message("# urge: noticed in %u of %u storms\n", noticed, STORMS);
	assert_true(noticed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schedules_keep_every_invariant),
		cmocka_unit_test(instructions_that_need_several_pages_end),
		cmocka_unit_test(small_nodes_keep_every_invariant),
		cmocka_unit_test(many_nodes_keep_every_invariant),
		cmocka_unit_test(an_action_that_fails_ends_its_core),
		cmocka_unit_test(same_seed_gives_the_same_run),
		cmocka_unit_test(broken_rules_are_noticed),
		cmocka_unit_test(storms_notice_a_home_that_does_not_urge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
