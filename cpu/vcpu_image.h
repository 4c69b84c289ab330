/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole state of a vCPU as plain data: what one host reads out of KVM and another one puts in.
 *
 * INVARIANT. The image is taken and put in between two instructions of the guest: no exit is half
 * done (cpu/vcpu.c, finish()), so everything that counts is in KVM's registers and in struct vcpu.
 *
 * LIMITS. Hosts agree on CPUID before; the layout of the extended state is that of
 * CPUID leaf 0xd, which CPUs of one vendor share for what may be used here. Nested virtualization,
 * SMM and debugging by the host do not exist in this machine.
 *
 * Threads: the vCPU's own.
 */
#ifndef SSIHV_CPU_VCPU_IMAGE_H
#define SSIHV_CPU_VCPU_IMAGE_H

#include <linux/kvm.h>

#include "irq/lapic.h"

/* Linux writes one for each of KVM's 32 machine check banks, and up to 28 of memory types. */
#define VCPU_IMAGE_MSRS 192

struct vcpu;

struct vcpu_image {
	uint32_t index; /* of the vCPU in the cluster */
	uint32_t nmi;	/* 1: pending */
	uint64_t pvclock[2];
	struct lapic lapic;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_xcrs xcrs;
	uint32_t nmsrs, reserved;
	struct kvm_msr_entry msr[VCPU_IMAGE_MSRS];
	uint32_t xsave[1024]; /* struct kvm_xsave */
};
static_assert(sizeof(struct vcpu_image) == 8440, "wire layout");

/**
 * vcpu_image_save() - read the state of a vCPU
 *
 * Return: 0; -E2BIG when the guest changed more MSRs than an image holds; another negative errno
 * of KVM.
 */
int vcpu_image_save(const struct vcpu *v, struct vcpu_image *ret);

/**
 * vcpu_image_load() - make @v what @image says
 * @image: as a peer sent it: anything is possible
 *
 * After an error @v cannot run: part of the state may be in.
 *
 * Return: 0; -EINVAL for an image that is not of this vCPU, or that KVM refuses; another negative
 * errno of KVM.
 */
int vcpu_image_load(struct vcpu *v, const struct vcpu_image *image);

#endif
