/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The servo under crystals that differ and change, over a network that is unfair: no two nodes
 * disagree by as much as the shortest way between them, no clock steps that far or goes back. And
 * which hosts are refused: those that are too far off, however late that shows, and no others.
 */
#include "tests/check.h"

#include <math.h>
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
	assert_true(!got.blamed && got.patience < 0.1);
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

/* Each message is late by a time that differs: what the frequency is shows late. */
static struct world_result busy(double ppm, double noise_us, uint64_t seed)
{
	struct world_config cfg = world(2, 0.1, ppm);
	struct world_result got;

	cfg.noise_us = noise_us;
	cfg.seed = seed;
	world_run(&cfg, &got);
	return got;
}

#define SEEDS 20

/* However busy the network, when the guest starts or later. */
static void a_crystal_too_far_off_is_always_refused(void **state)
{
	static const double ppm[] = {600, 900, 2000}, noise_us[] = {30, 1000, 10000};
	unsigned refused = 0, ended = 0;
	double known_s = 0;

	for (uint64_t i = 0; i < ARRAY_SIZE(ppm) * ARRAY_SIZE(noise_us) * SEEDS; i++) {
		struct world_result got = busy(ppm[i % 3], noise_us[i / 3 % 3], i);
		assert_int_equal(got.refused + got.ended, 1);
		refused += got.refused;
		ended += got.ended;
		known_s = fmax(known_s, got.known_s);
	}
	printf("# %u refused, %u ended when it was known, after %.1f s at most\n", refused, ended,
	       known_s);
	assert_true(refused > 0 && ended > 0);
}

static void a_crystal_within_bounds_never_is(void **state)
{
	static const double ppm[] = {0, 100, 480}, noise_us[] = {30, 300, 10000};
	unsigned unsure = 0;

	for (uint64_t i = 0; i < ARRAY_SIZE(ppm) * ARRAY_SIZE(noise_us) * SEEDS; i++) {
		struct world_result got = busy(ppm[i % 3], noise_us[i / 3 % 3], i);
		assert_int_equal(got.refused + got.ended, 0);
		unsure += got.unsure;
	}
	assert_true(unsure > 0);
}

/*
 * A queue in one direction lasts as long as the start: all clocks are off by half of it, and then
 * put right step by step. Nobody is blamed for that.
 */
static void a_queue_at_the_start_is_forgiven(void **state)
{
	for (unsigned nodes = 2; nodes <= 8; nodes++) {
		struct world_config cfg = world(nodes, 24.0 / nodes, 20);
		struct world_result got;

		cfg.late_us = 5000;
		world_run(&cfg, &got);
		printf("# %u nodes: %.0f us ahead, %.3f of the patience\n", nodes, got.ahead_us,
		       got.patience);
		assert_true(got.ahead_us > PATIENCE_SOUND_US);
		assert_true(!got.blamed && got.patience > 0 && got.patience < 0.1);
	}
}

static void without_a_servo_the_clocks_part(void **state)
{
	struct world_config cfg = world(2, 1, 10);
	struct world_result got;

	cfg.off = true;
	got = run(&cfg);
	/* 10 ppm of an hour. */
	assert_true(got.worst_us > 30000);
	assert_true(got.blamed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_day_with_two_nodes),
		cmocka_unit_test(a_day_with_more_nodes),
		cmocka_unit_test(five_hundred_ppm_are_held),
		cmocka_unit_test(a_crystal_too_far_off_is_always_refused),
		cmocka_unit_test(a_crystal_within_bounds_never_is),
		cmocka_unit_test(a_queue_at_the_start_is_forgiven),
		cmocka_unit_test(without_a_servo_the_clocks_part),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
