/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fault costs in a larger cluster, and in a larger guest.
 *
 *   nodes-N   as `read`, while N - 2 further nodes are connected and idle
 *   fan-in-N  all other nodes read pages of one home at the same time, one thread each; counted are
 *             pages a second of all of them
 *   size-G    as `read`, in a guest of G GiB; the pages lie in regions that are spread over all of
 *             the home's half. Memory is not reserved: only those regions are backed
 */
#include "base/clock.h"
#include "bench/latency.h"

#define SPREAD_REGIONS 64

/* The order in which nodes other than HOME are told to begin is that of their numbers. */
static uint64_t fan_in(struct asker *a, uint64_t first)
{
	unsigned nodes = a->n->cfg->nodes;
	struct touch t = {.home = HOME, .threads = 1, .stride = 1};
	uint64_t start = clock_now_ns();

	t.count = a->b->count / (nodes - 1);
	for (unsigned i = THIRD; i < nodes; i++) {
		t.first = first + (i - 1) * (uint64_t)t.count;
		ask_begin(a, i, &t);
	}
	t.first = first;
	touch(a->n, &t);
	for (unsigned i = THIRD; i < nodes; i++)
		ask_end(a, i);
	return clock_now_ns() - start;
}

static void run_fan_in(struct asker *a)
{
	struct figures *f = &a->b->figures;
	unsigned askers = a->n->cfg->nodes - 1;
	unsigned pages = a->b->count / askers * askers;

	for (unsigned round = 0; round < a->b->rounds; round++) {
		uint64_t start, ns;

		phase_begin(a);
		start = clock_now_ns();
		for (unsigned i = 0; i < pages; i++)
			ask_page(a);
		ns = clock_now_ns() - start;
		phase_end(a, "raw", pages, true);
		double raw = pages * 1e9 / (double)ns;

		phase_begin(a);
		ns = fan_in(a, (uint64_t)round * a->b->count);
		phase_end(a, "ours", pages, false);
		double ours = pages * 1e9 / (double)ns;

		figures_add(f, UNIT_PER_S, raw, "raw.rate");
		figures_add(f, UNIT_PER_S, ours, "ours.rate");
		figures_add(f, UNIT_SHARE, ours / raw, "share");
	}
}

static void setup_size(struct bench *b)
{
	b->memory = b->measure->arg * GIB / b->measure->nodes;
}

/* How many regions the pages of all rounds lie in. */
static uint64_t regions_used(const struct bench *b)
{
	uint64_t pages = (uint64_t)b->rounds * b->count;

	return MAX((pages + REGION_PAGES - 1) / REGION_PAGES, (uint64_t)SPREAD_REGIONS);
}

/* Page @i of all rounds: neighbours lie in unlike regions. */
static uint64_t spread_page(const struct bench *b, uint64_t i)
{
	uint64_t used = regions_used(b), all = b->memory / REGION_BYTES;

	return i % used * (all / used) * REGION_PAGES + i / used;
}

static void populate_spread(struct native_node *n)
{
	const struct bench *b = n->cfg->ctx;

	for (uint64_t i = 0; n->self == HOME && i < (uint64_t)b->rounds * b->count; i++)
		*bench_page(n, HOME, spread_page(b, i)) = i + 1;
}

/* What both have for the pages that were asked for, and the home for pages nobody wanted. */
static void add_tables(struct asker *a)
{
	const struct native_usage *home = &a->b->usage[HOME], *asker = &a->b->usage[ASKER];
	double tracked = (double)(regions_used(a->b) * REGION_PAGES);
	double all = (double)(a->n->cfg->nodes * a->b->memory / PAGE_BYTES);
	struct figures *f = &a->b->figures;

	ask_usage(a);
	figures_add(f, UNIT_BYTES, (double)home->tables / tracked, "ours.tables_home");
	figures_add(f, UNIT_BYTES, (double)asker->tables / tracked, "ours.tables_asker");
	figures_add(f, UNIT_BYTES, (double)(home->other + home->page_tables) / all,
		    "ours.overhead_all");
}

static void fault_spread(struct asker *a, uint64_t page)
{
	latency_fault(a, HOME, spread_page(a->b, page), false);
}

static void run_size(struct asker *a)
{
	latency_measure(a, &(struct shape){latency_ask, NULL, fault_spread, add_tables});
}

const struct measure scale_measures[] = {
	{"nodes-2", 2, .spread = 1, .run = latency_run_read},
	{"nodes-4", 4, .spread = 1, .run = latency_run_read},
	{"nodes-8", 8, .spread = 1, .run = latency_run_read},
	{"fan-in-2", 2, .spread = 1, .home_alone = true, .run = run_fan_in},
	{"fan-in-4", 4, .spread = 1, .home_alone = true, .run = run_fan_in},
	{"fan-in-8", 8, .spread = 1, .home_alone = true, .run = run_fan_in},
	{"size-1", 2, .arg = 1, .setup = setup_size, .populate = populate_spread, .run = run_size},
	{"size-4", 2, .arg = 4, .setup = setup_size, .populate = populate_spread, .run = run_size},
	{"size-16", 2, .arg = 16, .setup = setup_size, .populate = populate_spread,
	 .run = run_size},
	{"size-64", 2, .arg = 64, .setup = setup_size, .populate = populate_spread,
	 .run = run_size},
	{NULL},
};
