/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread is in one mood for some steps and then in another one, by its seed: it uses slots
 * anywhere, or few of them, or one after another; it reads and writes whole blocks; it adds to
 * totals; it sleeps. A step in the wrong place ends the run.
 */
#include <sched.h>

#include "base/clock.h"
#include "tests/dsm/soak.h"

#define PAGE_WORDS  (PAGE_BYTES / sizeof(uint64_t))
#define BLOCK_WORDS (SOAK_BLOCK_PAGES * PAGE_WORDS)
#define SLOTS	    (SOAK_NODES * SOAK_SLOT_PAGES) /* pages of all nodes */
#define BLOCKS	    (SOAK_NODES * SOAK_BLOCKS)
#define TAGS	    UINT64_C(65536)
#define BLOCKS_AT   SOAK_SLOT_PAGES
#define LOCKS_AT    (BLOCKS_AT + SOAK_BLOCKS * SOAK_BLOCK_PAGES)
#define TOTALS_AT   (LOCKS_AT + SOAK_LOCK_PAGES)

static_assert(SLOTS * SOAK_WRITERS <= TAGS, "a value tells its place");
static_assert((TOTALS_AT + 1) * PAGE_BYTES <= SOAK_REGIONS * REGION_BYTES, "all has room");

struct load {
	struct native_node *node;
	struct soak *soak;
	unsigned writer;
	uint64_t random;
	uint64_t (*slot)[SOAK_WRITERS]; /* what was last seen there: how often it was written */
	uint64_t added[SOAK_TOTALS], seen[SOAK_TOTALS];
	uint64_t cursor; /* of sequential steps */
};

struct block_lock {
	_Atomic uint64_t held;
	uint64_t version;
};
static_assert(SOAK_BLOCKS * sizeof(struct block_lock) <= SOAK_LOCK_PAGES * PAGE_BYTES, "has room");

static uint64_t mixed(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* 0 to @below - 1. */
static uint64_t pick(struct load *l, uint64_t below)
{
	return mixed(l->random += UINT64_C(0x9e3779b97f4a7c15)) % below;
}

static void *page_at(const struct native_node *n, uint64_t home, uint64_t page)
{
	return native_at(n, (unsigned)home, page * PAGE_BYTES);
}

/* ---- slots ---- */

/* A cache line a writer. */
static _Atomic uint64_t *slot_at(const struct native_node *n, uint64_t page, unsigned writer)
{
	_Atomic uint64_t *words = page_at(n, page / SOAK_SLOT_PAGES, page % SOAK_SLOT_PAGES);

	return words + writer * 8;
}

static uint64_t slot_value(uint64_t page, unsigned writer, uint64_t times)
{
	return times ? times * TAGS + page * SOAK_WRITERS + writer : 0;
}

/* Return: how often it was written. */
static uint64_t slot_read(const struct native_node *n, uint64_t page, unsigned writer)
{
	uint64_t value = atomic_load_explicit(slot_at(n, page, writer), memory_order_relaxed);

	NATIVE_CHECK(n, value == slot_value(page, writer, value / TAGS),
		     "slot page %llu, writer %u: %#llx", (unsigned long long)page, writer,
		     (unsigned long long)value);
	return value / TAGS;
}

static void slot_step(struct load *l, uint64_t page)
{
	unsigned writer = pick(l, 2) ? l->writer : (unsigned)pick(l, SOAK_WRITERS);
	uint64_t times = slot_read(l->node, page, writer), *last = &l->slot[page][writer];

	NATIVE_CHECK(l->node, times >= *last && (writer != l->writer || times == *last),
		     "slot page %llu, writer %u: %llu after %llu", (unsigned long long)page, writer,
		     (unsigned long long)times, (unsigned long long)*last);
	*last = times;
	if (writer != l->writer)
		return;
	++*last;
	atomic_store_explicit(slot_at(l->node, page, writer), slot_value(page, writer, *last),
			      memory_order_relaxed);
}

static void anywhere(struct load *l)
{
	slot_step(l, pick(l, SLOTS));
}

static void few(struct load *l)
{
	slot_step(l, pick(l, 8) * (SLOTS / 8));
}

static void in_order(struct load *l)
{
	slot_step(l, l->cursor++ % SLOTS);
}

/* ---- blocks ---- */

static struct block_lock *lock_of(const struct native_node *n, uint64_t block)
{
	struct block_lock *locks = page_at(n, block % SOAK_NODES, LOCKS_AT);

	return locks + block / SOAK_NODES;
}

static uint64_t *block_at(const struct native_node *n, uint64_t block)
{
	return page_at(n, block / SOAK_BLOCKS, BLOCKS_AT + block % SOAK_BLOCKS * SOAK_BLOCK_PAGES);
}

static uint64_t word_of(uint64_t block, uint64_t version, uint64_t i)
{
	return version ? mixed(version << 32 ^ block << 16 ^ i) : 0;
}

static void block_check(const struct native_node *n, uint64_t block, uint64_t version)
{
	const uint64_t *word = block_at(n, block);

	for (uint64_t i = 0; i < BLOCK_WORDS; i++)
		NATIVE_CHECK(n, word[i] == word_of(block, version, i),
			     "block %llu, word %llu: not of version %llu",
			     (unsigned long long)block, (unsigned long long)i,
			     (unsigned long long)version);
}

static void block_step(struct load *l)
{
	uint64_t block = pick(l, BLOCKS), *word = block_at(l->node, block);
	struct block_lock *lock = lock_of(l->node, block);

	while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire))
		sched_yield();
	block_check(l->node, block, lock->version);
	if (pick(l, 2)) {
		lock->version++;
		for (uint64_t i = 0; i < BLOCK_WORDS; i++)
			word[i] = word_of(block, lock->version, i);
	}
	atomic_store_explicit(&lock->held, 0, memory_order_release);
}

