/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One contended page: atomic read-modify-write from all CPUs, exact totals.
 *
 * `lock xadd`: besides the total, the sum of all returned values must be 0 + 1 + ... + total-1 and
 * every CPU must see its own values rise: a value handed out twice cannot hide in a right total.
 *
 * `cmpxchg16b`: a pair (count, count * STEP). Every value the instruction returns is checked for
 * the relation between its halves: a torn pair is a failure even if the total is right.
 *
 * Mutex (futex-based, of the C library): plain increments of a counter beside the mutex and of one
 * in another page, and an owner's mark that nobody may change inside of the section.
 *
 * All loops end by rounds or by time, asking the clock every few rounds only; "expected" is the
 * sum of what the workers did.
 */
#include "tests/guest/proof.h"

#define ROUNDS	     20000
#define CLOCK_EVERY  8
#define BUDGET_SHARE 0.7
#define PAIR_STEP    UINT64_C(0x9e3779b97f4a7c15)

struct pair {
	_Alignas(16) uint64_t count, check;
};

struct contended {
	struct barrier barrier;
	struct {
		_Alignas(PAGE_BYTES) uint64_t counter;
		struct pair pair;
		pthread_mutex_t mutex;
		uint64_t guarded, owner;
	} page;
	_Alignas(PAGE_BYTES) uint64_t far_guarded;
	struct {
		_Alignas(PAGE_BYTES) uint64_t done;
		uint64_t sum, wrong;
	} worker[PROOF_MAX_CPUS];
};

static struct contended *contended_new(void)
{
	struct contended *s = map_pages(sizeof(*s) / PAGE_BYTES);

	pthread_mutex_init(&s->page.mutex, NULL);
	return s;
}

/* Is it time to end, after @tries, of which @done did something? Not before any has. */
static bool time_is_up(uint64_t tries, uint64_t done, uint64_t deadline)
{
	return done && tries % CLOCK_EVERY == 0 && clock_now_ns() > deadline;
}

/* Adds the workers up, spoils the total where that was asked for, and compares it. */
static void contended_result(struct check *c, struct contended *s, uint64_t total)
{
	uint64_t expected = 0, sum = 0, wrong = 0, least = UINT64_MAX;

	for (unsigned i = 0; i < c->topo->n_cpus; i++) {
		expected += s->worker[i].done;
		sum += s->worker[i].sum;
		wrong += s->worker[i].wrong;
		least = MIN(least, s->worker[i].done);
	}
	if (check_sabotaged(c))
		total--;
	check_note(c, "total %lu of %lu by %u CPUs (least %lu)", total, expected, c->topo->n_cpus,
		   least);
	if (total != expected)
		check_fail(c, "wrong total");
	if (!least)
		check_fail(c, "a CPU has done nothing");
	if (wrong)
		check_fail(c, "%lu wrong values seen", wrong);
	if (!strcmp(c->name, "xadd") && sum != expected * (expected - 1) / 2)
		check_fail(c, "values returned twice or never");
	check_json(c, "\"%s\": {\"total\": %lu, \"expected\": %lu, \"wrong\": %lu}", c->name, total,
		   expected, wrong);
}

static void xadd_worker(struct worker *w)
{
	struct contended *s = w->shared;
	uint64_t rounds = check_rounds(w->c, ROUNDS), next = 0, sum = 0, wrong = 0, done = 0;

	uint64_t deadline = barrier_start(w, &s->barrier, BUDGET_SHARE);
	for (; done < rounds && !time_is_up(done, done, deadline); done++) {
		uint64_t value = 1;

		__asm__ volatile("lock xaddq %0, %1"
				 : "+r"(value), "+m"(s->page.counter)
				 :
				 : "memory", "cc");
		wrong += value < next;
		next = value + 1;
		sum += value;
	}
	s->worker[w->index].done = done;
	s->worker[w->index].sum = sum;
	s->worker[w->index].wrong = wrong;
}

void check_xadd(struct check *c)
{
	struct contended *s = contended_new();

	run_everywhere(c, xadd_worker, s);
	contended_result(c, s, s->page.counter);
}

static bool cmpxchg16b(struct pair *pair, struct pair *old, struct pair new)
{
	bool done;

	__asm__ volatile("lock cmpxchg16b %1"
			 : "=@ccz"(done), "+m"(*pair), "+a"(old->count), "+d"(old->check)
			 : "b"(new.count), "c"(new.check)
			 : "memory");
	return done;
}

static void cmpxchg16b_worker(struct worker *w)
{
	struct contended *s = w->shared;
	uint64_t rounds = check_rounds(w->c, ROUNDS), wrong = 0, done = 0, tries = 0;
	struct pair old = {0};

	uint64_t deadline = barrier_start(w, &s->barrier, BUDGET_SHARE);
	while (done < rounds && !time_is_up(tries++, done, deadline)) {
		struct pair new = {old.count + 1, (old.count + 1) * PAIR_STEP};

		if (cmpxchg16b(&s->page.pair, &old, new)) {
			old = new;
			done++;
		}
		wrong += old.check != old.count * PAIR_STEP;
	}
	s->worker[w->index].done = done;
	s->worker[w->index].wrong = wrong;
}

void check_cmpxchg16b(struct check *c)
{
	struct contended *s = contended_new();

	run_everywhere(c, cmpxchg16b_worker, s);
	contended_result(c, s, s->page.pair.count);
}

static void mutex_worker(struct worker *w)
{
	struct contended *s = w->shared;
	uint64_t rounds = check_rounds(w->c, ROUNDS / 4), wrong = 0, done = 0;

	uint64_t deadline = barrier_start(w, &s->barrier, BUDGET_SHARE);
	for (; done < rounds && !time_is_up(done, done, deadline); done++) {
		pthread_mutex_lock(&s->page.mutex);
		__atomic_store_n(&s->page.owner, w->index + 1, __ATOMIC_RELAXED);
		s->page.guarded++;
		s->far_guarded++;
		wrong += __atomic_load_n(&s->page.owner, __ATOMIC_RELAXED) != w->index + 1;
		pthread_mutex_unlock(&s->page.mutex);
	}
	s->worker[w->index].done = done;
	s->worker[w->index].wrong = wrong;
}

void check_mutex(struct check *c)
{
	struct contended *s = contended_new();

	run_everywhere(c, mutex_worker, s);
	if (s->far_guarded != s->page.guarded)
		check_fail(c, "%lu in the other page", s->far_guarded);
	contended_result(c, s, s->page.guarded);
}
