/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sweep over more memory than a node may keep copies of.
 *
 *   sweep-P, sweep-write-P   one thread reads (writes) all pages of a home one after another, and
 *                            again in each round; P % of them may be here at once
 *
 * The yardstick is a third node that may keep everything: it sweeps over as many pages, fresh in
 * each round, so that it has to fetch all of them, but gives none back.
 */
#include "bench/bench.h"

#define KEEPER	      THIRD
#define SWEEP_PERCENT 0xffu /* of a measure's arg; and: */
#define SWEEP_WRITE   0x100u
#define PAGES_EACH    8 /* swept, for each that is counted */

static uint32_t pages_swept(const struct bench *b)
{
	return b->count * PAGES_EACH;
}

static void setup_sweep(struct bench *b)
{
	/* What node 0 sweeps comes first, then what the keeper does in each round. */
	uint64_t all = (uint64_t)pages_swept(b) * (b->rounds + 1) * PAGE_BYTES;

	b->memory = ALIGN_UP(all, REGION_BYTES);
	b->copies = pages_swept(b) * PAGE_BYTES * (b->measure->arg & SWEEP_PERCENT) / 100;
	b->keepers = UINT64_C(1) << KEEPER;
}

static double rate_of(struct asker *a, const char *side, uint64_t ns)
{
	double rate = pages_swept(a->b) * 1e9 / (double)ns;

	phase_end(a, side, pages_swept(a->b), false);
	figures_add2(&a->b->figures, UNIT_PER_S, rate, side, "rate");
	return rate;
}

static void run_sweep(struct asker *a)
{
	struct touch t = {.home = HOME, .threads = 1, .stride = 1, .count = pages_swept(a->b)};

	t.write = !!(a->b->measure->arg & SWEEP_WRITE);
	for (unsigned round = 0; round < a->b->rounds; round++) {
		t.first = (uint64_t)pages_swept(a->b) * (round + 1);
		phase_begin(a);
		ask_touch(a, KEEPER, &t);
		double raw = rate_of(a, "raw", a->b->took_ns[KEEPER]);

		t.first = 0;
		phase_begin(a);
		double ours = rate_of(a, "ours", touch(a->n, &t));
		figures_add(&a->b->figures, UNIT_SHARE, ours / raw, "share");
	}
}

#define SWEEP(name, what)                                                                          \
	{                                                                                          \
		name, 3, .arg = what, .guess = true, .home_alone = true, .setup = setup_sweep,     \
			 .run = run_sweep                                                          \
	}

const struct measure sweep_measures[] = {
	SWEEP("sweep-50", 50),
	SWEEP("sweep-25", 25),
	SWEEP("sweep-5", 5),
	SWEEP("sweep-write-50", 50 | SWEEP_WRITE),
	SWEEP("sweep-write-25", 25 | SWEEP_WRITE),
	SWEEP("sweep-write-5", 5 | SWEEP_WRITE),
	{NULL},
};
