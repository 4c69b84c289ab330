/* SPDX-License-Identifier: Apache-2.0 */
/* What bench/fault.c measures in one cluster of two processes; see there. */
#ifndef SSIHV_BENCH_FAULT_RUN_H
#define SSIHV_BENCH_FAULT_RUN_H

#include "base/base.h"

#define FAULT_ROUNDS_MAX 64
#define FAULT_FLEETS	 3 /* 1, 2 and 4 threads */

struct times {
	double p50_us, p99_us;
};

/* Shared between the processes: what to do, and what came of it. */
struct fault_run {
	/* In. */
	int cpu[2]; /* of each process, all its threads; -1: not pinned */
	uint64_t spin_ns;
	unsigned rounds, faults; /* rounds of so many requests on either side */

	/* Out. */
	struct times raw, remote;	/* of all rounds */
	double ratio[FAULT_ROUNDS_MAX]; /* remote p50 / raw p50, round by round */
	struct times local, upgrade;
	double pages_per_s[FAULT_FLEETS];
};

static const unsigned fault_fleet[FAULT_FLEETS] = {1, 2, 4};

/** fault_run() - measure; the results are in *@run. Return: 0, -1 after a failure told on stderr.
 */
int fault_run(struct fault_run *run);

#endif
