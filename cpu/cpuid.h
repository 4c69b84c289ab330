/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CPUID tells the guest: the same on every vCPU of the cluster but for its own APIC id.
 *
 * Goal: an instruction set that every host has, one package (socket) a node, an x2APIC, a TSC that
 * is constant and shared (vmm/clock.h makes it so), TSC-deadline timer, KVM's signature (Linux
 * uses x2APIC without interrupt remapping only under a hypervisor that it knows) with its clock
 * (cpu/pvclock.h) but none of the features that need an in-kernel LAPIC.
 *
 * The hosts agree in two steps: each tells its feature words (cpuid_words), node 0 ANDs them, each
 * builds its table from the result (cpuid_build).
 * Sources: Intel SDM vol. 2A CPUID; AMD APM vol. 3 appendix E; kernel Documentation/virt/kvm/x86/
 * cpuid.rst.
 */
#ifndef SSIHV_CPU_CPUID_H
#define SSIHV_CPU_CPUID_H

#include "cpu/kvm.h"

#define CPUID_WORDS 32

/** cpuid_words() - the feature words of this host, in the order of a fixed table; unused are 0. */
int cpuid_words(const struct kvm *kvm, uint32_t ret[CPUID_WORDS]);

/**
 * cpuid_vendor_agrees() - do ANDed words still name this host's CPU vendor?
 *
 * An Intel and an AMD host cannot form one machine: the vendor's words do not survive the AND.
 */
bool cpuid_vendor_agrees(const uint32_t own[CPUID_WORDS], const uint32_t common[CPUID_WORDS]);

struct cpuid_topology {
	uint32_t apic_id;    /* of this vCPU: node << node_shift | number on its node */
	unsigned node_shift; /* bits of the APIC id below the node's number */
	unsigned node_vcpus; /* vCPUs of this node */
	uint64_t tsc_khz;    /* of the guest */
};

/**
 * cpuid_build() - the table of one vCPU
 * @ret: for KVM_SET_CPUID2; the caller frees it
 */
int cpuid_build(const struct kvm *kvm, const uint32_t common[CPUID_WORDS],
		const struct cpuid_topology *topology, struct kvm_cpuid2 **ret);

#endif
