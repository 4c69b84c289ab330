/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local APIC of one vCPU in xAPIC (MMIO) and x2APIC (MSR) mode.
 *
 * A pure state machine: no I/O, clock, thread or allocation. The time comes in with each call, and
 * what has to happen outside comes back in a `struct lapic_effects`. Sources: Intel SDM vol 3,
 * chapter 10 (section numbers below are its), AMD APM vol 2, chapter 16.
 *
 * Thread: a struct lapic is touched by its vCPU's thread only. Interrupts from elsewhere wait in
 * the caller's mailbox and are given to lapic_accept() by that thread.
 *
 * Not here, by design:
 *  - NMI, INIT, SIPI and SMI messages: the caller acts on them (INIT ends in lapic_init_signal());
 *  - a source for LINT0/1, thermal and performance interrupts: the LVT entries are registers only;
 *  - EOI-broadcast suppression, CMCI and extended (AMD) registers: the version register says so.
 *
 * Limits: the APIC page can be moved by the guest, but only accesses that exit can be answered; see
 * lapic_claims(). A redirectable IPI is always sent (no ESR bit 4).
 */
#ifndef SSIHV_IRQ_LAPIC_H
#define SSIHV_IRQ_LAPIC_H

#include "irq/message.h"

#define LAPIC_BASE_DEFAULT UINT64_C(0xfee00000)
#define LAPIC_BASE_BSP	   (UINT64_C(1) << 8)
#define LAPIC_BASE_X2APIC  (UINT64_C(1) << 10)
#define LAPIC_BASE_ENABLE  (UINT64_C(1) << 11)

#define MSR_APIC_BASE	 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC_FIRST 0x800
#define MSR_X2APIC_LAST	 0x83f

/* Input of the count-down timer before the divider; CPUID leaf 15H must give it as the crystal. */
#define LAPIC_TIMER_HZ UINT64_C(1000000000)

/* A periodic timer is not reported due more often than this: a guest cannot wedge its host. */
#define LAPIC_PERIOD_MIN_NS (100 * NSEC_PER_USEC)

/* Order of the LVT entries in the register space (offset 320H onwards). */
enum lapic_lvt {
	LAPIC_LVT_TIMER,
	LAPIC_LVT_THERMAL,
	LAPIC_LVT_PERF,
	LAPIC_LVT_LINT0,
	LAPIC_LVT_LINT1,
	LAPIC_LVT_ERROR,
	LAPIC_LVT_COUNT,
};

/**
 * struct lapic_clock - the moment of an access
 * @ns:  guest time in nanoseconds, monotonic
 * @tsc: this vCPU's guest TSC
 */
struct lapic_clock {
	uint64_t ns;
	uint64_t tsc;
};

/**
 * struct lapic_effects - what the caller must do after an access; each call overwrites it
 * @send:       route @message, the vCPU of this APIC being the sender
 * @eoi:        broadcast the EOI of @eoi_vector to the I/O APIC
 *
 * Besides, any access may change what lapic_pending() returns.
 */
struct lapic_effects {
	bool send;
	bool eoi;
	uint8_t eoi_vector;
	struct irq_message message;
};

/*
 * Plain data. A vCPU moves with all of it but base_reserved, see lapic_load() and wire/vcpu.h;
 * fields are for irq/lapic*.c, cpu/vcpu_image.c and tests.
 */
struct lapic {
	uint64_t apic_base;
	uint64_t base_reserved; /* bits of APIC_BASE that must be zero */
	uint64_t icr;
	uint64_t timer_start_ns; /* count modes: when the count was last at timer_initial */
	uint64_t tsc_deadline;	 /* 0: disarmed */
	uint32_t id;
	uint32_t tpr;
	uint32_t ldr; /* xAPIC mode: bits 31:24 */
	uint32_t dfr;
	uint32_t svr;
	uint32_t esr;	      /* what the guest reads */
	uint32_t esr_pending; /* errors since the guest's last write */
	uint32_t lvt[LAPIC_LVT_COUNT];
	uint32_t timer_initial;
	uint32_t timer_divide;		 /* divide configuration register */
	uint32_t timer_counting;	 /* 0 or 1 */
	uint32_t irr[8], isr[8], tmr[8]; /* bit v % 32 of word v / 32 is vector v */
};

/**
 * lapic_reset() - state after power-up (10.4.7.1): enabled in xAPIC mode, software-disabled
 * @apic_id:   x2APIC id, not UINT32_MAX; the 8-bit xAPIC id is its low byte
 * @bsp:       sets the BSP flag of APIC_BASE
 * @phys_bits: guest-physical address width, 32..52
 *
 * Return: 0; -EINVAL when an argument is out of range.
 */
int lapic_reset(struct lapic *l, uint32_t apic_id, bool bsp, unsigned phys_bits);

/**
 * lapic_init_signal() - state after an INIT (10.4.7.3, 10.12.5.1): keeps the id and APIC_BASE
 *
 * The timer is disarmed.
 */
void lapic_init_signal(struct lapic *l);

