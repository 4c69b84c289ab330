/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random loads over one memory of three node processes for as long as is wanted. soak.c runs them
 * and watches what the processes have of their host; soak_load.c is what their threads do.
 *
 * A node may keep copies of a quarter of what is at home elsewhere; so copies are also given back.
 * With every other seed homes move as well. Then one node may keep all, or none would have room.
 *
 * EVERY VALUE is checked when it is read. The memory at home on each node has:
 *
 *   slots    words that only one thread of all nodes writes, counting up. The writer finds what it
 *            wrote last, others never find less than before; a value tells its place.
 *   blocks   runs of pages that are written and read whole, under a lock in shared memory. Every
 *            word follows from the block, the word's number and how often it was written.
 *   locks    of the blocks, many in a page, and totals that all threads add to.
 *
 * In the end, when all have stopped, each node looks at everything once more: slots hold what their
 * writers wrote last, totals are exact.
 */
#ifndef SSIHV_TESTS_DSM_SOAK_H
#define SSIHV_TESTS_DSM_SOAK_H

#include "tests/dsm/native_usage.h"

#define SOAK_NODES   3
#define SOAK_THREADS 3 /* a node */
#define SOAK_WRITERS (SOAK_NODES * SOAK_THREADS)
#define SOAK_TENTHS  10
#define SOAK_REGIONS 6 /* at home on each node */
#define SOAK_TOTALS  16

/* Pages at home on each node, in this order. */
#define SOAK_SLOT_PAGES	 768
#define SOAK_BLOCK_PAGES 16
#define SOAK_BLOCKS	 128
#define SOAK_LOCK_PAGES	 4

/* Shared by all processes of a run. */
struct soak {
	uint64_t ns; /* to run */
	uint64_t seed;
	_Atomic bool stop;
	_Atomic uint64_t steps[SOAK_NODES][SOAK_TENTHS];
	_Atomic unsigned tenth;
	_Atomic uint64_t moved; /* regions, of all nodes */
	/* The most that each node had in the first and in the last tenth. */
	struct native_usage first[SOAK_NODES], last[SOAK_NODES];
	/* Told by each thread when it has stopped. */
	uint64_t slot[SOAK_NODES * SOAK_SLOT_PAGES][SOAK_WRITERS];
	_Atomic uint64_t total[SOAK_TOTALS];
};

/** soak_bytes() - of guest memory that the loads use, of all nodes. */
uint64_t soak_bytes(void);

/** soak_warm() - touch all memory once, so that nothing is new to this node later. */
void soak_warm(struct native_node *n);

/** soak_thread() - what each thread does until it is told to stop. */
void *soak_thread(void *arg);

/** soak_check() - look at everything; no thread of any node runs. */
void soak_check(struct native_node *n);

#endif
