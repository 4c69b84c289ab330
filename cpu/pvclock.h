/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM clock, served from user space: tells the guest its TSC's frequency and the time of day.
 *
 * A guest that has no other way to learn the frequency measures it against a timer, for tens of
 * milliseconds and wrongly when the host is busy. KVM's paravirtual clock names it exactly. KVM's
 * own implementation is not used (a filter makes its MSRs exit): it would tell each host's time and
 * write to guest memory behind the pager's back. Ours writes each vCPU's page once, when the guest
 * registers it: the cluster's TSC is one clock, so the relation between TSC and time never changes,
 * and the pages, which lie side by side in a guest, are only read from then on.
 *
 * Source: kernel Documentation/virt/kvm/x86/msr.rst (MSR_KVM_SYSTEM_TIME_NEW,
 * MSR_KVM_WALL_CLOCK_NEW).
 */
#ifndef SSIHV_CPU_PVCLOCK_H
#define SSIHV_CPU_PVCLOCK_H

#include "cpu/guest_clock.h"
#include "mem/ram.h"

#define MSR_KVM_WALL_CLOCK_NEW	UINT32_C(0x4b564d00)
#define MSR_KVM_SYSTEM_TIME_NEW UINT32_C(0x4b564d01)

struct pvclock_time {
	uint32_t version; /* odd while it changes */
	uint32_t pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time; /* ns at tsc_timestamp */
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad[2];
};
static_assert(sizeof(struct pvclock_time) == 32, "guest ABI");

struct pvclock_wall {
	uint32_t version;
	uint32_t sec; /* of the time at guest TSC 0 */
	uint32_t nsec;
};
static_assert(sizeof(struct pvclock_wall) == 12, "guest ABI");

/** pvclock_scale() - @ret->mul and shift with ns = (ticks << shift) * mul >> 32, for @tsc_khz > 0.
 */
void pvclock_scale(uint64_t tsc_khz, struct pvclock_time *ret);

/**
 * pvclock_write() - the guest writes @value to @msr
 *
 * Writes guest memory: may wait for a page. The vCPU's thread.
 *
 * Return: 0; -EINVAL (#GP) for another MSR or for an address that is no RAM.
 */
int pvclock_write(const struct guest_clock *clock, struct ram *ram, uint32_t msr, uint64_t value);

#endif
