/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local APIC: interrupt acceptance, priorities, reset and mode changes.
 *
 * Theory of operation. An interrupt lives in three 256-bit vectors. lapic_accept() sets its IRR bit
 * and notes in the TMR whether its end must be told to the I/O APIC. lapic_pending() compares the
 * class (vector / 16) of the highest IRR bit with the processor's priority, which is the higher of
 * the task priority and the class of the highest vector in service. lapic_ack() moves the bit to
 * the ISR, where it blocks its class and those below until lapic_eoi() takes it out.
 *
 * Invariants: no IRR or ISR bit below VECTOR_FIRST; a software-disabled APIC has all LVT entries
 * masked; TSC deadline and count-down are never armed together.
 *
 * The register space is in lapic_regs.c, the timer in lapic_timer.c. One owner thread, no locks.
 */
#include "irq/lapic_impl.h"

static int highest(const uint32_t vectors[8])
{
	for (int word = 7; word >= 0; word--)
		if (vectors[word])
			return word * 32 + 31 - __builtin_clz(vectors[word]);
	return -1;
}

static void set_vector(uint32_t vectors[8], uint8_t v, bool on)
{
	uint32_t bit = 1u << (v % 32);

	if (on)
		vectors[v / 32] |= bit;
	else
		vectors[v / 32] &= ~bit;
}

static void reset_registers(struct lapic *l)
{
	*l = (struct lapic){
		.apic_base = l->apic_base,
		.base_reserved = l->base_reserved,
		.id = l->id,
		.dfr = UINT32_MAX,
		.svr = 0xff,
	};
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		l->lvt[i] = LVT_MASKED;
}

int lapic_reset(struct lapic *l, uint32_t apic_id, bool bsp, unsigned phys_bits)
{
	if (apic_id == UINT32_MAX || phys_bits < 32 || phys_bits > 52)
		return -EINVAL;
	l->id = apic_id;
	l->apic_base = LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE | (bsp ? LAPIC_BASE_BSP : 0);
	l->base_reserved = ~((UINT64_C(1) << phys_bits) - 1) | 0xff | (1 << 9);
	reset_registers(l);
	return 0;
}

void lapic_init_signal(struct lapic *l)
{
	reset_registers(l);
}

int lapic_load(struct lapic *l, const struct lapic *from)
{
	const uint64_t modes = LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC;
	const uint32_t reserved = (1u << VECTOR_FIRST) - 1;

	if (from->id != l->id || ((from->apic_base ^ l->apic_base) & LAPIC_BASE_BSP))
		return -EINVAL;
	if ((from->apic_base & l->base_reserved) || (from->apic_base & modes) == LAPIC_BASE_X2APIC)
		return -EINVAL;
	if (from->tpr > 0xff || ((from->irr[0] | from->isr[0]) & reserved))
		return -EINVAL;
	if (from->timer_counting > 1 || (from->timer_counting && !from->timer_initial) ||
	    (from->timer_counting && from->tsc_deadline))
		return -EINVAL;

	uint64_t base_reserved = l->base_reserved;
	*l = *from;
	l->base_reserved = base_reserved;
	return 0;
}

/* Figure 10-27: the only way out of x2APIC mode is to disable, the only way in is from xAPIC. */
static bool transition_allowed(uint64_t from, uint64_t to)
{
	switch (to) {
	case 0:
		return true;
	case LAPIC_BASE_ENABLE:
		return from != (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC);
	case LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC:
		return from != 0;
	default:
		return false;
	}
}

int lapic_apic_base_write(struct lapic *l, uint64_t value)
{
	const uint64_t modes = LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC;
	uint64_t from = l->apic_base & modes, to = value & modes;

	if ((value & l->base_reserved) || !transition_allowed(from, to))
		return -EINVAL;
	l->apic_base = value;
	if (from != to && !to)
		reset_registers(l);
	return 0;
}

bool lapic_claims(const struct lapic *l, uint64_t gpa)
{
	return lapic_enabled(l) && !lapic_x2apic(l) &&
	       ALIGN_DOWN(gpa, PAGE_BYTES) == ALIGN_DOWN(l->apic_base, PAGE_BYTES);
}

void lapic_error(struct lapic *l, uint32_t esr_bit)
{
	/* The guest's next ESR write arms the interrupt again (10.5.3). */
	bool first = !l->esr_pending;

	l->esr_pending |= esr_bit;
	if (first)
		lapic_lvt_raise(l, LAPIC_LVT_ERROR);
}

bool lapic_lvt_raise(struct lapic *l, enum lapic_lvt entry)
{
	/* An error LVT with an illegal vector ends here: the ESR is no longer clear by then. */
	return !(l->lvt[entry] & LVT_MASKED) && lapic_accept(l, (uint8_t)l->lvt[entry], false);
}

bool lapic_accept(struct lapic *l, uint8_t vector, bool level)
{
	if (!lapic_enabled(l) || !(l->svr & SVR_ENABLE))
		return false;
	if (vector < VECTOR_FIRST) {
		lapic_error(l, ESR_RECEIVE_VECTOR);
		return false;
	}
	set_vector(l->irr, vector, true);
	set_vector(l->tmr, vector, level);
	return true;
}

uint8_t lapic_ppr(const struct lapic *l)
{
	int serving = MAX(highest(l->isr), 0);

	return (uint8_t)(l->tpr >> 4 >= (uint32_t)serving >> 4 ? l->tpr : serving & 0xf0);
}

int lapic_pending(const struct lapic *l)
{
	int vector = lapic_enabled(l) ? highest(l->irr) : -1;

	return vector >= 0 && vector >> 4 > lapic_ppr(l) >> 4 ? vector : -1;
}

int lapic_ack(struct lapic *l)
{
	int vector = lapic_pending(l);

	if (vector >= 0) {
		set_vector(l->irr, (uint8_t)vector, false);
		set_vector(l->isr, (uint8_t)vector, true);
	}
	return vector;
}

void lapic_eoi(struct lapic *l, struct lapic_effects *fx)
{
	int vector = highest(l->isr);

	*fx = (struct lapic_effects){0};
	if (vector < 0)
		return;
	set_vector(l->isr, (uint8_t)vector, false);
	fx->eoi = l->tmr[vector / 32] >> (vector % 32) & 1;
	fx->eoi_vector = (uint8_t)vector;
}
