/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it brings and costs that homes move to who uses them (dsm/rehome.h).
 *
 *   homes-work      node 0 works on all pages of HOME; now and then a third node reads a sixteenth
 *                   of them, in no order, and node 0 writes to these again
 *   homes-limit-50  the same, while copies of only half of them may be on node 0
 *   homes-random    node 0 reads all pages once, in no order
 *   homes-once      the same, in order
 *   homes-fresh     node 0 writes to pages that nobody ever had, in order
 *   homes-turns     node 0 and HOME write to all pages in turn
 *   homes-stay      HOME writes to pages that nobody ever had, in regions of which node 0 has one
 *
 * A round is two clusters, one after the other and alike in all but this: in the first one, which
 * is the yardstick, homes stay. What is counted begins when nothing new is learnt (`-work` and
 * `-limit`) or with the first touch (all others); moves are counted from the start.
 *
 * Regions rest for a second after a move, as in real use; those of `-turns` only until the next
 * turn, so that each may move in every turn, which is the worst.
 */
#include "base/clock.h"
#include "bench/bench.h"

#define PART	     16 /* one of so many pages is read by the third node in a step */
#define WARM_STEPS   PART
#define STEPS	     4
#define TURNS	     2
#define REST_MS	     1000
#define TURN_REST_MS 10

static void setup_homes(struct bench *b)
{
	b->memory = ALIGN_UP(b->count * PAGE_BYTES, REGION_BYTES);
	b->copies = b->count * PAGE_BYTES * b->measure->arg / 100;
	b->keepers = ~(UINT64_C(1) << ASKER);
}

static void populate_nothing(struct native_node *n)
{
}

static struct touch all_pages(const struct asker *a)
{
	return (struct touch){.home = HOME, .threads = 1, .stride = 1, .count = a->b->count};
}

static uint64_t moves(const struct asker *a)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < a->n->cfg->nodes; i++)
		sum += a->b->counters[i].moves;
	return sum;
}

/* Of this cluster; the second one of a round also tells its share of the first one. */
static void add_rate(struct asker *a, uint64_t pages, uint64_t ns)
{
	struct figures *f = &a->b->figures;
	const char *side = a->b->moving ? "ours" : "raw";
	double rate = (double)pages * 1e9 / (double)ns;

	phase_end(a, side, (unsigned)pages, false);
	figures_add2(f, UNIT_PER_S, rate, side, "rate");
	figures_add2(f, UNIT_COUNT, (double)moves(a), side, "moves");
	if (a->b->moving)
		figures_add(f, UNIT_SHARE, rate / a->b->fixed_rate, "share");
	else
		a->b->fixed_rate = rate;
}

static void work_step(struct asker *a, unsigned step)
{
	struct touch all = all_pages(a), part = all;

	part.count /= PART;
	part.first = step % PART * (uint64_t)part.count;
	part.random = true;
	ask_touch(a, THIRD, &part);
	all.write = true;
	touch(a->n, &all);
}

static void run_work(struct asker *a)
{
	/* What faults in a step: what the third reads, and what is written after that. */
	uint64_t part = a->b->count / PART;
	uint64_t faults = part + (a->b->copies ? a->b->count : part);
	struct touch all = all_pages(a);
	uint64_t start;

	touch(a->n, &all);
	for (unsigned i = 0; i < WARM_STEPS; i++)
		work_step(a, i);
	phase_begin(a);
	start = clock_now_ns();
	for (unsigned i = 0; i < STEPS; i++)
		work_step(a, WARM_STEPS + i);
	add_rate(a, STEPS * faults, clock_now_ns() - start);
}

static void run_turns(struct asker *a)
{
	struct touch all = all_pages(a);
	uint64_t start;

	all.write = true;
	phase_begin(a);
	start = clock_now_ns();
	for (unsigned i = 0; i < TURNS; i++) {
		touch(a->n, &all);
		ask_touch(a, HOME, &all);
	}
	add_rate(a, 2 * TURNS * (uint64_t)all.count, clock_now_ns() - start);
}

static void run_once(struct asker *a)
{
	struct touch all = all_pages(a);

	all.write = a->b->measure->populate == populate_nothing;
	phase_begin(a);
	add_rate(a, all.count, touch(a->n, &all));
}

static void run_random(struct asker *a)
{
	struct touch all = all_pages(a);

	all.random = true;
	phase_begin(a);
	add_rate(a, all.count, touch(a->n, &all));
}

static void run_stay(struct asker *a)
{
	struct touch all = all_pages(a), firsts = all;

	firsts.stride = REGION_PAGES;
	firsts.count = (uint32_t)(a->b->memory / REGION_BYTES);
	touch(a->n, &firsts); /* the regions are tracked from now on */
	all.write = true;
	phase_begin(a);
	ask_touch(a, HOME, &all);
	add_rate(a, all.count, a->b->took_ns[HOME]);
}

#define HOMES(name, what, ...)                                                                     \
	{                                                                                          \
		name, 3, .guess = true, .homes_rest_ms = REST_MS, .setup = setup_homes,            \
			 .run = what, ##__VA_ARGS__                                                \
	}

const struct measure homes_measures[] = {
	HOMES("homes-work", run_work),
	HOMES("homes-limit-50", run_work, .arg = 50),
	HOMES("homes-random", run_random),
	HOMES("homes-once", run_once),
	HOMES("homes-fresh", run_once, .populate = populate_nothing),
	{"homes-turns", 3, .guess = true, .homes_rest_ms = TURN_REST_MS, .setup = setup_homes,
	 .run = run_turns},
	HOMES("homes-stay", run_stay, .populate = populate_nothing),
	{NULL},
};
