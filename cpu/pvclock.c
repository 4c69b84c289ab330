/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/pvclock.h"

#define ENABLED	   UINT64_C(1)
#define TSC_STABLE 1 /* the clock is the same on all vCPUs */

void pvclock_scale(uint64_t tsc_khz, struct pvclock_time *ret)
{
	uint64_t hz = tsc_khz * 1000;

	ret->tsc_shift = 0;
	/* Brings hz into (1e9, 2e9], so that mul uses all of its 32 bits. */
	for (; hz > 2 * NSEC_PER_SEC; hz >>= 1)
		ret->tsc_shift--;
	for (; hz <= NSEC_PER_SEC; hz <<= 1)
		ret->tsc_shift++;
	ret->tsc_to_system_mul = (uint32_t)((NSEC_PER_SEC << 32) / hz);
}

static int write_time(const struct guest_clock *clock, struct ram *ram, uint64_t gpa)
{
	struct pvclock_time time = {.version = 2, .flags = TSC_STABLE};

	pvclock_scale(clock->tsc_khz, &time);
	return ram_write(ram, gpa, &time, sizeof(time)) < 0 ? -EINVAL : 0;
}

static int write_wall(const struct guest_clock *clock, struct ram *ram, uint64_t gpa)
{
	const struct pvclock_wall wall = {
		.version = 2,
		.sec = (uint32_t)(clock->unix_ns / NSEC_PER_SEC),
		.nsec = (uint32_t)(clock->unix_ns % NSEC_PER_SEC),
	};

	return ram_write(ram, gpa, &wall, sizeof(wall)) < 0 ? -EINVAL : 0;
}

int pvclock_write(const struct guest_clock *clock, struct ram *ram, uint32_t msr, uint64_t value)
{
	switch (msr) {
	case MSR_KVM_WALL_CLOCK_NEW:
		return write_wall(clock, ram, value);
	case MSR_KVM_SYSTEM_TIME_NEW:
		return value & ENABLED ? write_time(clock, ram, value & ~ENABLED) : 0;
	}
	return -EINVAL;
}
