/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time of a vCPU's thread went, for the report.
 *
 * The kernel counts how long the thread had a CPU, and how long it waited for one
 * (/proc/PID/task/TID/schedstat); the thread itself counts how long it had nothing to do. How long
 * it waited for pages the pager knows (dsm/waits.h). They do not add up to its life: a rest ends
 * when the thread has a CPU again, so the wait for that is in both, and neither locks nor the way
 * to the pager and back are counted at all.
 *
 * REST. While a rest of some kind goes on its word is the sum of the earlier ones less the time
 * at which this one began, which is negative, as nobody has rested for as long as the host runs.
 * So one word tells all, to any thread at any moment.
 */
#ifndef SSIHV_CPU_VCPU_TIMES_H
#define SSIHV_CPU_VCPU_TIMES_H

#include <stdatomic.h>

#include "base/base.h"

/* What the thread does when it neither runs the guest nor handles an exit. */
enum vcpu_rest {
	VCPU_REST_ASLEEP, /* it waits for an interrupt, or to be started */
	VCPU_REST_AWAY,	  /* the vCPU is on another node */
	VCPU_REST_PAUSED,
	VCPU_REST_DEVICE, /* it waits for a device of another node */
	VCPU_RESTS,
};

/* The vCPU's thread writes, others may read. In ns. */
struct vcpu_spent {
	_Atomic uint32_t tid;
	_Atomic uint64_t began, ended; /* host time; 0: not yet */
	_Atomic int64_t rested[VCPU_RESTS];
	_Atomic uint64_t ran, descheduled; /* once it has ended */
};

/* In ns of the host. */
struct vcpu_times {
	uint64_t alive;	      /* since its thread has begun; 0: it has not */
	uint64_t ran;	      /* on a CPU of the host, in the guest and out of it */
	uint64_t descheduled; /* it could have run and had no CPU */
	uint64_t rested[VCPU_RESTS];
};

/** vcpu_times_begin(), vcpu_times_end() - the thread begins, and ends. It calls them itself. */
void vcpu_times_begin(struct vcpu_spent *s);
void vcpu_times_end(struct vcpu_spent *s);

/** vcpu_rest() - a rest begins, or ends. The vCPU's thread. */
void vcpu_rest(struct vcpu_spent *s, enum vcpu_rest kind, bool begins);

/** vcpu_times() - so far. What the kernel does not tell is 0. Any thread. */
void vcpu_times(const struct vcpu_spent *s, struct vcpu_times *ret);

#endif
