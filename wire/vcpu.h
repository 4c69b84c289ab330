/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole state of a vCPU: what travels in the parts of a WIRE_VCPU_STATE.
 *
 * The layout is ours, not KVM's: each field has its size and place here, whatever a kernel's
 * headers or our own structs look like. cpu/vcpu_image.c is the only one that translates. What KVM
 * knows and is not here does not exist in this machine: nested virtualization, system management
 * mode, debugging by the host.
 *
 * Only those MSRs are in it that differ from what a new vCPU has (cpu/vcpu_msrs.h). The extended
 * state has the layout of CPUID leaf 0xd, which the hosts of a cluster have in common.
 */
#ifndef SSIHV_WIRE_VCPU_H
#define SSIHV_WIRE_VCPU_H

#include "base/base.h"

/* Linux writes one for each of KVM's 32 machine check banks, and up to 28 of memory types. */
#define WIRE_VCPU_MSRS	192
#define WIRE_VCPU_XSAVE 4096

enum wire_vcpu_state {
	WIRE_VCPU_RUNNING = 1,
	WIRE_VCPU_HALTED,    /* in HLT, until an interrupt */
	WIRE_VCPU_WAIT_SIPI, /* after power-up or INIT */
};

/* A segment register as in a VMCS or VMCB. */
struct wire_segment {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint8_t type; /* 4 bits */
	uint8_t dpl;  /* 2 bits */
	uint8_t present, db, s, l, g, avl, unusable, reserved;
};
static_assert(sizeof(struct wire_segment) == 24, "wire layout");

struct wire_table {
	uint64_t base;
	uint16_t limit;
	uint16_t reserved[3];
};
static_assert(sizeof(struct wire_table) == 16, "wire layout");

/* What is being delivered to the guest, or waits inside KVM. */
struct wire_delivery {
	uint64_t exception_payload;
	uint32_t exception_code;
	uint8_t exception_nr, exception_injected, exception_pending, exception_has_code;
	uint8_t exception_has_payload;
	uint8_t interrupt_nr, interrupt_injected, interrupt_soft;
	uint8_t shadow; /* bit 0: after MOV SS, bit 1: after STI */
	uint8_t nmi_injected, nmi_pending, nmi_masked;
	uint8_t nmi_posted; /* not yet given to KVM */
	uint8_t reserved[7];
};
static_assert(sizeof(struct wire_delivery) == 32, "wire layout");

/* The local APIC: irq/lapic.h. Timers count in guest time, which all hosts share. */
struct wire_lapic {
	uint64_t apic_base, icr, timer_start_ns, tsc_deadline;
	uint32_t id, tpr, ldr, dfr, svr, esr, esr_pending;
	uint32_t lvt[6]; /* in the order of their offsets */
	uint32_t timer_initial, timer_divide, timer_counting;
	uint32_t irr[8], isr[8], tmr[8];
};
static_assert(sizeof(struct wire_lapic) == 192, "wire layout");

struct wire_msr {
	uint32_t index, reserved;
	uint64_t value;
};
static_assert(sizeof(struct wire_msr) == 16, "wire layout");

struct wire_vcpu {
	uint32_t index; /* in the cluster */
	uint32_t state; /* enum wire_vcpu_state */
	uint32_t nmsrs;
	uint32_t reserved;
	uint64_t pvclock[2]; /* MSRs 4b564d00 and 4b564d01 */
	uint64_t gpr[16];    /* as instructions number them: RAX, RCX, RDX, RBX, RSP, .. R15 */
	uint64_t rip, rflags;
	uint64_t cr0, cr2, cr3, cr4, efer;
	uint64_t dr[4], dr6, dr7;
	uint64_t xcr0; /* 0: this CPU has none */
	struct wire_segment cs, ds, es, fs, gs, ss, tr, ldt;
	struct wire_table gdt, idt;
	struct wire_delivery delivery;
	struct wire_lapic lapic;
	struct wire_msr msr[WIRE_VCPU_MSRS]; /* those above nmsrs are zero */
	uint8_t xsave[WIRE_VCPU_XSAVE];
};
static_assert(offsetof(struct wire_vcpu, gpr) == 32, "wire layout");
static_assert(offsetof(struct wire_vcpu, cs) == 272, "wire layout");
static_assert(offsetof(struct wire_vcpu, lapic) == 528, "wire layout");
static_assert(offsetof(struct wire_vcpu, msr) == 720, "wire layout");
static_assert(sizeof(struct wire_vcpu) == 7888, "wire layout");

/**
 * wire_vcpu_check() - is each field one that a vCPU can have?
 *
 * Whether they fit together, and what the CPU makes of them, is for KVM and irq/ to say. Pure; any
 * thread.
 *
 * Return: 0; -EBADMSG.
 */
int wire_vcpu_check(const struct wire_vcpu *v);

#endif
