/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one fault costs: one after another, by one thread.
 *
 *   zero             first touch of own memory in a region of which another node has a page
 *   read             a page that its home alone has
 *   write            the same, to write
 *   write-shared-N   a page that its home and N further nodes have for reading, to write
 *   upgrade          a page that the home and the asker have for reading, to write
 *   pingpong         a page that the home has just written, to write; and back, by the home
 *   pingpong-third   the same between two nodes of which neither is the home
 *
 * Pages are fresh in each round, but those of pingpong. Each measure stands beside the yardstick, a
 * request over TCP that is answered with a page; `zero` stands beside the first touch of memory
 * that no pager knows of. In the CPU time of pingpong is the command that hands the turn over.
 */
#include <sys/mman.h>

#include "base/clock.h"
#include "bench/latency.h"

#define PINGPONG_PAGES 16
#define TRACKED_PAGES  (REGION_PAGES - 1) /* of a region, but the one that HOME reads */

static struct times add_times(struct asker *a, const char *side)
{
	struct samples *s = &a->samples;

	samples_sort(s);
	const struct times t = {samples_us(s, 500), samples_us(s, 990)};

	figures_add2(&a->b->figures, UNIT_US, t.p50, side, "p50");
	figures_add2(&a->b->figures, UNIT_US, t.p99, side, "p99");
	figures_add2(&a->b->figures, UNIT_US, samples_us(s, 999), side, "p99.9");
	s->count = 0;
	return t;
}

struct times latency_ask(struct asker *a)
{
	phase_begin(a);
	for (unsigned i = 0; i < a->b->count; i++) {
		uint64_t start = clock_now_ns();

		ask_page(a);
		samples_add(&a->samples, clock_now_ns() - start);
	}
	phase_end(a, "raw", a->b->count, true);
	return add_times(a, "raw");
}

/* Touches fresh memory of this process. */
static struct times touch_plain(struct asker *a)
{
	size_t bytes = a->b->count * PAGE_BYTES;
	uint8_t *area =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NATIVE_CHECK(a->n, area != MAP_FAILED, "memory");
	(void)madvise(area, bytes, MADV_NOHUGEPAGE);
	phase_begin(a);
	for (uint64_t i = 0; i < a->b->count; i++) {
		uint64_t start = clock_now_ns();

		*(volatile uint64_t *)(area + i * PAGE_BYTES) = 1;
		samples_add(&a->samples, clock_now_ns() - start);
	}
	phase_end(a, "raw", a->b->count, true);
	munmap(area, bytes);
	return add_times(a, "raw");
}

void latency_measure(struct asker *a, const struct shape *shape)
{
	for (unsigned round = 0; round < a->b->rounds; round++) {
		uint64_t first = (uint64_t)round * a->b->count;
		struct times raw = shape->yardstick(a), ours;

		if (shape->prepare)
			shape->prepare(a, first);
		phase_begin(a);
		for (uint64_t i = 0; a->samples.count < a->b->count; i++)
			shape->fault(a, first + i);
		phase_end(a, "ours", a->b->count, false);
		ours = add_times(a, "ours");
		figures_add(&a->b->figures, UNIT_RATIO, ours.p50 / raw.p50, "ratio.p50");
		figures_add(&a->b->figures, UNIT_RATIO, ours.p99 / raw.p99, "ratio.p99");
		if (shape->after)
			shape->after(a);
	}
}

void latency_fault(struct asker *a, unsigned home, uint64_t page, bool write)
{
	volatile uint64_t *at = bench_page(a->n, home, page);
	uint64_t start = clock_now_ns();

	if (write)
		*at = page;
	else
		(void)*at;
	samples_add(&a->samples, clock_now_ns() - start);
}

static void fault_read(struct asker *a, uint64_t page)
{
	latency_fault(a, HOME, page, false);
}

static void fault_write(struct asker *a, uint64_t page)
{
	latency_fault(a, HOME, page, true);
}

void latency_run_read(struct asker *a)
{
	latency_measure(a, &(struct shape){latency_ask, NULL, fault_read});
}

static void run_write(struct asker *a)
{
	latency_measure(a, &(struct shape){latency_ask, NULL, fault_write});
}

static struct touch round_of(const struct asker *a, uint64_t first)
{
	return (struct touch){
		.home = HOME, .threads = 1, .stride = 1, .count = a->b->count, .first = first};
}

static void share(struct asker *a, uint64_t first)
{
	const struct touch t = round_of(a, first);

	for (unsigned i = THIRD; i < a->n->cfg->nodes; i++)
		ask_touch(a, i, &t);
}

static void run_write_shared(struct asker *a)
{
	latency_measure(a, &(struct shape){latency_ask, share, fault_write});
}

static void read_first(struct asker *a, uint64_t first)
{
	const struct touch t = round_of(a, first);

	touch(a->n, &t);
}

static void run_upgrade(struct asker *a)
{
	latency_measure(a, &(struct shape){latency_ask, read_first, fault_write});
}

/* The other one of the two: the last node. */
static void fault_pingpong(struct asker *a, uint64_t page)
{
	unsigned other = a->n->cfg->nodes - 1;
	struct touch t = round_of(a, page % PINGPONG_PAGES);

	t.count = 1;
	t.write = true;
	ask_touch(a, other, &t);
	samples_add(&a->samples, a->b->took_ns[other]);
	if (a->samples.count < a->samples.room)
		latency_fault(a, HOME, page % PINGPONG_PAGES, true);
}

static void run_pingpong(struct asker *a)
{
	latency_measure(a, &(struct shape){latency_ask, NULL, fault_pingpong});
}

/* Regions of a round of `zero`. */
static uint64_t zero_regions(const struct bench *b)
{
	return (b->count + TRACKED_PAGES - 1) / TRACKED_PAGES;
}

static void setup_zero(struct bench *b)
{
	b->memory = b->rounds * zero_regions(b) * REGION_BYTES;
}

static void populate_nothing(struct native_node *n)
{
}

/* HOME has the first page of each region, so that the region is tracked. */
static void track(struct asker *a, uint64_t first)
{
	uint64_t regions = zero_regions(a->b), round = first / a->b->count;
	const struct touch t = {.home = ASKER,
				.threads = 1,
				.stride = REGION_PAGES,
				.count = (uint32_t)regions,
				.first = round * regions * REGION_PAGES};

	ask_touch(a, HOME, &t);
}

static void fault_zero(struct asker *a, uint64_t page)
{
	uint64_t round = page / a->b->count, i = page % a->b->count;
	uint64_t region = round * zero_regions(a->b) + i / TRACKED_PAGES;

	latency_fault(a, ASKER, region * REGION_PAGES + 1 + i % TRACKED_PAGES, true);
}

static void run_zero(struct asker *a)
{
	latency_measure(a, &(struct shape){touch_plain, track, fault_zero});
}

const struct measure latency_measures[] = {
	{"zero", 2, .setup = setup_zero, .populate = populate_nothing, .run = run_zero},
	{"read", 2, .spread = 1, .run = latency_run_read},
	{"write", 2, .spread = 1, .run = run_write},
	{"write-shared-1", 3, .spread = 1, .run = run_write_shared},
	{"write-shared-3", 5, .spread = 1, .run = run_write_shared},
	{"upgrade", 2, .spread = 1, .run = run_upgrade},
	{"pingpong", 2, .spread = 1, .run = run_pingpong},
	{"pingpong-third", 3, .spread = 1, .run = run_pingpong},
	{NULL},
};
