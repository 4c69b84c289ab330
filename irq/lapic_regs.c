/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local APIC: the register space, as the guest sees it through MSRs and through MMIO.
 *
 * Theory of operation. Both views index the same registers (MSR - 800H = offset / 16). One table
 * says in which mode a register exists, whether it is read or written there, and which bits a guest
 * may write. In x2APIC mode anything else is a #GP before any state changes; in xAPIC mode reserved
 * bits are dropped and a missing register is noted in the ESR. After that the views share
 * read_register() and write_register().
 *
 * The two registers that differ beyond the table are handled by their view: the ICR (64 bits at
 * once in x2APIC mode, two halves in xAPIC mode) and the ID (shifted to bits 31:24 in xAPIC mode).
 */
#include "irq/lapic_impl.h"

enum access {
	X_R = 1,  /* readable by MMIO */
	X_W = 2,  /* writable by MMIO */
	X2_R = 4, /* readable by MSR */
	X2_W = 8, /* writable by MSR */
	X_RW = X_R | X_W,
	X2_RW = X2_R | X2_W,
	BOTH_R = X_R | X2_R,
	BOTH_RW = X_RW | X2_RW,
};

/*
 * access:   enum access
 * writable: bits that a write changes
 * ignored:  read-only bits: no #GP when set in a write
 */
struct rule {
	uint8_t access;
	uint32_t writable;
	uint32_t ignored;
};

/* Table 10-1 (MMIO), table 10-6 (MSR) and the figures of the registers. */
static const struct rule rules[REG_COUNT] = {
	[REG_ID] = {BOTH_R},
	[REG_VERSION] = {BOTH_R},
	[REG_TPR] = {BOTH_RW, 0xff},
	[REG_APR] = {X_R},
	[REG_PPR] = {BOTH_R},
	[REG_EOI] = {X_W | X2_W},
	[REG_RRD] = {X_R},
	[REG_LDR] = {X_RW | X2_R, 0xff000000},
	[REG_DFR] = {X_RW, 0xf0000000},
	[REG_SVR] = {BOTH_RW, 0x3ff},
	[REG_ISR... REG_ISR + 7] = {BOTH_R},
	[REG_TMR... REG_TMR + 7] = {BOTH_R},
	[REG_IRR... REG_IRR + 7] = {BOTH_R},
	[REG_ESR] = {BOTH_RW},
	/* Hardware ignores the delivery-status bit of an x2APIC write though it is reserved. */
	[REG_ICR] = {BOTH_RW, 0xccfff, ICR_DELIVERY_STATUS},
	[REG_ICR_HIGH] = {X_RW, 0xff000000},
	[REG_LVT + LAPIC_LVT_TIMER] = {BOTH_RW, 0x700ff, 0x1000},
	[REG_LVT + LAPIC_LVT_THERMAL] = {BOTH_RW, 0x107ff, 0x1000},
	[REG_LVT + LAPIC_LVT_PERF] = {BOTH_RW, 0x107ff, 0x1000},
	[REG_LVT + LAPIC_LVT_LINT0] = {BOTH_RW, 0x1a7ff, 0x5000},
	[REG_LVT + LAPIC_LVT_LINT1] = {BOTH_RW, 0x1a7ff, 0x5000},
	[REG_LVT + LAPIC_LVT_ERROR] = {BOTH_RW, 0x100ff, 0x1000},
	[REG_TIMER_INITIAL] = {BOTH_RW, 0xffffffff},
	[REG_TIMER_CURRENT] = {BOTH_R},
	[REG_TIMER_DIVIDE] = {BOTH_RW, 0xb},
	[REG_SELF_IPI] = {X2_W, 0xff},
};

/* Version 14H with the six LVT entries above; no EOI-broadcast suppression (10.4.8). */
#define VERSION (0x14u | (LAPIC_LVT_COUNT - 1) << 16)

