/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world of hosts with crystals of their own, and a network between them, simulated by a seed.
 *
 * Node 0's TSC is the reference. Every other node's runs at a rate that is so many ppm off, walks
 * at random by some ppb a second, and swings with the day's temperature. Pings to node 0 take their
 * shortest way plus what a queue adds: a little always, more sometimes, and for seconds or minutes
 * much more in one of the two directions. Each node runs its servo and steps its clock as
 * vmm/clock_sync.c does; at every ping and step all clocks of the world are compared, and each node
 * has a message from every other, which came the shortest way.
 *
 * Time is in picoseconds: true time, which nobody in the world can read.
 */
#ifndef SSIHV_TESTS_VMM_CRYSTALS_H
#define SSIHV_TESTS_VMM_CRYSTALS_H

#include "cpu/patience.h"
#include "vmm/servo.h"

#define PS_PER_SECOND INT64_C(1000000000000)

struct world_config {
	uint64_t seed;
	unsigned nodes;
	double hours;
	double ppm;	   /* a node's crystal is up to this off, the first one exactly */
	double wander_ppb; /* standard deviation of the change in a second */
	double swing_ppm;  /* of the temperature, period two hours */
	double way_us;	   /* shortest way of the fastest direction */
	double asymmetry;  /* the other direction is up to this part longer, for ever */
	double bursts;	   /* begin so often an hour, a node */
	double noise_us;   /* mean of what any message is late besides */
	double late_us;	   /* of one direction, in the first seconds: LATE_ENDS */
	bool off;	   /* nobody follows its servo after the first samples */
};

struct world_result {
	double worst_us;	       /* disagreement of any two nodes, once all have started */
	double worst_step_us;	       /* of any clock */
	double shortest_us;	       /* way of any two nodes */
	uint64_t steps, samples, back; /* back: clocks that were seen to go back */
	unsigned refused, ended;       /* nodes, before and after their start: too far off */
	unsigned unsure;	       /* nodes that started while that was not known */
	double known_s;		       /* after how long the last one of these was known */
	double patience;	       /* the most of it that any had used up with any other */
	double ahead_us;	       /* the most that any message was, on arrival */
	bool blamed;		       /* it came to its end */
};

void world_run(const struct world_config *cfg, struct world_result *ret);

#endif
