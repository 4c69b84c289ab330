/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Homes that move while their memory is in use: to who uses it, back, not where there is no room
 * nor where they are pinned, and all the time while every node's threads write everywhere.
 */
#include "tests/dsm/native_tests.h"

#include <fcntl.h>
#include <sched.h>

#include "dsm/granule.h"
#include "dsm/uffd.h"

#define OTHER	1 /* regions of node 0 */
#define THIRD	2
#define ROUNDS	200
#define PAGE_AT (PAGE_BYTES / sizeof(uint64_t))

struct where {
	uint64_t gpa;
	int home;
};

static void ask_home(const struct dsm_proto *proto, void *arg)
{
	struct where *w = arg;

	w->home = dsm_proto_home(proto, w->gpa);
}

/* As this node knows it. */
static int home_of(struct native_node *n, unsigned region)
{
	struct where w = {.gpa = region * REGION_BYTES};
	unsigned shard = granule_shard(&n->ram->layout, n->cfg->shards, w.gpa);

	NATIVE_CHECK(n, pager_call(n->pager, shard, ask_home, &w) == 0, "it has stopped");
	return w.home;
}

static struct dsm_stats stats(const struct native_node *n)
{
	struct pager_stats s;

	pager_stats(n->pager, &s);
	return s.dsm;
}

static uint64_t value(unsigned writer, unsigned page)
{
	return (page + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ writer;
}

/* A word of each of so many pages of node 0's region. */
static void write_pages(struct native_node *n, unsigned region, unsigned first, unsigned count)
{
	uint64_t *at = native_at(n, 0, region * REGION_BYTES);

	for (unsigned i = first; i < first + count; i++)
		at[i * PAGE_AT] = value(n->self, i);
}

static void check_pages(struct native_node *n, unsigned region, unsigned writer)
{
	const uint64_t *at = native_at(n, 0, region * REGION_BYTES);

	for (unsigned i = 0; i < REGION_PAGES; i++)
		NATIVE_CHECK(n, at[i * PAGE_AT] == value(writer, i), "region %u, page %u: %#llx",
			     region, i, (unsigned long long)at[i * PAGE_AT]);
}

/* Until the deadline of the run. */
static void await_home(struct native_node *n, unsigned region, int home)
{
	while (home_of(n, region) != home)
		sched_yield();
}

/* Until what node 1 asks itself for is granted at once. */
static void await_region(struct native_node *n, unsigned region)
{
	while (!stats(n).regions_came)
		sched_yield();
	await_home(n, region, 1);
}

/* Node 1 uses a region of node 0, and then has what nobody has of it by itself. */
void homes_go_body(struct native_node *n)
{
	struct dsm_stats before, after;

	if (n->self == 1) {
		write_pages(n, OTHER, 0, REGION_PAGES / 2);
		await_region(n, OTHER);
		before = stats(n);
		write_pages(n, OTHER, REGION_PAGES / 2, REGION_PAGES / 2);
		await_home(n, OTHER, 1); /* the shard has counted the last one */
		after = stats(n);
		NATIVE_CHECK(n, after.faults_remote == before.faults_remote, "asks another");
		NATIVE_CHECK(n, after.faults_local - before.faults_local == REGION_PAGES / 2,
			     "%llu after %llu", (unsigned long long)after.faults_local,
			     (unsigned long long)before.faults_local);
		NATIVE_CHECK(n, after.regions_came == 1 && after.tracked_regions == 1, "%llu",
			     (unsigned long long)after.regions_came);
	}
	native_barrier(n);
	if (n->self == 0) {
		after = stats(n);
		NATIVE_CHECK(n, after.regions_left == 1 && after.tracked_regions == 0, "%llu",
			     (unsigned long long)after.regions_left);
		NATIVE_CHECK(n, home_of(n, OTHER) == 1 && home_of(n, THIRD) == 0, "not that one");
	}
	check_pages(n, OTHER, 1);
}

/* It goes to node 1; then node 0 uses it more, has it back, and all of it: it is plain memory. */
void homes_return_body(struct native_node *n)
{
	_Atomic uint64_t *back = &n->shared->word[0];

	if (n->self == 1) {
		write_pages(n, OTHER, 0, REGION_PAGES);
		await_home(n, OTHER, 1);
	}
	native_barrier(n);
	while (!*back) {
		if (n->self == 1)
			write_pages(n, OTHER, 0, REGION_PAGES / 8);
		native_barrier(n);
		if (n->self == 0) {
			write_pages(n, OTHER, 0, REGION_PAGES);
			*back = home_of(n, OTHER) == 0;
		}
		native_barrier(n);
	}
	if (n->self == 0)
		NATIVE_CHECK(n, stats(n).regions_left == 1 && stats(n).regions_came == 1, "%llu",
			     (unsigned long long)stats(n).regions_came);
	while (n->self == 0 && stats(n).tracked_regions)
		sched_yield();
	native_barrier(n);
	check_pages(n, OTHER, 0);
}

/* Both use a page of it in turn: as much as node 1 asks for, its home does. */
void homes_shared_body(struct native_node *n)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (n->self == i % 2)
			write_pages(n, OTHER, 0, 1);
		native_barrier(n);
	}
	NATIVE_CHECK(n, home_of(n, OTHER) == 0, "moved");
}