static uint32_t read_register(const struct lapic *l, unsigned reg, struct lapic_clock now)
{
	switch (reg) {
	case REG_ID:
		return lapic_x2apic(l) ? l->id : l->id << 24;
	case REG_VERSION:
		return VERSION;
	case REG_TPR:
		return l->tpr;
	case REG_PPR:
		return lapic_ppr(l);
	case REG_LDR:
		/* 10.12.10.2: the cluster in the high half, one bit of 16 in the low half. */
		return lapic_x2apic(l) ? l->id >> 4 << 16 | 1u << (l->id & 15) : l->ldr;
	case REG_DFR:
		return l->dfr;
	case REG_SVR:
		return l->svr;
	case REG_ISR ... REG_ISR + 7:
		return l->isr[reg - REG_ISR];
	case REG_TMR ... REG_TMR + 7:
		return l->tmr[reg - REG_TMR];
	case REG_IRR ... REG_IRR + 7:
		return l->irr[reg - REG_IRR];
	case REG_ESR:
		return l->esr;
	case REG_ICR:
		return (uint32_t)l->icr;
	case REG_ICR_HIGH:
		return (uint32_t)(l->icr >> 32);
	case REG_LVT ... REG_LVT_LAST:
		return l->lvt[reg - REG_LVT];
	case REG_TIMER_INITIAL:
		return l->timer_initial;
	case REG_TIMER_CURRENT:
		return lapic_timer_current(l, now.ns);
	case REG_TIMER_DIVIDE:
		return l->timer_divide;
	default:
		return 0; /* APR and RRD: gone since the Pentium 4 */
	}
}

static void self_ipi(struct lapic *l, uint8_t vector)
{
	if (vector < VECTOR_FIRST)
		lapic_error(l, ESR_SEND_VECTOR);
	else
		lapic_accept(l, vector, false);
}

static bool combination_valid(enum irq_mode mode, enum irq_shorthand shorthand, uint32_t icr)
{
	switch (mode) {
	case IRQ_INIT:
		/* INIT level de-assert only ever mattered to arbitration ids: nothing is sent. */
		if ((icr & ICR_LEVEL) && !(icr & ICR_ASSERT))
			return false;
		break;
	case IRQ_FIXED:
		return true;
	case IRQ_LOWEST:
	case IRQ_SMI:
	case IRQ_NMI:
	case IRQ_SIPI:
		break;
	default:
		return false;
	}
	/* Table 10-3: "self" and "all including self" are for fixed interrupts only. */
	return shorthand == IRQ_TO_DEST || shorthand == IRQ_TO_OTHERS;
}

/* 10.6.1. IPIs are edge-triggered whatever the trigger-mode bit says. */
static void send_ipi(struct lapic *l, struct lapic_effects *fx)
{
	uint32_t icr = (uint32_t)l->icr, dest = (uint32_t)(l->icr >> 32);
	enum irq_mode mode = icr >> 8 & 7;
	enum irq_shorthand shorthand = icr >> 18 & 3;
	uint8_t vector = (uint8_t)icr;

	if (!combination_valid(mode, shorthand, icr))
		return;
	if ((mode == IRQ_FIXED || mode == IRQ_LOWEST) && vector < VECTOR_FIRST) {
		lapic_error(l, ESR_SEND_VECTOR);
		return;
	}
	if (shorthand == IRQ_TO_SELF) {
		lapic_accept(l, vector, false);
		return;
	}
	if (!lapic_x2apic(l))
		dest = dest >> 24 == 0xff ? IRQ_BROADCAST : dest >> 24;
	fx->send = true;
	fx->message = (struct irq_message){
		.dest = dest,
		.vector = vector,
		.mode = (uint8_t)mode,
		.shorthand = (uint8_t)shorthand,
		.logical = icr >> 11 & 1,
	};
}

static void write_svr(struct lapic *l, uint32_t value)
{
	l->svr = value;
	if (value & SVR_ENABLE)
		return;
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		l->lvt[i] |= LVT_MASKED;
}

static void write_lvt(struct lapic *l, enum lapic_lvt entry, uint32_t value)
{
	uint32_t old = l->lvt[entry];

	/* A software-disabled APIC keeps its LVT masked (10.4.7.2). */
	l->lvt[entry] = value | (l->svr & SVR_ENABLE ? 0 : LVT_MASKED);
	if (entry == LAPIC_LVT_TIMER && ((old ^ value) & LVT_TIMER_MODE))
		lapic_timer_disarm(l);
}

