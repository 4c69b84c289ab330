/* SPDX-License-Identifier: Apache-2.0 */
/* A local APIC in each of its modes, and accesses that must not fail. */
#ifndef SSIHV_TESTS_LAPIC_FIXTURE_H
#define SSIHV_TESTS_LAPIC_FIXTURE_H

#include "tests/check.h"

#include "irq/lapic.h"

#define MSR_ID		  0x802
#define MSR_VERSION	  0x803
#define MSR_TPR		  0x808
#define MSR_PPR		  0x80a
#define MSR_EOI		  0x80b
#define MSR_LDR		  0x80d
#define MSR_SVR		  0x80f
#define MSR_ISR		  0x810
#define MSR_TMR		  0x818
#define MSR_IRR		  0x820
#define MSR_ESR		  0x828
#define MSR_ICR		  0x830
#define MSR_LVT_TIMER	  0x832
#define MSR_LVT_ERROR	  0x837
#define MSR_TIMER_INITIAL 0x838
#define MSR_TIMER_CURRENT 0x839
#define MSR_TIMER_DIVIDE  0x83e
#define MSR_SELF_IPI	  0x83f
#define LVT_MASK	  (1u << 16)
#define LVT_PERIODIC	  (1u << 17)
#define LVT_DEADLINE	  (2u << 17)
#define DIVIDE_BY_1	  0xb
#define APIC_ID		  0x123
#define SOFTWARE_ENABLED  0x1ff
#define PHYS_BITS	  46

static const struct lapic_clock time_zero;

static inline struct lapic xapic(void)
{
	struct lapic l;
	struct lapic_effects fx;

	assert_int_equal(lapic_reset(&l, 5, false, PHYS_BITS), 0);
	lapic_mmio_write(&l, 0xf0, 4, SOFTWARE_ENABLED, time_zero, &fx);
	return l;
}

static inline struct lapic x2apic(void)
{
	struct lapic l;
	struct lapic_effects fx;

	assert_int_equal(lapic_reset(&l, APIC_ID, false, PHYS_BITS), 0);
	assert_int_equal(lapic_apic_base_write(&l, l.apic_base | LAPIC_BASE_X2APIC), 0);
	assert_int_equal(lapic_msr_write(&l, MSR_SVR, SOFTWARE_ENABLED, time_zero, &fx), 0);
	return l;
}

static inline struct lapic_effects wrmsr_at(struct lapic *l, uint32_t msr, uint64_t value,
					    struct lapic_clock now)
{
	struct lapic_effects fx;

	assert_int_equal(lapic_msr_write(l, msr, value, now, &fx), 0);
	return fx;
}

static inline struct lapic_effects wrmsr(struct lapic *l, uint32_t msr, uint64_t value)
{
	return wrmsr_at(l, msr, value, time_zero);
}

static inline uint64_t rdmsr_at(const struct lapic *l, uint32_t msr, struct lapic_clock now)
{
	uint64_t value;

	assert_int_equal(lapic_msr_read(l, msr, now, &value), 0);
	return value;
}

static inline uint64_t rdmsr(const struct lapic *l, uint32_t msr)
{
	return rdmsr_at(l, msr, time_zero);
}

static inline void assert_wrmsr_faults(struct lapic *l, uint32_t msr, uint64_t value)
{
	struct lapic before = *l;
	struct lapic_effects fx;

	assert_int_equal(lapic_msr_write(l, msr, value, time_zero, &fx), -EINVAL);
	assert_memory_equal(l, &before, sizeof(before));
	assert_false(fx.send || fx.eoi);
}

static inline void assert_rdmsr_faults(const struct lapic *l, uint32_t msr)
{
	uint64_t value = 42;

	assert_int_equal(lapic_msr_read(l, msr, time_zero, &value), -EINVAL);
	assert_int_equal(value, 42);
}

static inline bool lapic_requested(const struct lapic *l, unsigned vector)
{
	return l->irr[vector / 32] >> (vector % 32) & 1;
}

#endif
