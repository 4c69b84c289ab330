/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CLOCK_MONOTONIC never goes back between CPUs.
 *
 * A shared word holds the latest time anyone has seen, and which party saw it. Each party reads
 * the word, then its clock: the clock was read after the word, and the word after the other's
 * clock, so by causality the own reading may not be smaller. Then the word is raised by
 * compare-and-swap. A smaller reading is a violation.
 *
 * The smallest forward margin of every ordered pair of parties is kept as well: in each direction
 * it is the way of the word plus or minus the clocks' difference, so half of the difference of the
 * two margins estimates the clocks' offset, with half of their sum as its bound. The offset
 * shows a skew that the network's own delay would hide from the violation count.
 *
 * Parties go on until the word has gone to and fro often enough, however fast they read their
 * clocks: a host may keep the word's page for milliseconds. Clocks that drift need time to part
 * first: proof.clock_delay.
 *
 * The same is done with the raw time stamp counter, for information only: no violation of it fails
 * the proof, since the kernel may correct it.
 */
#include <time.h>

#include "tests/guest/proof.h"

#define PARTY_BITS   5
#define PARTY_MASK   ((UINT64_C(1) << PARTY_BITS) - 1)
#define ROUNDS	     200000
#define CLOCK_EVERY  16
#define HANDOVERS    32
#define SABOTAGE_NS  (50 * NSEC_PER_MSEC)
#define BUDGET_SHARE 0.5

static_assert(PROOF_MAX_NODES <= 1 << PARTY_BITS, "a party fits in the low bits of the word");

struct party {
	_Alignas(PAGE_BYTES) uint64_t rounds;
	uint64_t handovers, violations, worst_back;
	int64_t margin[PROOF_MAX_NODES]; /* from each other party to this one, smallest */
};

struct clock_run {
	struct barrier barrier;
	bool raw;
	_Atomic bool enough;			      /* a party has done its part */
	_Alignas(PAGE_BYTES) _Atomic uint64_t latest; /* time << PARTY_BITS | party */
	struct party party[PROOF_MAX_NODES];
};

static uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

static void compare(struct worker *w, struct party *me, uint64_t seen, uint64_t now)
{
	uint64_t before = seen >> PARTY_BITS;
	unsigned from = seen & PARTY_MASK;
	int64_t margin = (int64_t)(now - before);

	if (!before)
		return;
	if (margin < 0) {
		me->violations++;
		me->worst_back = MAX(me->worst_back, (uint64_t)-margin);
	}
	if (from != w->index) {
		me->handovers++;
		me->margin[from] = MIN(me->margin[from], margin);
	}
}

static void clock_worker(struct worker *w)
{
	struct clock_run *run = w->shared;
	struct party *me = &run->party[w->index];
	uint64_t rounds = check_rounds(w->c, ROUNDS);
	uint64_t spoil = check_sabotaged(w->c) && w->index ? SABOTAGE_NS : 0;

	for (unsigned i = 0; i < w->n; i++)
		me->margin[i] = INT64_MAX;
	uint64_t deadline = barrier_start(w, &run->barrier, BUDGET_SHARE);
	for (; me->rounds < rounds || me->handovers < HANDOVERS; me->rounds++) {
		uint64_t seen = atomic_load(&run->latest);
		uint64_t now = run->raw ? read_tsc() : clock_now_ns() - spoil;

		compare(w, me, seen, now);
		while (now > seen >> PARTY_BITS &&
		       !atomic_compare_exchange_weak(&run->latest, &seen,
						     now << PARTY_BITS | w->index))
			;
		if (me->rounds % CLOCK_EVERY)
			continue;
		bool enough = atomic_load(&run->enough);

		if ((clock_now_ns() > deadline && (me->handovers || enough)) ||
		    (me->rounds >= rounds && enough))
			break;
	}
	atomic_store(&run->enough, true);
}

/* The largest |offset| between two parties that have met in both directions. */
static int64_t worst_offset(const struct clock_run *run, unsigned n, int64_t *bound)
{
	int64_t worst = 0;

	*bound = 0;
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = i + 1; j < n; j++) {
			int64_t there = run->party[j].margin[i], back = run->party[i].margin[j];
			int64_t offset;

			if (there == INT64_MAX || back == INT64_MAX)
				continue;
			offset = (there - back) / 2;
			if (llabs(offset) >= llabs(worst)) {
				worst = offset;
				*bound = llabs(there + back) / 2;
			}
		}
	return worst;
}

static struct party run_clock(struct check *c, bool raw, int64_t *offset, int64_t *bound)
{
	struct clock_run *run = map_pages(sizeof(*run) / PAGE_BYTES);
	struct party all = {.margin = {INT64_MAX}};
	unsigned n = c->topo->n_parties;

	run->raw = raw;
	run_workers(c, NULL, n, clock_worker, run);
	for (unsigned i = 0; i < n; i++) {
		all.rounds += run->party[i].rounds;
		all.handovers += run->party[i].handovers;
		all.violations += run->party[i].violations;
		all.worst_back = MAX(all.worst_back, run->party[i].worst_back);
		for (unsigned j = 0; j < n; j++)
			all.margin[0] = MIN(all.margin[0], run->party[i].margin[j]);
	}
	*offset = worst_offset(run, n, bound);
	return all;
}

void check_clock(struct check *c)
{
	int64_t offset, bound, tsc_offset, tsc_bound;
	struct party ns, tsc;

	if (!check_needs_cpus(c, 2))
		return;
	nanosleep(&(struct timespec){.tv_sec = c->config->clock_delay}, NULL);
	ns = run_clock(c, false, &offset, &bound);
	tsc = run_clock(c, true, &tsc_offset, &tsc_bound);
	check_note(c, "%lu readings, %lu handovers, %lu backward, worst %lu ns back", ns.rounds,
		   ns.handovers, ns.violations, ns.worst_back);
	check_note(c, "smallest margin %ld ns, offset %ld +- %ld ns", ns.margin[0], offset, bound);
	check_note(c, "TSC: %lu backward, worst %lu, offset %ld +- %ld cycles", tsc.violations,
		   tsc.worst_back, tsc_offset, tsc_bound);
	if (ns.violations)
		check_fail(c, "went back");
	if (!ns.handovers)
		check_fail(c, "no party saw another's time");
	check_json(c, "\"clock_violations\": %lu, \"clock_worst_ns\": %lu", ns.violations,
		   ns.worst_back);
	check_json(c, "\"clock_margin_ns\": %ld, \"clock_offset_ns\": %ld", ns.margin[0], offset);
	check_json(c, "\"tsc_violations\": %lu, \"tsc_worst\": %lu", tsc.violations,
		   tsc.worst_back);
}
