/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is fetched ahead of a thread, and what is said of it (dsm/stream.h). One thread of node 0
 * walks through node 1's memory, a region for each way to do so. All pages hold something, and all
 * that is found is checked.
 */
#include <sys/syscall.h>

#include "tests/dsm/native_tests.h"

#define OWNER 1

struct counted {
	uint64_t faults, asked, right, wrong;
};

static uint64_t *word(const struct native_node *n, unsigned page)
{
	return native_at(n, OWNER, page * PAGE_BYTES);
}

static uint64_t content(unsigned page)
{
	return (page + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

void ahead_populate(struct native_node *n)
{
	if (n->self == OWNER)
		for (unsigned i = 0; i < n->cfg->memory / PAGE_BYTES; i++)
			*word(n, i) = content(i);
}

static void read_page(struct native_node *n, unsigned page)
{
	uint64_t value = __atomic_load_n(word(n, page), __ATOMIC_RELAXED);

	NATIVE_CHECK(n, value == content(page), "page %u", page);
}

/* Walks @way through region @region. Return: what that has cost. */
static struct counted walk(struct native_node *n, unsigned region,
			   void (*way)(struct native_node *n, unsigned first))
{
	struct pager_stats before, after;

	pager_stats(n->pager, &before);
	way(n, region * REGION_PAGES);
	pager_stats(n->pager, &after);
	return (struct counted){
		after.dsm.faults_remote - before.dsm.faults_remote,
		after.prefetch.streams.asked - before.prefetch.streams.asked,
		after.prefetch.streams.right - before.prefetch.streams.right,
		after.prefetch.streams.wrong - before.prefetch.streams.wrong,
	};
}

static void forward(struct native_node *n, unsigned first)
{
	for (unsigned i = 0; i < REGION_PAGES; i++)
		read_page(n, first + i);
}

/* Up and down in turn; the ways do not meet. */
static void two_ways(struct native_node *n, unsigned first)
{
	for (unsigned i = 0; i < REGION_PAGES / 2; i += 2) {
		read_page(n, first + i);
		read_page(n, first + (unsigned)REGION_PAGES - 1 - i);
	}
}

static void at_random(struct native_node *n, unsigned first)
{
	uint16_t order[REGION_PAGES];
	uint64_t random = 1;

	for (unsigned i = 0; i < REGION_PAGES; i++) {
		random = random * 6364136223846793005 + 1442695040888963407;
		unsigned other = (unsigned)(random >> 33) % (i + 1);
		order[i] = order[other];
		order[other] = (uint16_t)i;
	}
	for (unsigned i = 0; i < REGION_PAGES; i++)
		read_page(n, first + order[i]);
}

static void writing(struct native_node *n, unsigned first)
{
	for (unsigned i = 0; i < REGION_PAGES; i++)
		__atomic_fetch_add(word(n, first + i), 1, __ATOMIC_RELAXED);
}

static void check_written(struct native_node *n, unsigned first)
{
	for (unsigned i = 0; i < REGION_PAGES; i++)
		NATIVE_CHECK(n, *word(n, first + i) == content(first + i) + 1, "page %u", i);
}

#define EXPECT(n, c, cond)                                                                         \
	NATIVE_CHECK((n), (cond), "%llu faults, %llu asked for, %llu right, %llu wrong",           \
		     (unsigned long long)(c).faults, (unsigned long long)(c).asked,                \
		     (unsigned long long)(c).right, (unsigned long long)(c).wrong)

/* This thread alone has faulted, so it has waited for as long as all waits together lasted. */
static void check_waited(struct native_node *n)
{
	uint64_t waited = pager_waited(n->pager, (uint32_t)syscall(SYS_gettid));
	struct pager_stats s;

	pager_stats(n->pager, &s);
	NATIVE_CHECK(n, waited > 0 && waited == s.local.sum + s.remote.sum,
		     "%llu ns waited, %llu for nobody else, %llu for others",
		     (unsigned long long)waited, (unsigned long long)s.local.sum,
		     (unsigned long long)s.remote.sum);
}

void ahead_body(struct native_node *n)
{
	if (n->self != OWNER) {
		struct counted c = walk(n, 0, forward);

		EXPECT(n, c, c.faults <= REGION_PAGES / 32 && c.wrong == 0);
		EXPECT(n, c, c.asked + c.faults == REGION_PAGES && c.right >= c.asked - STREAM_MAX);
		c = walk(n, 1, two_ways);
		EXPECT(n, c, c.faults <= REGION_PAGES / 16 && c.right >= REGION_PAGES / 4);
		c = walk(n, 2, at_random);
		EXPECT(n, c, c.asked <= REGION_PAGES / 16);
		c = walk(n, 3, writing);
		EXPECT(n, c, c.faults <= REGION_PAGES / 16 && c.right >= REGION_PAGES / 2);
		check_waited(n);
	}
	native_barrier(n);
	if (n->self == OWNER)
		check_written(n, 3 * REGION_PAGES);
}