/* Node 1 works on a region of node 0, and node 2 reads all that it writes. */
void homes_watched_body(struct native_node *n)
{
	_Atomic uint64_t *gone = &n->shared->word[0];

	if (n->self == 1)
		write_pages(n, OTHER, 0, REGION_PAGES);
	native_barrier(n);
	while (!*gone) {
		if (n->self == 2)
			check_pages(n, OTHER, 1);
		native_barrier(n);
		if (n->self == 1)
			write_pages(n, OTHER, 0, REGION_PAGES);
		if (n->self == 0)
			*gone = home_of(n, OTHER) == 1;
		native_barrier(n);
	}
	check_pages(n, OTHER, 1);
}

/* Node 1 has no room for a region. */
void homes_refused_body(struct native_node *n)
{
	_Atomic uint64_t *refused = &n->shared->word[0];

	while (!*refused) {
		if (n->self == 1)
			for (unsigned region = OTHER; region < NATIVE_REGIONS; region++)
				write_pages(n, region, 0, REGION_PAGES);
		else
			*refused = stats(n).regions_refused;
	}
	native_barrier(n);
	NATIVE_CHECK(n, home_of(n, OTHER) == 0 && home_of(n, THIRD) == 0, "where it had no room");
	NATIVE_CHECK(n, !stats(n).regions_left && !stats(n).regions_came, "moved");
}

/* Of two regions that node 1 uses alike, the pinned one stays. */
void homes_pinned_body(struct native_node *n)
{
	if (n->self == 1) {
		write_pages(n, OTHER, 0, REGION_PAGES);
		write_pages(n, THIRD, 0, REGION_PAGES);
		await_home(n, THIRD, 1);
	}
	native_barrier(n);
	NATIVE_CHECK(n, home_of(n, OTHER) == 0, "pinned");
	check_pages(n, OTHER, 1);
	check_pages(n, THIRD, 1);
}

/* ---- all the time ---- */

#define THREADS	   2
#define WRITERS	   (3 * THREADS) /* of all nodes */
#define STEPS	   2000		 /* each thread, at least */
#define FAVOURITE  300		 /* steps that prefer one region */
#define MOVES	   20		 /* of all nodes, at least */
#define TAGS	   (UINT64_C(1) << 20)
#define LEFT(node) (node)		  /* words that all share: regions that have left it */
#define QUIT	   NATIVE_NODES_MAX	  /* nodes that want no more */
#define TIMES	   (NATIVE_NODES_MAX + 1) /* how often a writer wrote to each page */

struct walk {
	struct native_node *node;
	unsigned writer, pages;
	uint64_t random;
	uint32_t (*seen)[WRITERS]; /* by page: how often it was written, as last seen */
};

static unsigned pick(struct walk *w, unsigned below)
{
	w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)((w->random >> 33) % below);
}

/* A cache line a writer. */
static _Atomic uint64_t *slot_at(const struct native_node *n, unsigned page, unsigned writer)
{
	_Atomic uint64_t *words = native_at(n, 0, page * PAGE_BYTES);

	return words + writer * 8;
}

static uint64_t slot_value(unsigned page, unsigned writer, uint32_t times)
{
	return times ? times * TAGS + page * WRITERS + writer : 0;
}

static uint32_t slot_read(const struct native_node *n, unsigned page, unsigned writer)
{
	uint64_t now = atomic_load(slot_at(n, page, writer));
	uint32_t times = (uint32_t)(now / TAGS);

	NATIVE_CHECK(n, now == slot_value(page, writer, times), "page %u, writer %u: %#llx", page,
		     writer, (unsigned long long)now);
	return times;
}

static void step(struct walk *w, unsigned page)
{
	unsigned writer = pick(w, 2) ? w->writer : pick(w, WRITERS);
	uint32_t times = slot_read(w->node, page, writer), *seen = &w->seen[page][writer];

	NATIVE_CHECK(w->node, times >= *seen && (writer != w->writer || times == *seen),
		     "page %u, writer %u: %u after %u", page, writer, times, *seen);
	*seen = times;
	if (writer == w->writer)
		atomic_store(slot_at(w->node, page, writer), slot_value(page, writer, ++*seen));
}