/* @value has passed its rule: only writable bits are set. */
static void write_register(struct lapic *l, unsigned reg, uint32_t value, struct lapic_clock now,
			   struct lapic_effects *fx)
{
	/* What was due before this access is due, whatever the access does to the timer. */
	lapic_timer_expire(l, now);
	switch (reg) {
	case REG_TPR:
		l->tpr = value;
		break;
	case REG_EOI:
		lapic_eoi(l, fx);
		break;
	case REG_LDR:
		l->ldr = value;
		break;
	case REG_DFR:
		l->dfr = value | 0x0fffffff;
		break;
	case REG_SVR:
		write_svr(l, value);
		break;
	case REG_ESR:
		l->esr = l->esr_pending;
		l->esr_pending = 0;
		break;
	case REG_ICR:
		l->icr = (l->icr & ~(uint64_t)UINT32_MAX) | value;
		send_ipi(l, fx);
		break;
	case REG_ICR_HIGH:
		l->icr = (uint64_t)value << 32 | (uint32_t)l->icr;
		break;
	case REG_LVT ... REG_LVT_LAST:
		write_lvt(l, reg - REG_LVT, value);
		break;
	case REG_TIMER_INITIAL:
		lapic_timer_set_initial(l, value, now.ns);
		break;
	case REG_TIMER_DIVIDE:
		lapic_timer_set_divide(l, value, now.ns);
		break;
	case REG_SELF_IPI:
		self_ipi(l, (uint8_t)value);
		break;
	}
}

int lapic_msr_read(const struct lapic *l, uint32_t msr, struct lapic_clock now, uint64_t *ret)
{
	unsigned reg = msr - MSR_X2APIC_FIRST;

	if (!lapic_x2apic(l) || reg >= REG_COUNT || !(rules[reg].access & X2_R))
		return -EINVAL;
	*ret = reg == REG_ICR ? l->icr : read_register(l, reg, now);
	return 0;
}

int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t value, struct lapic_clock now,
		    struct lapic_effects *fx)
{
	unsigned reg = msr - MSR_X2APIC_FIRST;

	*fx = (struct lapic_effects){0};
	if (!lapic_x2apic(l) || reg >= REG_COUNT || !(rules[reg].access & X2_W))
		return -EINVAL;
	if ((uint32_t)value & ~(rules[reg].writable | rules[reg].ignored))
		return -EINVAL;
	if (reg == REG_ICR)
		l->icr = value; /* the destination; write_register() sets the low half */
	else if (value >> 32)
		return -EINVAL;
	write_register(l, reg, (uint32_t)value & rules[reg].writable, now, fx);
	return 0;
}

uint64_t lapic_mmio_read(struct lapic *l, uint32_t offset, unsigned size, struct lapic_clock now)
{
	unsigned reg = offset / 16, byte = offset % 16;
	uint64_t value;

	if (size == 0 || size > 4 || byte > 4 - size)
		return 0;
	if (reg >= REG_COUNT || !rules[reg].access || rules[reg].access == X2_W) {
		lapic_error(l, ESR_REGISTER);
		return 0;
	}
	if (!(rules[reg].access & X_R))
		return 0;
	value = read_register(l, reg, now) >> (byte * 8);
	return value & ((UINT64_C(1) << (size * 8)) - 1);
}

void lapic_mmio_write(struct lapic *l, uint32_t offset, unsigned size, uint32_t value,
		      struct lapic_clock now, struct lapic_effects *fx)
{
	unsigned reg = offset / 16;

	*fx = (struct lapic_effects){0};
	if (size != 4 || offset % 16)
		return;
	if (reg >= REG_COUNT || !rules[reg].access || rules[reg].access == X2_W) {
		lapic_error(l, ESR_REGISTER);
		return;
	}
	if (rules[reg].access & X_W)
		write_register(l, reg, value & rules[reg].writable, now, fx);
}
