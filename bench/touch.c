/* SPDX-License-Identifier: Apache-2.0 */
/* Pages are touched by one thread or by several, in an order that does not depend on either. */
#include "base/clock.h"
#include "bench/bench.h"

#define THREADS_MAX 16

struct part {
	struct native_node *n;
	const struct touch *t;
	uint64_t first, count;
	pthread_t thread;
};

/* A permutation of [0, count): of the next power of two, what falls outside is sent on. */
static uint64_t shuffled(uint64_t at, uint64_t count)
{
	unsigned bits = 1;

	while (count > UINT64_C(1) << bits)
		bits++;
	uint64_t mask = (UINT64_C(1) << bits) - 1;
	do {
		at = (at * UINT64_C(0x9e3779b97f4a7c15) + 12345) & mask;
		at ^= at >> (bits + 1) / 2;
		at = at * UINT64_C(0xbf58476d1ce4e5b9) & mask;
		at ^= at >> (bits + 1) / 2;
	} while (at >= count);
	return at;
}

static void *touch_part(void *arg)
{
	const struct part *p = arg;
	const struct touch *t = p->t;

	for (uint64_t i = p->first; i < p->first + p->count; i++) {
		uint64_t page =
			t->random ? shuffled(i, (uint64_t)t->count * t->stride) : i * t->stride;
		volatile uint64_t *at = bench_page(p->n, t->home, t->first + page);

		if (t->write)
			*at = i + 1;
		else
			(void)*at;
	}
	return NULL;
}

uint64_t touch(struct native_node *n, const struct touch *t)
{
	struct part part[THREADS_MAX];
	unsigned threads = t->threads;
	uint64_t start = clock_now_ns();

	NATIVE_CHECK(n, threads >= 1 && threads <= THREADS_MAX, "%u", threads);
	for (unsigned i = 0; i < threads; i++) {
		uint64_t first = (uint64_t)t->count * i / threads;
		uint64_t end = (uint64_t)t->count * (i + 1) / threads;

		part[i] = (struct part){.n = n, .t = t, .first = first, .count = end - first};
		if (i > 0)
			NATIVE_CHECK(
				n, pthread_create(&part[i].thread, NULL, touch_part, &part[i]) == 0,
				"thread");
	}
	touch_part(&part[0]);
	for (unsigned i = 1; i < threads; i++)
		pthread_join(part[i].thread, NULL);
	return clock_now_ns() - start;
}
