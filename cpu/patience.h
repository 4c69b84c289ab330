/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a peer may keep this node waiting by stamps that are ahead: a leaky bucket.
 *
 * GOAL. A thread that waits for a peer's time (cpu/guest_clock.h) does nothing for the others. A
 * sound peer hardly ever makes it wait; a hostile one could do so with every message.
 *
 * SOUND. A clock is off by no more than half of its round trip to node 0, all of which may be spent
 * in one direction: two clocks by one round trip, and a message takes its way besides. Nodes that
 * share memory are well below PATIENCE_SOUND_US from each other; waits up to that cost nothing. No
 * check could tell them from those of an honest peer on an uneven path.
 *
 * COUNTED. Longer waits, by the time that they cover: messages that are waited for in several
 * threads at once count once. After PATIENCE_BUDGET_MS of it, as long as a peer may be silent, the
 * peer has broken the protocol. A hundredth of the time is given back, so that what is rare for
 * good reasons never adds up: a clock that was measured through a queue at the start, and then is
 * put right step by step.
 *
 * Time is ticks of a clock that is never set: the host's TSC. Threads: any; no lock.
 */
#ifndef SSIHV_CPU_PATIENCE_H
#define SSIHV_CPU_PATIENCE_H

#include <stdatomic.h>

#include "base/base.h"

#define PATIENCE_SOUND_US  2000
#define PATIENCE_BUDGET_MS 20000
#define PATIENCE_LEAK	   100 /* a bucket empties by one tick in so many */

/* With one peer. All 0: nothing was waited for. */
struct patience {
	_Atomic uint64_t covered; /* what is before this has been counted */
	_Atomic uint64_t empty;	  /* when the bucket is, if nothing more comes */
};

/**
 * patience_take() - the peer's message would be waited for from @now for @wait ticks of @khz
 *
 * Return: may it? The end of the patience if not.
 */
bool patience_take(struct patience *p, uint64_t now, uint64_t wait, uint64_t khz);

/** patience_taken() - ticks that are in the bucket at @now. */
uint64_t patience_taken(const struct patience *p, uint64_t now);

#endif
