/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One KVM virtual machine on this host, without in-kernel interrupt controllers: its descriptors,
 * its memory slots, its MSR exits. Source: Documentation/virt/kvm/api.rst.
 *
 * MSRs that must come to user space: the kernel raises an exit by itself for the x2APIC range
 * (no in-kernel LAPIC: "invalid") and for MSRs it does not know; those that it would handle itself
 * (IA32_TSC_DEADLINE, IA32_APIC_BASE, the KVM clock and KVM's other services) are denied by a
 * filter and exit for that reason. What else KVM answers by itself: docs/architecture.md.
 */
#ifndef SSIHV_CPU_KVM_H
#define SSIHV_CPU_KVM_H

#include <linux/kvm.h>

#include "base/err.h"
#include "cpu/kvm_trial.h"
#include "mem/ram.h"

#define MSR_TSC	       0x10
#define MSR_TSC_ADJUST 0x3b

struct kvm {
	int sys, vm;
	size_t run_size;	    /* bytes of a vCPU's shared kvm_run */
	uint64_t tsc_khz;	    /* of this host, as KVM sees it */
	struct kvm_trial trial;	    /* what this host does */
	bool tsc_scaling;	    /* a guest may run at another frequency, */
	unsigned tsc_frac_bits;	    /* by a ratio with so many bits behind the point, */
	uint32_t tsc_tolerance_ppm; /* if its own is farther off than this */
	unsigned max_vcpus;
	bool saves_vcpus; /* all of a vCPU's state can be read and set */
};

/**
 * kvm_open() - open /dev/kvm, check what is needed, create an empty VM
 *
 * Return: 0; negative errno with @err naming what is missing and the way out.
 */
int kvm_open(struct kvm *ret, struct err *err);

/** kvm_close() - close the descriptors; vCPUs must have been freed. */
void kvm_close(struct kvm *kvm);

/** kvm_map_ram() - make every range of @ram guest memory. Return: 0 or negative errno with @err. */
int kvm_map_ram(struct kvm *kvm, const struct ram *ram, struct err *err);

#endif
