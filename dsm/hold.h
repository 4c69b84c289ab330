/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gives way: a node that has fetched pages may use them for a while before others take them.
 *
 * WHY. An access may need several pages at once (code, data, stack, and the guest's page tables for
 * each). Two nodes that need the same pages must not take them from each other before either has
 * had all of them. So a node's time is cut into *turns*:
 *
 *   waits    from the first fault on. The turn has a ticket, a number above all that were seen.
 *   runs     once no CPU of the node waits for a page any more, for `length` nanoseconds. A new
 *            fault makes it wait again, with the same ticket.
 *   is over  when it has run that long, or when no CPU of the node is awake. A node that yields
 *            (it has sent another one an interrupt, and mostly waits for what comes of it) runs
 *            for a sixteenth of `length`: a CPU of its own that has just got its pages must be able
 *            to use them once, and one that still waits keeps its ticket.
 *
 * A demand (INV, FWD) for a page that was fetched in this turn waits until the turn is over, if the
 * node runs, or if it waits and its ticket is older than the one of the node that asks. Everything
 * else is given up at once; so is, when a node that ran waits again, what an older one waits for.
 * The node with the oldest ticket thus gets all that it asks for, runs, and comes last the next
 * time: no deadlock, no livelock, and pages that are needed together also leave together. Demands
 * that are left of an ended turn do not wait for the next one.
 *
 * Age is inherited: a request that waits at its home lends its ticket to the one before it, whose
 * demand may be held here (WIRE_URGE). With three nodes or more the oldest would wait for one that
 * waits for the oldest.
 *
 * A page for which this node has a request under way, to write to it, is not kept: that request
 * comes after the one that demands the page, so keeping it would be waiting for oneself.
 *
 * A turn ends in any case after RUN_MAX lengths from when it first ran, so that a node with many
 * CPUs or many faults gives way, too, and after WAIT_MAX lengths if it never ran, in case the peers
 * do not play by these rules.
 *
 * LIMITS. A fixed number of pages is protected: at that the oldest one without a demand loses its
 * protection to the next. Times are never 0. Turns are for progress, not for correctness. Pure; the
 * shard's thread.
 */
#ifndef SSIHV_DSM_HOLD_H
#define SSIHV_DSM_HOLD_H

#include "dsm/ticket.h"
#include "dsm/turn.h"
#include "dsm/underway.h"

struct turn {
	/* Pages: quiet ones by time of mapping; loud: with a demand, by arrival; due: at once. */
	struct list quiet, loud, due;
	unsigned kept, capacity; /* pages in the lists */
	uint64_t length;	 /* ns; 0: no turns at all */
	uint8_t self;		 /* node */
	uint8_t ticket;		 /* number of this turn, 0 between turns */
	uint8_t newest;		 /* number that was seen anywhere */
	bool idle;		 /* no CPU of this node is awake */
	bool yielded;		 /* this turn */
	uint64_t began;		 /* ns, this turn */
	uint64_t ran;		 /* ns, since when it runs; 0 while it waits */
	uint64_t first_ran;	 /* ns, when it ran first in this turn; 0 before */
};

void hold_init(struct turn *t, unsigned capacity, uint64_t length_ns, unsigned self);

/** hold_wait() - a CPU of this node waits for a page from now on. Begins a turn if none is. */
void hold_wait(struct turn *t, uint64_t now);

/** hold_run() - no CPU of this node waits any more. */
void hold_run(struct turn *t, uint64_t now);

/** hold_yield() - another node has been asked for something: this turn is cut short. */
void hold_yield(struct turn *t);

/** hold_saw() - a message carried the ticket number @ticket. */
void hold_saw(struct turn *t, uint8_t ticket);

/**
 * hold_begin() - the page of @u was mapped at @now; no demand waits for it
 *
 * Return: the page that is protected no longer to make room, NULL for none. Its record may be of no
 * use any more.
 */
struct underway *hold_begin(struct turn *t, struct underway *u, uint64_t now);

/**
 * hold_defer() - keep the demand @h until the turn is over, if its page is protected; none waits
 * yet
 * @u: the page's record; NULL for none
 *
 * Return: false when the demand is to be served now.
 */
bool hold_defer(struct turn *t, struct underway *u, const struct wire_hdr *h, uint64_t now);

/** hold_urge() - the demand that waits for the page of @u is as old as @ticket. */
void hold_urge(struct turn *t, struct underway *u, struct ticket ticket);

/** hold_ended() - a page for which a demand has waited long enough at @now; NULL for none. */
struct underway *hold_ended(struct turn *t, uint64_t now);

/** hold_take() - the demand that waits for the page of @u, which is protected no longer. */
struct wire_hdr hold_take(struct turn *t, struct underway *u);

/** hold_deadline() - when hold_ended() will have something; UINT64_MAX for never. */
uint64_t hold_deadline(const struct turn *t);

/** hold_info() - what can be told of the turn at @now. */
struct turn_info hold_info(const struct turn *t, uint64_t now);

#endif