static uint64_t all_left(const struct native_node *n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n->cfg->nodes; i++)
		sum += n->shared->word[LEFT(i)];
	return sum;
}

static void *walk(void *arg)
{
	struct native_thread *t = arg;
	struct native_node *n = t->node;
	struct walk w = {.node = n, .writer = t->index, .random = t->index};
	unsigned favourite = 0;

	w.pages = (unsigned)(n->cfg->nodes * n->cfg->memory / PAGE_BYTES);
	w.seen = calloc(w.pages, sizeof(*w.seen));
	NATIVE_CHECK(n, w.seen && w.pages * WRITERS < TAGS, "memory");
	for (unsigned i = 0; i < STEPS || all_left(n) < MOVES; i++) {
		if (i % FAVOURITE == 0) {
			favourite = pick(&w, w.pages / (unsigned)REGION_PAGES);
			n->shared->word[LEFT(n->self)] = stats(n).regions_left;
		}
		step(&w, pick(&w, 4) ? favourite * (unsigned)REGION_PAGES + pick(&w, REGION_PAGES)
				     : pick(&w, w.pages));
	}
	for (unsigned page = 0; page < w.pages; page++)
		atomic_fetch_add(&n->shared->word[TIMES + w.writer], w.seen[page][w.writer]);
	free(w.seen);
	return NULL;
}

struct account {
	struct native_node *node;
	int pagemap;
};

/*
 * In the shard's thread: what the pager counts as copies is what the kernel has of regions that
 * are at home elsewhere, and no more than there is room for.
 */
static void check_account(const struct dsm_proto *proto, void *arg)
{
	const struct account *a = arg;
	struct native_node *n = a->node;
	struct pager_stats s;
	uint64_t here = 0, room;

	for (uint64_t gpa = 0; gpa < n->cfg->nodes * n->cfg->memory; gpa += REGION_BYTES) {
		uint64_t bits[REGION_PAGES / 64] = {0};
		uint64_t hva = (uintptr_t)native_at(n, 0, gpa);

		if (dsm_proto_home(proto, gpa) == (int)n->self)
			continue;
		NATIVE_CHECK(n, uffd_populated(a->pagemap, hva, REGION_PAGES, bits) == 0,
			     "pagemap");
		for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
			here += (uint64_t)__builtin_popcountll(bits[i]);
	}
	pager_stats(n->pager, &s);
	room = n->cfg->copies / PAGE_BYTES + REGION_PAGES * s.dsm.regions_left -
	       REGION_PAGES * s.dsm.regions_came;
	NATIVE_CHECK(n, here == s.evict.resident && here <= room, "%llu here, %llu known, %llu fit",
		     (unsigned long long)here, (unsigned long long)s.evict.resident,
		     (unsigned long long)room);
}

static void *keep_accounts(void *arg)
{
	struct native_thread *t = arg;
	struct native_node *n = t->node;
	struct account a = {.node = n};
	const struct timespec pause = {.tv_nsec = (long)(2 * NSEC_PER_MSEC)};

	a.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	NATIVE_CHECK(n, a.pagemap >= 0, "pagemap");
	while (n->shared->word[QUIT] < n->cfg->nodes) {
		NATIVE_CHECK(n, pager_call(n->pager, 0, check_account, &a) == 0, "it has stopped");
		nanosleep(&pause, NULL);
	}
	close(a.pagemap);
	return NULL;
}

/* Up to three nodes. With a limit: of one shard. */
void homes_wander_body(struct native_node *n)
{
	bool limited = n->cfg->copies && !(n->cfg->keepers >> n->self & 1);
	struct native_thread accounts = {.node = n};
	unsigned pages = (unsigned)(n->cfg->nodes * n->cfg->memory / PAGE_BYTES);

	if (limited)
		native_thread_start(&accounts, keep_accounts);
	native_threads(n, THREADS, walk);
	n->shared->word[QUIT]++;
	if (limited)
		pthread_join(accounts.id, NULL);
	native_barrier(n);
	for (unsigned writer = 0; writer < n->cfg->nodes * THREADS; writer++) {
		uint64_t times = 0;

		for (unsigned page = 0; page < pages; page++)
			times += slot_read(n, page, writer);
		NATIVE_CHECK(n, times == n->shared->word[TIMES + writer], "writer %u: %llu times",
			     writer, (unsigned long long)times);
	}
}
