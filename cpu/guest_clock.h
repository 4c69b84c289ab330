/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's time: one TSC for the whole cluster.
 *
 * ONE FUNCTION. Guest TSC = scale(host TSC) + offset. The scale is KVM's own ratio where the
 * hardware scales the guest's TSC, else 1; node 0 starts the offset so that its guest TSC is 0, all
 * others follow it (vmm/clock_sync.h). Whoever needs the guest's time, the CPU, the APIC's timer,
 * a stamp in a message, gets it from here or from an offset that was copied from here.
 *
 * NEVER BACK. A reading is never smaller than one that was made before it, by whichever thread of
 * this node. The offset changes while no vCPU is in the guest (cpu/rendezvous.h); after a step back
 * time stands still at `floor`, the last reading of the old clock, until the new one has reached
 * it: for readers here, and for vCPUs, which enter the guest only then.
 *
 * STAMPS. Who sends what another vCPU can learn from adds its guest TSC; who receives it waits in
 * guest_clock_reach() until its own is not behind (wire/msg.h). So causality does not hang on how
 * well the clocks agree. The wait is bounded: sound peers are microseconds ahead, none is by
 * GUEST_CLOCK_AHEAD_MS, and one that claims to be has broken the protocol. So has one that is ahead
 * by less, but more than clocks that are kept can be, again and again (cpu/patience.h). A wait ends
 * when the VM does.
 *
 * PAUSES. While all vCPUs of the cluster are stopped, the guest's time stands: guest_clock_stop(),
 * then guest_clock_go() with the same length of pause on every node. Stamps are compared with the
 * clock that runs on underneath, since a peer that stops a little later still sends some; but none
 * is GUEST_CLOCK_PAUSES_MS above where it stands, so that no vCPU waits longer for it afterwards.
 * When the time goes on the peer that stopped last is ahead of all others until they have reached
 * where it stands: for that long its stamps may be as far ahead.
 *
 * LIMITS. The host's TSC is assumed to be one clock for all of its CPUs, as Linux and KVM do.
 *
 * Threads: any may read. guest_clock_move(), _stop() and _go() are called by one at a time, while
 * no vCPU is in the guest. The rest is constant once vCPUs run.
 */
#ifndef SSIHV_CPU_GUEST_CLOCK_H
#define SSIHV_CPU_GUEST_CLOCK_H

#include <stdatomic.h>
#include <x86intrin.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cpu/patience.h"
#include "irq/lapic.h"

#define GUEST_CLOCK_AHEAD_MS  50
#define GUEST_CLOCK_PAUSES_MS 1000 /* nodes stop and go on within so much of each other */

struct guest_clock {
	uint64_t tsc_khz; /* of the guest */
	uint64_t unix_ns; /* time of day at guest TSC 0, ns since 1970 */
	uint64_t ratio;	  /* fixed point with frac_bits; 0: the hardware does not scale */
	unsigned frac_bits;
	bool free; /* in the lab: nodes' clocks are not kept together, stamps are any time ahead */

	_Atomic uint32_t version; /* odd while the next three change */
	_Atomic int64_t offset;	  /* ticks; what KVM is given */
	_Atomic uint64_t floor;	  /* no reading is below */
	_Atomic uint64_t stands;  /* where it was stopped, 0 while it runs */

	_Atomic uint64_t resumed; /* below this stamps may be ahead by a difference of pauses */
	_Atomic bool ended;	  /* nobody waits any more */
	struct patience patience[MAX_NODES];
	_Atomic uint64_t reached;	/* highest stamp that came while it stood */
	_Atomic uint64_t waits, waited; /* for stamps: how often, ticks in all */
};

/** guest_clock_scale() - host ticks to guest ticks as the hardware does it. Pure. */
static inline uint64_t guest_clock_scale(uint64_t ratio, unsigned frac_bits, uint64_t host)
{
	return ratio ? (uint64_t)((unsigned __int128)ratio * host >> frac_bits) : host;
}

/**
 * guest_clock_ratio() - the ratio that KVM sets for a guest of @guest_khz on a host of @host_khz
 * @tolerance_ppm: KVM's; it leaves a guest alone whose frequency is as near as that
 *
 * Pure. Source: kvm_set_tsc_khz(), set_tsc_khz(), mul_u64_u32_div() of Linux.
 *
 * Return: fixed point with @frac_bits; 0 when KVM does not scale.
 */
uint64_t guest_clock_ratio(uint32_t guest_khz, uint32_t host_khz, uint32_t tolerance_ppm,
			   unsigned frac_bits);

static inline uint64_t guest_tsc_to_ns(const struct guest_clock *c, uint64_t ticks)
{
	return (uint64_t)((unsigned __int128)ticks * 1000000 / c->tsc_khz);
}

/* Made after what comes before it in the program, and before what comes behind. */
static inline uint64_t guest_clock_host_tsc(void)
{
	_mm_lfence();
	uint64_t tsc = __rdtsc();
	_mm_lfence();
	return tsc;
}

/** guest_clock_at() - what the clock would read, floor and stops apart, at host TSC @host. */
static inline uint64_t guest_clock_at(const struct guest_clock *c, uint64_t host)
{
	return guest_clock_scale(c->ratio, c->frac_bits, host) + (uint64_t)atomic_load(&c->offset);
}

/** guest_clock_running() - the clock's reading, as if it were not stopped. */
uint64_t guest_clock_running(const struct guest_clock *c);

/** guest_clock_tsc() - the guest's TSC now. */
uint64_t guest_clock_tsc(const struct guest_clock *c);

static inline struct lapic_clock guest_clock_now(const struct guest_clock *c)
{
	uint64_t tsc = guest_clock_tsc(c);

	return (struct lapic_clock){.tsc = tsc, .ns = guest_tsc_to_ns(c, tsc)};
}

/** guest_clock_set() - start with this offset. Nobody has read the clock yet. */
void guest_clock_set(struct guest_clock *c, int64_t offset);

/** guest_clock_move() - correct the clock by @ticks. */
void guest_clock_move(struct guest_clock *c, int64_t ticks);

/** guest_clock_stop() - the vCPUs have stopped: time stands for everyone. */
void guest_clock_stop(struct guest_clock *c);

/** guest_clock_stood() - ticks since guest_clock_stop(); 0 while it runs. */
uint64_t guest_clock_stood(const struct guest_clock *c);

/** guest_clock_go() - go on after a pause of @ticks, which is the same on all nodes. */
void guest_clock_go(struct guest_clock *c, uint64_t ticks);

/** guest_clock_end() - the VM ends: whoever waits for a stamp gives up. Any thread. */
void guest_clock_end(struct guest_clock *c);

/**
 * guest_clock_reach() - wait until the clock is not behind @stamp of @peer; normally no wait
 *
 * Spins. Return: 0; -EPROTO when the stamp is GUEST_CLOCK_AHEAD_MS or more ahead, or
 * GUEST_CLOCK_PAUSES_MS or more ahead of a clock that stands or has stood just now, or the patience
 * with this peer is at its end; -ECANCELED at the end of the VM: what the stamp belongs to may not
 * be seen.
 */
int guest_clock_reach(struct guest_clock *c, unsigned peer, uint64_t stamp);

/** guest_clock_is_below_floor() - after a step back: no vCPU may enter the guest yet. */
static inline bool guest_clock_is_below_floor(const struct guest_clock *c)
{
	return guest_clock_at(c, guest_clock_host_tsc()) < atomic_load(&c->floor);
}

#endif
