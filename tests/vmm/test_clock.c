/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The servo under crystals that differ and change, over a network that is unfair: no two nodes
 * disagree by as much as the shortest way between them, no clock steps that far or goes back.
 */
#include "tests/check.h"

#include <stdio.h>

#include "tests/vmm/crystals.h"

static struct world_result run(const struct world_config *cfg)
{
	struct world_result got;

	world_run(cfg, &got);
	printf("# %u nodes, %.0f h, %.0f ppm: worst disagreement %.2f us, worst step %.2f us, "
	       "shortest "
	       "way %.1f us; %.1f steps a second\n",
	       cfg->nodes, cfg->hours, cfg->ppm, got.worst_us, got.worst_step_us, got.shortest_us,
	       (double)got.steps / (cfg->hours * 3600 * (cfg->nodes - 1)));
	return got;
}

static void check(struct world_config cfg)
{
	struct world_result got = run(&cfg);

	assert_true(got.samples > 0);
	assert_true(got.worst_us < got.shortest_us);
	assert_true(got.worst_step_us <= got.shortest_us / 2);
	assert_int_equal(got.back, 0);
}

/* A hot day in a busy rack. */
static struct world_config world(unsigned nodes, double hours, double ppm)
{
	return (struct world_config){
		.seed = 1000 * nodes + (uint64_t)ppm,
		.nodes = nodes,
		.hours = hours,
		.ppm = ppm,
		.wander_ppb = 2,
		.swing_ppm = 0.5,
		.way_us = 12,
		.asymmetry = 0.2,
		.bursts = 12,
	};
}

static void a_day_with_two_nodes(void **state)
{
	check(world(2, 24, 0));
	check(world(2, 24, 10));
	check(world(2, 24, 200));
}

static void a_day_with_more_nodes(void **state)
{
	check(world(3, 24, 50));
	check(world(5, 24, 20));
	check(world(8, 24, 5));
}

static void five_hundred_ppm_are_held(void **state)
{
	check(world(2, 2, 500));
	check(world(4, 2, 500));
}

static void without_a_servo_the_clocks_part(void **state)
{
	struct world_config cfg = world(2, 1, 10);
	struct world_result got;

	cfg.off = true;
	got = run(&cfg);
	/* 10 ppm of an hour. */
	assert_true(got.worst_us > 30000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_day_with_two_nodes),
		cmocka_unit_test(a_day_with_more_nodes),
		cmocka_unit_test(five_hundred_ppm_are_held),
		cmocka_unit_test(without_a_servo_the_clocks_part),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
