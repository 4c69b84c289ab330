/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CPUID tells the guest: the same on every vCPU of the cluster but for its own APIC id.
 *
 * Made of two things: the identity that all hosts have in common (cpu/identity.h), and what this
 * machine is: one package (socket) a node, an x2APIC, a TSC that is constant and shared
 * (vmm/clock_sync.h makes it so), KVM's signature (Linux uses x2APIC without interrupt remapping
 * only under a hypervisor that it knows) with its clock (cpu/pvclock.h) but none of the features
 * that need an in-kernel LAPIC. Nothing is taken from the host that the vCPU happens to run on.
 * Sources: Intel SDM vol. 2A CPUID; AMD APM vol. 3 appendix E; kernel Documentation/virt/kvm/x86/
 * cpuid.rst.
 */
#ifndef SSIHV_CPU_CPUID_H
#define SSIHV_CPU_CPUID_H

#include "cpu/identity.h"

struct cpuid_topology {
	uint32_t apic_id;    /* of this vCPU: node << node_shift | number on its node */
	unsigned node_shift; /* bits of the APIC id below the node's number */
	unsigned node_vcpus; /* vCPUs of this node */
	uint64_t tsc_khz;    /* of the guest */
};

/**
 * cpuid_build() - the table of one vCPU; pure
 * @ret: for KVM_SET_CPUID2; the caller frees it
 *
 * Return: 0; -ENOMEM.
 */
int cpuid_build(const struct cpu_identity *common, const struct cpuid_topology *topology,
		struct kvm_cpuid2 **ret);

#endif
