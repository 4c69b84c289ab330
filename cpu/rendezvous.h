/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A moment at which no vCPU of this node is in the guest, to correct the clock in.
 *
 * GOAL. Two vCPUs of one node hand a word over within 50 ns. If one had the clock's new offset and
 * the other not yet, the guest would see time go back by the step. So the step is made while none
 * is in the guest, and each gives KVM the new offset on its way in.
 *
 * HOW. A step is published as pending and every vCPU that is inside is kicked. A vCPU says that it
 * is inside before it looks for a pending step, the step is pending before anybody looks who is
 * inside: so a vCPU that goes in sees the step, backs out and waits, or is seen. Whoever finds a
 * step pending and nobody inside makes it: the last vCPU that comes out, or who asked for it. The
 * one who asks (the main thread) never waits.
 *
 * NO DEADLOCK. A vCPU that waits for a page in KVM_RUN is inside until the page has come (before
 * Linux 6.2; since then the kick brings it out); its siblings wait for that long. Nothing that
 * brings the page waits for a vCPU of any node: shards are threads of their own, and a turn in
 * which a node keeps its pages ends by time (dsm/hold.h). At the end of the VM closing the
 * userfaultfd brings the vCPU out.
 *
 * Threads: rendezvous_add() and rendezvous_remove() while the member does not run;
 * rendezvous_step() one at a time, the others the member's own.
 */
#ifndef SSIHV_CPU_RENDEZVOUS_H
#define SSIHV_CPU_RENDEZVOUS_H

#include <pthread.h>

#include "base/list.h"
#include "cpu/guest_clock.h"

struct rendezvous_member {
	struct list all;
	_Atomic bool inside;
	void (*kick)(struct rendezvous_member *m); /* out of the guest */
};

struct rendezvous {
	struct guest_clock *clock;
	pthread_mutex_t lock; /* of the list and of making the step */
	struct list members;
	int64_t ticks;		  /* of the step, from before it is pending */
	_Atomic uint32_t pending; /* also the futex */
	_Atomic uint64_t steps;
};

void rendezvous_init(struct rendezvous *r, struct guest_clock *clock);

void rendezvous_add(struct rendezvous *r, struct rendezvous_member *m);
void rendezvous_remove(struct rendezvous *r, struct rendezvous_member *m);

/** rendezvous_enter() - @m is about to enter the guest; waits for the end of a step. */
void rendezvous_enter(struct rendezvous *r, struct rendezvous_member *m);

/** rendezvous_leave() - @m has come out of the guest. */
void rendezvous_leave(struct rendezvous *r, struct rendezvous_member *m);

/** rendezvous_is_pending() - must who is inside come out? */
static inline bool rendezvous_is_pending(const struct rendezvous *r)
{
	return atomic_load(&r->pending);
}

/**
 * rendezvous_step() - move the clock by @ticks as soon as no vCPU is in the guest
 *
 * Return: 0; -EBUSY while an earlier step is pending.
 */
int rendezvous_step(struct rendezvous *r, int64_t ticks);

#endif
