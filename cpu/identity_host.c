/* SPDX-License-Identifier: Apache-2.0 */
/* The identity of this host: what its KVM says that a guest may have. */
#include <sys/ioctl.h>

#include "cpu/identity.h"
#include "cpu/vcpu_msrs.h"

#define MAX_ENTRIES	  256
#define TSC_DEADLINE	  (UINT32_C(1) << 24) /* 1:ECX */
#define ARCH_CAPABILITIES (UINT32_C(1) << 29) /* 7:EDX */

static int supported(const struct kvm *kvm, struct kvm_cpuid2 **ret)
{
	_cleanup_free_ struct kvm_cpuid2 *table =
		calloc(1, sizeof(*table) + MAX_ENTRIES * sizeof(table->entries[0]));

	if (!table)
		return -ENOMEM;
	table->nent = MAX_ENTRIES;
	if (ioctl(kvm->sys, KVM_GET_SUPPORTED_CPUID, table) < 0)
		return -errno;
	/* Not KVM's to offer, as it depends on who serves the timer: that is us, where we hear of
	 * it. */
	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function == 0x1)
			table->entries[i].ecx = (table->entries[i].ecx & ~TSC_DEADLINE) |
						(kvm->trial.deadline_exits ? TSC_DEADLINE : 0);
	*ret = TAKE_PTR(table);
	return 0;
}

/*
 * What this host has of a feature MSR and a vCPU can be given; else 0. The kernels differ: some
 * list ARCH_CAPABILITIES for CPUs whose guests may not have it. @vcpu is a vCPU for trying.
 */
static uint64_t feature_msr(const struct kvm *kvm, int vcpu, uint32_t index)
{
	struct kvm_msr_entry entry = {.index = index};

	if (vcpu_msr_access(kvm->sys, KVM_GET_MSRS, &entry) < 0)
		return 0;
	return vcpu_msr_access(vcpu, KVM_SET_MSRS, &entry) < 0 ? 0 : entry.data;
}

static void hide_arch_capabilities(struct kvm_cpuid2 *table)
{
	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function == 0x7 && table->entries[i].index == 0)
			table->entries[i].edx &= ~ARCH_CAPABILITIES;
}

int cpu_identity_read(const struct kvm *kvm, struct cpu_identity *ret)
{
	_cleanup_free_ struct kvm_cpuid2 *table = NULL;
	_cleanup_close_ int vm = ioctl(kvm->sys, KVM_CREATE_VM, 0);
	_cleanup_close_ int vcpu = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0);
	uint64_t msr[CPU_IDENTITY_MSRS];

	if (vcpu < 0)
		return -errno;
	int r = supported(kvm, &table);
	if (r < 0)
		return r;
	if (ioctl(vcpu, KVM_SET_CPUID2, table) < 0)
		return -errno;
	for (unsigned i = 0; i < CPU_IDENTITY_MSRS; i++)
		msr[i] = feature_msr(kvm, vcpu, cpu_msr_rules[i].index);
	if (!msr[CPU_MSR_ARCH_CAPABILITIES])
		hide_arch_capabilities(table);
	cpu_identity_of(table, msr, ret);
	return 0;
}
