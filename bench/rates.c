/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many pages a second.
 *
 *   faults-T         T threads read pages in no order, one request a fault
 *   faults-T-shards-S  the same, of nodes with S shards
 *   sequential-T     T threads read pages one after another, with prefetch as in real use
 *   strided-T        every fourth page
 *   random-T         a fourth of all pages, in no order
 *   invalidations-T  T threads of the home write to pages that the asker has for reading
 *
 * Beside the middle three stands the bandwidth of a plain connection, which is sent one page behind
 * the other. Beside the other two: requests for a page, one after another. Pages are fresh
 * in each round; between the areas of two rounds there is room for what is read ahead.
 */
#include "base/clock.h"
#include "bench/bench.h"

#define STRIDE	     4
#define SPREAD	     (STRIDE + 1)
#define READ_THREADS 4
#define STREAM_PAGES 8 /* of the yardstick for each that is read: it is so much faster */

static double add_rate(struct asker *a, const char *side, unsigned pages, uint64_t ns)
{
	double rate = pages * 1e9 / (double)ns;

	figures_add2(&a->b->figures, UNIT_PER_S, rate, side, "rate");
	return rate;
}

static double raw_rate(struct asker *a, bool stream)
{
	unsigned pages = a->b->count * (stream ? STREAM_PAGES : 1);
	uint64_t start, ns;

	phase_begin(a);
	start = clock_now_ns();
	if (stream)
		ask_stream(a, pages);
	for (unsigned i = 0; !stream && i < pages; i++)
		ask_page(a);
	ns = clock_now_ns() - start;
	phase_end(a, "raw", pages, true);
	return add_rate(a, "raw", pages, ns);
}

static struct touch round_of(const struct asker *a, unsigned round)
{
	return (struct touch){
		.home = HOME,
		.threads = (uint16_t)a->b->measure->arg,
		.stride = 1,
		.count = a->b->count,
		.first = (uint64_t)round * a->b->count * a->b->measure->spread,
	};
}

static void read_rounds(struct asker *a, bool stream, unsigned stride, bool random)
{
	for (unsigned round = 0; round < a->b->rounds; round++) {
		double raw = raw_rate(a, stream), ours;
		struct touch t = round_of(a, round);

		t.stride = (uint16_t)stride;
		t.random = random;
		phase_begin(a);
		uint64_t ns = touch(a->n, &t);
		phase_end(a, "ours", a->b->count, false);
		ours = add_rate(a, "ours", a->b->count, ns);
		figures_add(&a->b->figures, UNIT_SHARE, ours / raw, "share");
	}
}

static void run_faults(struct asker *a)
{
	read_rounds(a, false, 1, true);
}

static void run_sequential(struct asker *a)
{
	read_rounds(a, true, 1, false);
}

static void run_strided(struct asker *a)
{
	read_rounds(a, true, STRIDE, false);
}

static void run_random(struct asker *a)
{
	read_rounds(a, true, STRIDE, true);
}

static void run_invalidations(struct asker *a)
{
	for (unsigned round = 0; round < a->b->rounds; round++) {
		struct touch t = round_of(a, round);
		double raw = raw_rate(a, false), ours;

		t.threads = READ_THREADS;
		touch(a->n, &t);
		t.threads = (uint16_t)a->b->measure->arg;
		t.write = true;
		phase_begin(a);
		ask_touch(a, HOME, &t);
		phase_end(a, "ours", a->b->count, false);
		ours = add_rate(a, "ours", a->b->count, a->b->took_ns[HOME]);
		figures_add(&a->b->figures, UNIT_SHARE, ours / raw, "share");
	}
}

const struct measure rate_measures[] = {
	{"faults-1", 2, .arg = 1, .spread = 1, .run = run_faults},
	{"faults-4", 2, .arg = 4, .spread = 1, .run = run_faults},
	{"faults-16", 2, .arg = 16, .spread = 1, .run = run_faults},
	{"faults-1-shards-2", 2, .arg = 1, .shards = 2, .spread = 1, .run = run_faults},
	{"faults-1-shards-4", 2, .arg = 1, .shards = 4, .spread = 1, .run = run_faults},
	{"faults-4-shards-2", 2, .arg = 4, .shards = 2, .spread = 1, .run = run_faults},
	{"faults-4-shards-4", 2, .arg = 4, .shards = 4, .spread = 1, .run = run_faults},
	{"faults-16-shards-2", 2, .arg = 16, .shards = 2, .spread = 1, .run = run_faults},
	{"faults-16-shards-4", 2, .arg = 16, .shards = 4, .spread = 1, .run = run_faults},
	{"sequential-1", 2, .arg = 1, .guess = true, .spread = SPREAD, .run = run_sequential},
	{"sequential-4", 2, .arg = 4, .guess = true, .spread = SPREAD, .run = run_sequential},
	{"strided-1", 2, .arg = 1, .guess = true, .spread = SPREAD, .run = run_strided},
	{"strided-4", 2, .arg = 4, .guess = true, .spread = SPREAD, .run = run_strided},
	{"random-1", 2, .arg = 1, .guess = true, .spread = SPREAD, .run = run_random},
	{"random-4", 2, .arg = 4, .guess = true, .spread = SPREAD, .run = run_random},
	{"invalidations-1", 2, .arg = 1, .spread = 1, .run = run_invalidations},
	{"invalidations-4", 2, .arg = 4, .spread = 1, .run = run_invalidations},
	{NULL},
};
