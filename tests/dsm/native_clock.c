/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes whose clocks disagree hand their time on through the memory that they share. A reading that
 * was written is in the past of whoever has read it: his own clock may not show less. The stamps of
 * GRANT and INV_ACK see to that, and only they: the clocks themselves are never corrected here.
 */
#include "tests/dsm/native_tests.h"

#include <sched.h>

#include "base/clock.h"

#define HANDOVERS 60 /* of each node */

struct meeting {
	uint64_t turn; /* whose it is */
	uint64_t last; /* reading */
};

static uint64_t load(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store(uint64_t *at, uint64_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* By writes: each takes the page with the data, the old owner's copy with its INV_ACK. */
static void take_turns(struct native_node *n, struct meeting *m)
{
	for (unsigned i = 0; i < HANDOVERS; i++) {
		while (load(&m->turn) % n->cfg->nodes != n->self)
			sched_yield();
		uint64_t last = load(&m->last), now = native_clock(n);
		NATIVE_CHECK(n, now >= last, "turn %u: %lld ns before the other", i,
			     (long long)(last - now));
		store(&m->last, native_clock(n));
		store(&m->turn, load(&m->turn) + 1);
	}
}

/*
 * Against the order: a node reads its clock, then finds a word still unwritten. Whoever writes the
 * word does so later; his clock, read after the write, may not show less.
 */
static void read_before_write(struct native_node *n, uint64_t *word, _Atomic uint64_t *read_at)
{
	for (unsigned i = 0; i < HANDOVERS; i++) {
		if (n->self == 0) {
			NATIVE_CHECK(n, load(word) == i, "the word of round %u", i);
			atomic_store(read_at, native_clock(n));
			NATIVE_CHECK(n, load(word) == i, "the word of round %u", i);
		}
		native_barrier(n);
		if (n->self == 1) {
			store(word, i + 1);
			uint64_t now = native_clock(n), before = atomic_load(read_at);
			NATIVE_CHECK(n, now >= before,
				     "round %u: written %lld ns before it was read", i,
				     (long long)(before - now));
		}
		native_barrier(n);
	}
}

void clock_body(struct native_node *n)
{
	take_turns(n, native_at(n, 0, 0));
	native_barrier(n);
	read_before_write(n, native_at(n, 1, PAGE_BYTES), &n->shared->word[0]);
	/* Node 0 is ahead: only the others ever had to wait. */
	NATIVE_CHECK(n, (n->waits > 0) == (n->self != 0), "%llu waits",
		     (unsigned long long)n->waits);
}