/* ---- totals, and rest ---- */

static _Atomic uint64_t *total_at(const struct native_node *n, uint64_t i)
{
	return (_Atomic uint64_t *)page_at(n, i % SOAK_NODES, TOTALS_AT) + i;
}

static void add(struct load *l)
{
	uint64_t i = pick(l, SOAK_TOTALS), amount = 1 + pick(l, 100);
	uint64_t before = atomic_fetch_add(total_at(l->node, i), amount);

	NATIVE_CHECK(l->node, before >= l->seen[i], "total %llu went down", (unsigned long long)i);
	l->seen[i] = before + amount;
	l->added[i] += amount;
}

static void rest(struct load *l)
{
	const struct timespec pause = {.tv_nsec = (long)(pick(l, 5) * NSEC_PER_MSEC)};

	pager_yield(l->node->pager);
	nanosleep(&pause, NULL);
}

static const struct {
	void (*step)(struct load *l);
	unsigned steps; /* at most */
} moods[] = {{anywhere, 1000}, {few, 1000}, {in_order, 3000},
	     {block_step, 40}, {add, 500},  {rest, 2}};

static void finish(struct load *l)
{
	for (unsigned page = 0; page < SLOTS; page++)
		l->soak->slot[page][l->writer] = l->slot[page][l->writer];
	for (unsigned i = 0; i < SOAK_TOTALS; i++)
		atomic_fetch_add(&l->soak->total[i], l->added[i]);
}

void *soak_thread(void *arg)
{
	const struct native_thread *t = arg;
	struct soak *s = t->node->cfg->ctx;
	struct load l = {.node = t->node, .soak = s, .writer = t->index};

	l.random = s->seed * SOAK_WRITERS + t->index;
	l.slot = calloc(SLOTS, sizeof(*l.slot));
	NATIVE_CHECK(t->node, l.slot, "memory");
	while (!s->stop) {
		unsigned mood = (unsigned)pick(&l, ARRAY_SIZE(moods));
		uint64_t steps = 1 + pick(&l, moods[mood].steps);

		l.cursor = pick(&l, SLOTS);
		for (uint64_t i = 0; i < steps && !s->stop; i++)
			moods[mood].step(&l);
		unsigned tenth = atomic_load(&s->tenth);
		atomic_fetch_add(&s->steps[t->node->self][tenth], steps);
	}
	finish(&l);
	free(l.slot);
	return NULL;
}

uint64_t soak_bytes(void)
{
	return SOAK_NODES * (TOTALS_AT + 1) * PAGE_BYTES;
}

void soak_warm(struct native_node *n)
{
	for (unsigned home = 0; home < SOAK_NODES; home++)
		for (uint64_t page = 0; page <= TOTALS_AT; page++)
			(void)*(volatile uint64_t *)page_at(n, home, page);
}

void soak_check(struct native_node *n)
{
	const struct soak *s = n->cfg->ctx;

	for (uint64_t page = 0; page < SLOTS; page++)
		for (unsigned writer = 0; writer < SOAK_WRITERS; writer++)
			NATIVE_CHECK(n, slot_read(n, page, writer) == s->slot[page][writer],
				     "slot page %llu, writer %u", (unsigned long long)page, writer);
	for (uint64_t block = 0; block < BLOCKS; block++)
		block_check(n, block, lock_of(n, block)->version);
	for (unsigned i = 0; i < SOAK_TOTALS; i++)
		NATIVE_CHECK(n, *total_at(n, i) == s->total[i], "total %u: %llu, not %llu", i,
			     (unsigned long long)*total_at(n, i), (unsigned long long)s->total[i]);
}