/**
 * lapic_load() - take over the state of the same APIC on another node
 * @from: as a peer sent it: anything is possible
 *
 * Both nodes read one guest time, so timers go on.
 *
 * Return: 0; -EINVAL when it is another APIC's or no state that an APIC can be in. Nothing changes
 * then.
 */
int lapic_load(struct lapic *l, const struct lapic *from);

/**
 * lapic_apic_base_write() - WRMSR to IA32_APIC_BASE (10.12.5)
 *
 * Reading it needs no function: it is @l->apic_base. Leaving for the disabled state resets the
 * registers.
 *
 * Return: 0; -EINVAL (#GP) for a reserved bit, for "x2APIC without enable", for x2APIC to xAPIC
 * and for disabled to x2APIC.
 */
int lapic_apic_base_write(struct lapic *l, uint64_t value);

/**
 * lapic_msr_read() - RDMSR of 800H..83FH (table 10-6)
 *
 * Return: 0; -EINVAL (#GP) outside of x2APIC mode, for a register that does not exist there and for
 * a write-only one.
 */
int lapic_msr_read(const struct lapic *l, uint32_t msr, struct lapic_clock now, uint64_t *ret);

/**
 * lapic_msr_write() - WRMSR of 800H..83FH
 *
 * Return: 0; -EINVAL (#GP) outside of x2APIC mode, for a register that does not exist there, for a
 * read-only one and for a set reserved bit. Nothing changes then.
 */
int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t value, struct lapic_clock now,
		    struct lapic_effects *fx);

/** lapic_claims() - is the guest-physical address @gpa in this vCPU's APIC page (xAPIC mode)? */
bool lapic_claims(const struct lapic *l, uint64_t gpa);

/**
 * lapic_mmio_read() - load of @size bytes at @offset of the APIC page (10.4.1)
 *
 * For an access that lapic_claims() has claimed.
 *
 * A load within the first four bytes of a register gives that part of it, any other gives zero. A
 * register that does not exist sets the ESR's illegal-register bit.
 *
 * Return: the value, zero-extended.
 */
uint64_t lapic_mmio_read(struct lapic *l, uint32_t offset, unsigned size, struct lapic_clock now);

/** lapic_mmio_write() - store; all but aligned 4-byte stores are ignored (10.4.1: undefined). */
void lapic_mmio_write(struct lapic *l, uint32_t offset, unsigned size, uint32_t value,
		      struct lapic_clock now, struct lapic_effects *fx);

/** lapic_tsc_deadline_read() - RDMSR of IA32_TSC_DEADLINE (10.5.4.1). Never fails. */
uint64_t lapic_tsc_deadline_read(const struct lapic *l);

/** lapic_tsc_deadline_write() - WRMSR; 0 disarms; ignored when the LVT is in another mode. */
void lapic_tsc_deadline_write(struct lapic *l, uint64_t tsc, struct lapic_clock now);

/** lapic_cr8_read() - the task-priority class, 0..15 (10.8.6.1). */
static inline uint64_t lapic_cr8_read(const struct lapic *l)
{
	return (l->tpr >> 4) & 15;
}

/** lapic_cr8_write() - MOV to CR8; bits above 3 are the caller's #GP and are dropped here. */
static inline void lapic_cr8_write(struct lapic *l, uint64_t cr8)
{
	l->tpr = (uint32_t)(cr8 & 15) << 4;
}

/**
 * lapic_accept() - a fixed or lowest-priority interrupt arrives
 * @level: level-triggered: its EOI will be broadcast
 *
 * Return: true when it is now in the IRR; false when the APIC is disabled, or for a vector below 16
 * (which the ESR records).
 */
bool lapic_accept(struct lapic *l, uint8_t vector, bool level);

/** lapic_ppr() - processor-priority register (10.8.3.1). */
uint8_t lapic_ppr(const struct lapic *l);

/** lapic_pending() - highest requested vector whose class is above the PPR's, or -1. */
int lapic_pending(const struct lapic *l);

/** lapic_ack() - the processor takes lapic_pending(): IRR to ISR. Return: the vector, or -1. */
int lapic_ack(struct lapic *l);

/** lapic_eoi() - ends the highest vector in service; what a write to the EOI register does. */
void lapic_eoi(struct lapic *l, struct lapic_effects *fx);

enum lapic_deadline {
	LAPIC_DEADLINE_NONE, /* disarmed, or masked */
	LAPIC_DEADLINE_NS,   /* guest nanoseconds, as in struct lapic_clock */
	LAPIC_DEADLINE_TSC,  /* guest TSC */
};

/** lapic_timer_next() - when lapic_timer_expire() wants to be called. @ret: not set for NONE. */
enum lapic_deadline lapic_timer_next(const struct lapic *l, uint64_t *ret);

/**
 * lapic_timer_expire() - let the timer fire if it is due; harmless when it is not
 *
 * Missed periods collapse into one interrupt, as the IRR would.
 *
 * Return: true when an interrupt was put into the IRR.
 */
bool lapic_timer_expire(struct lapic *l, struct lapic_clock now);

#endif
