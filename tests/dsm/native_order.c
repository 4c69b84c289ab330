/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What x86-TSO promises, between threads of different nodes whose pages migrate meanwhile. Relaxed
 * atomics are plain moves on x86: the compiler may not touch their order, the processor and the
 * pager must not either.
 */
#include "tests/dsm/native_tests.h"

#include <sched.h>

#define THREADS 2   /* a node */
#define MOVES	300 /* remote faults of each node, before that nothing was proved */
#define LOOK	256 /* accesses between two looks at how many there were */

static uint64_t load(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void store(uint64_t *at, uint64_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static bool has_moved(const struct native_node *n)
{
	struct pager_stats s;

	pager_stats(n->pager, &s);
	return s.dsm.faults_remote >= MOVES;
}

/* Node @node has seen enough: behind all words that the tests use. */
static _Atomic uint64_t *enough(const struct native_node *n, unsigned node)
{
	return &n->shared->word[NATIVE_WORDS - NATIVE_NODES_MAX + node];
}

/* Goes on until the pages have moved often enough to every node, however slow that is. */
static bool goes_on(const struct native_thread *t, uint64_t i)
{
	const struct native_node *n = t->node;

	/* Threads that never wait keep the shards off the CPUs, and the pages where they are. */
	if (i % 16 == 0)
		sched_yield();
	if (i % LOOK)
		return true;
	if (t->local == 0 && has_moved(n))
		*enough(n, n->self) = 1;
	for (unsigned k = 0; k < n->cfg->nodes; k++)
		if (!*enough(n, k))
			return true;
	return false;
}

/* ---- totals: every thread adds to the same words of one page ---- */

struct totals {
	uint64_t xadd;
	uint64_t low __attribute__((aligned(16))), high;
};

/* (low, high) += (1, 3) in one locked instruction; the guard makes a lost update visible. */
static void cmpxchg16b_add(struct totals *t)
{
	uint64_t low = load(&t->low), high = load(&t->high);
	bool done;

	do
		asm volatile("lock cmpxchg16b %[pair]"
			     : [pair] "+m"(*(unsigned __int128 *)&t->low), "=@ccz"(done), "+a"(low),
			       "+d"(high)
			     : "b"(low + 1), "c"(high + 3)
			     : "memory");
	while (!done);
}

static void *totals_thread(void *arg)
{
	struct native_thread *t = arg;
	struct totals *page = native_at(t->node, 0, 0);
	uint64_t adds = 0;

	for (; goes_on(t, adds); adds++) {
		__atomic_fetch_add(&page->xadd, 1, __ATOMIC_SEQ_CST);
		cmpxchg16b_add(page);
	}
	t->node->shared->word[0] += adds;
	return NULL;
}

void totals_body(struct native_node *n)
{
	const struct totals *page = native_at(n, 0, 0);
	uint64_t want;

	native_threads(n, THREADS, totals_thread);
	native_barrier(n);
	want = n->shared->word[0];
	NATIVE_CHECK(n, page->xadd == want, "%llu", (unsigned long long)page->xadd);
	NATIVE_CHECK(n, page->low == want && page->high == 3 * want, "%llu %llu",
		     (unsigned long long)page->low, (unsigned long long)page->high);
}

/* ---- message passing: what was written first is never newer to a reader ---- */

/* Data at home on node 0, flag on node 1. One writer; who reads the flag finds the data. */
static void *message_thread(void *arg)
{
	struct native_thread *t = arg;
	uint64_t *data = native_at(t->node, 0, 0), *flag = native_at(t->node, 1, 0);

	for (uint64_t i = 1; goes_on(t, i); i++) {
		if (t->index == 0) {
			store(data, i);
			store(flag, i);
			continue;
		}
		uint64_t seen = load(flag), value = load(data);
		NATIVE_CHECK(t->node, value >= seen, "flag %llu, data %llu",
			     (unsigned long long)seen, (unsigned long long)value);
	}
	return NULL;
}

void message_passing_body(struct native_node *n)
{
	native_threads(n, THREADS, message_thread);
}

/* ---- store buffering with fences: one of two must see the other's store ---- */

#define ROUNDS 2000
#define CELLS  8

/* x and y are arrays of cells on two pages; a round runs over all cells without waiting. */
static void store_buffering_round(struct native_node *n, uint64_t round)
{
	uint64_t *mine = native_at(n, 0, n->self * PAGE_BYTES);
	uint64_t *theirs = native_at(n, 0, !n->self * PAGE_BYTES);
	_Atomic uint64_t *result = &n->shared->word[n->self * CELLS];

	for (unsigned i = 0; i < CELLS; i++) {
		store(&mine[i], round);
		asm volatile("mfence" ::: "memory");
		result[i] = load(&theirs[i]);
	}
}

void store_buffering_body(struct native_node *n)
{
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		native_barrier(n);
		store_buffering_round(n, round);
		native_barrier(n);
		for (unsigned i = 0; i < CELLS; i++)
			NATIVE_CHECK(n,
				     n->shared->word[i] == round ||
					     n->shared->word[CELLS + i] == round,
				     "round %llu, cell %u", (unsigned long long)round, i);
	}
	NATIVE_CHECK(n, has_moved(n), "the pages stayed where they were");
}

/* ---- mixed: slots that only their writer changes, and only upwards ---- */

#define PAGES	 3
#define WRITERS	 (NATIVE_NODES_MAX * THREADS)
#define SLOT_MAX (PAGES * WRITERS)

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Pages have different homes; a page has a slot of every writer. */
static uint64_t *slot_at(const struct native_node *n, unsigned page, unsigned writer)
{
	uint64_t *at = native_at(n, page % n->cfg->nodes, page * PAGE_BYTES);

	return at + writer * 8;
}

static void *mixed_thread(void *arg)
{
	struct native_thread *t = arg;
	struct native_node *n = t->node;
	uint64_t last[PAGES][WRITERS] = {{0}}, state = t->index + 1;
	unsigned writers = n->cfg->nodes * THREADS;

	for (uint64_t i = 1; goes_on(t, i); i++) {
		unsigned page = (unsigned)(next_random(&state) % PAGES);
		unsigned writer = (unsigned)(next_random(&state) % writers);
		uint64_t value = load(slot_at(n, page, writer));

		NATIVE_CHECK(n, value >= last[page][writer], "page %u, writer %u: %llu after %llu",
			     page, writer, (unsigned long long)value,
			     (unsigned long long)last[page][writer]);
		last[page][writer] = value;
		if (next_random(&state) % 4 == 0) {
			unsigned own = (unsigned)(next_random(&state) % PAGES);
			last[own][t->index]++;
			store(slot_at(n, own, t->index), last[own][t->index]);
		}
	}
	for (unsigned page = 0; page < PAGES; page++)
		n->shared->word[page * WRITERS + t->index] = last[page][t->index];
	return NULL;
}

void mixed_body(struct native_node *n)
{
	static_assert(SLOT_MAX <= NATIVE_WORDS, "one word a slot");
	native_threads(n, THREADS, mixed_thread);
	native_barrier(n);
	for (unsigned page = 0; page < PAGES; page++)
		for (unsigned w = 0; w < n->cfg->nodes * THREADS; w++)
			NATIVE_CHECK(
				n, load(slot_at(n, page, w)) == n->shared->word[page * WRITERS + w],
				"page %u, writer %u at the end", page, w);
}
