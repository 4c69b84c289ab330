/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's time: one TSC for the whole cluster.
 *
 * Guest TSC = this host's TSC + offset. Node 0 starts it at 0; every other node measures its own
 * offset against node 0's (vmm/clock.c) and goes on correcting it. All guest times are made from
 * this TSC: timers, PM timer, PIT and RTC are answered on any node without a message.
 *
 * Threads: `offset` has one writer (the main thread); vCPU threads read it and apply it to KVM when
 * they next enter the guest.
 */
#ifndef SSIHV_CPU_GUEST_CLOCK_H
#define SSIHV_CPU_GUEST_CLOCK_H

#include <stdatomic.h>
#include <x86intrin.h>

#include "base/clock.h"
#include "irq/lapic.h"

struct guest_clock {
	_Atomic int64_t offset; /* ticks */
	uint64_t tsc_khz;	/* of the guest; constant once vCPUs run, as is the next */
	uint64_t unix_ns;	/* time of day at guest TSC 0, ns since 1970 */
};

static inline uint64_t guest_tsc_to_ns(const struct guest_clock *c, uint64_t ticks)
{
	return (uint64_t)((unsigned __int128)ticks * 1000000 / c->tsc_khz);
}

static inline uint64_t guest_clock_tsc(const struct guest_clock *c)
{
	return __rdtsc() + (uint64_t)atomic_load_explicit(&c->offset, memory_order_relaxed);
}

static inline struct lapic_clock guest_clock_now(const struct guest_clock *c)
{
	uint64_t tsc = guest_clock_tsc(c);

	return (struct lapic_clock){.tsc = tsc, .ns = guest_tsc_to_ns(c, tsc)};
}

#endif
