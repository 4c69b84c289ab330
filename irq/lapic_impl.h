/* SPDX-License-Identifier: Apache-2.0 */
/* What the three files of the local APIC share. Offsets are MMIO offsets / 16 = MSR - 800H. */
#ifndef SSIHV_IRQ_LAPIC_IMPL_H
#define SSIHV_IRQ_LAPIC_IMPL_H

#include "irq/lapic.h"

enum lapic_register {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_RRD = 0x0c,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT = 0x32,
	REG_LVT_LAST = REG_LVT + LAPIC_LVT_COUNT - 1,
	REG_TIMER_INITIAL = 0x38,
	REG_TIMER_CURRENT = 0x39,
	REG_TIMER_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,
	REG_COUNT = 0x40,
};

#define SVR_ENABLE 0x100u

#define ESR_SEND_VECTOR	   (1u << 5)
#define ESR_RECEIVE_VECTOR (1u << 6)
#define ESR_REGISTER	   (1u << 7)

#define LVT_MASKED     (1u << 16)
#define LVT_TIMER_MODE (3u << 17)

enum lapic_timer_mode {
	TIMER_ONESHOT = 0u << 17,
	TIMER_PERIODIC = 1u << 17,
	TIMER_DEADLINE = 2u << 17,
};

#define ICR_DELIVERY_STATUS (1u << 12)
#define ICR_ASSERT	    (1u << 14)
#define ICR_LEVEL	    (1u << 15)

/* Vectors 0..15 are reserved for exceptions: no APIC message may carry one (10.5.2). */
#define VECTOR_FIRST 16

static inline bool lapic_enabled(const struct lapic *l)
{
	return l->apic_base & LAPIC_BASE_ENABLE;
}

static inline bool lapic_x2apic(const struct lapic *l)
{
	return lapic_enabled(l) && (l->apic_base & LAPIC_BASE_X2APIC);
}

/* Records an error and raises the error LVT's interrupt if it is the first since the last ESR
 * write. */
void lapic_error(struct lapic *l, uint32_t esr_bit);

/* Raises a local interrupt unless its LVT entry is masked. Return: true when it is in the IRR. */
bool lapic_lvt_raise(struct lapic *l, enum lapic_lvt entry);

uint32_t lapic_timer_current(const struct lapic *l, uint64_t now_ns);
void lapic_timer_set_initial(struct lapic *l, uint32_t initial, uint64_t now_ns);
void lapic_timer_set_divide(struct lapic *l, uint32_t divide, uint64_t now_ns);
void lapic_timer_disarm(struct lapic *l);

#endif
