/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes that may keep few copies, and sweep over much more. Each node's threads write all of the
 * next node's memory and read it back, and all of it once more from the node after that, so that
 * pages which were given back, which are given back and which others ask for meanwhile are all
 * there. A thread of its own counts what is really in memory.
 */
#include "tests/dsm/native_tests.h"

#include <fcntl.h>
#include <sched.h>

#include "dsm/uffd.h"

#define THREADS 4
#define SWEEPS	2

static uint64_t pattern(unsigned sweep, unsigned writer, uint64_t offset)
{
	return (offset + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ sweep ^ (uint64_t)writer << 32;
}

/* Pages of all other nodes that are in this process. */
static uint64_t copies_here(const struct native_node *n, int pagemap)
{
	uint64_t sum = 0;

	for (uint64_t at = 0; at < n->cfg->nodes * n->cfg->memory; at += REGION_BYTES) {
		uint64_t bits[REGION_PAGES / 64] = {0};
		uint64_t hva = (uintptr_t)native_at(n, 0, at);

		if (at / n->cfg->memory == n->self)
			continue;
		NATIVE_CHECK(n, uffd_populated(pagemap, hva, REGION_PAGES, bits) == 0, "pagemap");
		for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
			sum += (uint64_t)__builtin_popcountll(bits[i]);
	}
	return sum;
}

/*
 * Until its word says that this node has swept all. Pages come and go while it counts, so it may
 * see more than ever are here at once; without a limit it would see twenty times as many.
 */
static void *count_copies(void *arg)
{
	struct native_thread *t = arg;
	struct native_node *n = t->node;
	const uint64_t limit = n->cfg->copies / PAGE_BYTES;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	NATIVE_CHECK(n, pagemap >= 0, "pagemap");
	while (!atomic_load(&n->shared->word[n->self])) {
		struct pager_stats s;
		uint64_t here = copies_here(n, pagemap);

		pager_stats(n->pager, &s);
		NATIVE_CHECK(n, s.evict.resident <= limit && here <= 2 * limit,
			     "%llu copies, counted %llu, limit %llu",
			     (unsigned long long)s.evict.resident, (unsigned long long)here,
			     (unsigned long long)limit);
		sched_yield();
	}
	close(pagemap);
	return NULL;
}

/* While nobody does anything. */
static void count_exactly(struct native_node *n)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct pager_stats s;
	uint64_t here;

	NATIVE_CHECK(n, pagemap >= 0, "pagemap");
	pager_stop(n->pager);
	pager_stats(n->pager, &s);
	here = copies_here(n, pagemap);
	close(pagemap);
	NATIVE_CHECK(n, here == s.evict.resident && here <= n->cfg->copies / PAGE_BYTES,
		     "%llu here, %llu known", (unsigned long long)here,
		     (unsigned long long)s.evict.resident);
}

/* The words of node @home's memory that are a thread's. */
struct slice {
	uint64_t *at, first, count;
};

static struct slice slice_of(struct native_thread *t, unsigned home)
{
	struct native_node *n = t->node;
	uint64_t count = n->cfg->memory / sizeof(uint64_t) / THREADS;

	return (struct slice){native_at(n, home, 0), t->local * count, count};
}

static void *write_next(void *arg)
{
	struct native_thread *t = arg;
	unsigned self = t->node->self;
	struct slice s = slice_of(t, (self + 1) % t->node->cfg->nodes);
	unsigned sweep = (unsigned)atomic_load(&t->node->shared->word[NATIVE_NODES_MAX]);

	/* A word of each line: the pages are what matters. */
	for (uint64_t i = s.first; i < s.first + s.count; i += 8)
		s.at[i] = pattern(sweep, self, i);
	return NULL;
}

/* What the node @behind places behind that one has written. */
static void verify(struct native_thread *t, unsigned behind)
{
	struct native_node *n = t->node;
	unsigned nodes = n->cfg->nodes, writer = (n->self + nodes - behind) % nodes;
	struct slice s = slice_of(t, (writer + 1) % nodes);
	unsigned sweep = (unsigned)atomic_load(&n->shared->word[NATIVE_NODES_MAX]);

	for (uint64_t i = s.first; i < s.first + s.count; i += 8)
		NATIVE_CHECK(n, s.at[i] == pattern(sweep, writer, i), "word %llu of node %u: %#llx",
			     (unsigned long long)i, (writer + 1) % nodes,
			     (unsigned long long)s.at[i]);
}

static void *verify_own(void *arg)
{
	verify(arg, 0);
	return NULL;
}

static void *verify_others(void *arg)
{
	struct native_thread *t = arg;

	for (unsigned behind = 1; behind < t->node->cfg->nodes; behind++)
		verify(t, behind);
	return NULL;
}

void limit_body(struct native_node *n)
{
	struct native_thread counter = {.node = n};
	struct pager_stats s;

	native_thread_start(&counter, count_copies);
	for (unsigned sweep = 0; sweep < SWEEPS; sweep++) {
		native_threads(n, THREADS, write_next);
		native_barrier(n);
		native_threads(n, THREADS, verify_own);
		native_threads(n, THREADS, verify_others);
		native_barrier(n);
		if (n->self == 0)
			atomic_fetch_add(&n->shared->word[NATIVE_NODES_MAX], 1);
		native_barrier(n);
	}
	atomic_store(&n->shared->word[n->self], 1);
	pthread_join(counter.id, NULL);
	pager_stats(n->pager, &s);
	/* All but what fits went back, in each sweep. */
	NATIVE_CHECK(n, s.evict.evicted >= SWEEPS * (n->cfg->memory - n->cfg->copies) / PAGE_BYTES,
		     "%llu evicted", (unsigned long long)s.evict.evicted);
	native_barrier(n);
	count_exactly(n);
}
