/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pinned threads, their barrier, and what they need to be random and to share pages.
 *
 * A failure to create or pin a thread aborts the check's process: process 1 reports the signal.
 */
#include <sched.h>
#include <sys/mman.h>

#include "tests/guest/proof.h"

static void die(const char *what)
{
	perror(what);
	abort();
}

/* Keeps the calling thread on the CPU of @slot. */
void pin_to(const struct check *c, unsigned slot)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(c->topo->cpu[slot].id, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

struct start {
	struct worker worker;
	void (*fn)(struct worker *);
};

static void *worker_main(void *arg)
{
	struct start *start = arg;

	pin_to(start->worker.c, start->worker.slot);
	start->fn(&start->worker);
	return NULL;
}

/* Runs @fn in @n threads, thread i on slot slots[i] (or i), and waits for all of them. */
void run_workers(struct check *c, const unsigned *slots, unsigned n, void (*fn)(struct worker *),
		 void *shared)
{
	_cleanup_free_ struct start *start = calloc(n, sizeof(*start));

	if (!start)
		die("calloc");
	for (unsigned i = 0; i < n; i++) {
		start[i].fn = fn;
		start[i].worker = (struct worker){
			.c = c,
			.shared = shared,
			.index = i,
			.n = n,
			.slot = slots ? slots[i] : i,
			.random = (i + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ clock_now_ns(),
		};
		if (pthread_create(&start[i].worker.thread, NULL, worker_main, &start[i]))
			die("pthread_create");
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(start[i].worker.thread, NULL);
}

/* One thread on every CPU. */
void run_everywhere(struct check *c, void (*fn)(struct worker *), void *shared)
{
	run_workers(c, NULL, c->topo->n_cpus, fn, shared);
}

void barrier_wait(struct barrier *b, unsigned n)
{
	unsigned generation = atomic_load(&b->generation);

	if (atomic_fetch_add(&b->arrived, 1) + 1 == n) {
		atomic_store(&b->arrived, 0);
		atomic_fetch_add(&b->generation, 1);
		return;
	}
	for (unsigned spins = 1; atomic_load(&b->generation) == generation; spins++) {
		cpu_pause();
		if (spins % 4096 == 0)
			sched_yield();
	}
}

/* Waits for the other threads. Return: the end of @share of the time budget, which begins now. */
uint64_t barrier_start(struct worker *w, struct barrier *b, double share)
{
	barrier_wait(b, w->n);
	return check_deadline(w->c, share);
}

/* xorshift64*: cheap, and every worker has its own. */
uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Zeroed pages shared with threads and forked children; small pages, since they are to migrate. */
void *map_pages(size_t pages)
{
	void *p = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	madvise(p, pages * PAGE_BYTES, MADV_NOHUGEPAGE);
	return p;
}

/* Neighbouring parties: one pair for two, a ring for more. Returns the number of pairs. */
unsigned party_pairs(const struct topology *topo, unsigned pair[PROOF_MAX_NODES][2])
{
	unsigned n = topo->n_parties > 2 ? topo->n_parties : topo->n_parties - 1;

	for (unsigned i = 0; i < n; i++) {
		pair[i][0] = i;
		pair[i][1] = (i + 1) % topo->n_parties;
	}
	return n;
}
