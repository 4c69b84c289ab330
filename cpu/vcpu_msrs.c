/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/vcpu_msrs.h"

#include <stdalign.h>
#include <sys/ioctl.h>

#include "cpu/kvm.h"
#include "cpu/pvclock.h"
#include "irq/lapic.h"

/* KVM keeps these for a vCPU, whatever its list says. By number. */
static const struct {
	uint32_t first, count;
} own_table[] = {
	{0x48, 1},	 /* SPEC_CTRL */
	{0xe1, 1},	 /* UMWAIT_CONTROL */
	{0x122, 1},	 /* TSX_CTRL */
	{0x140, 1},	 /* MISC_FEATURES_ENABLES */
	{0x17a, 2},	 /* MCG_STATUS, MCG_CTL */
	{0x1c4, 2},	 /* XFD, XFD_ERR */
	{0x1d9, 1},	 /* DEBUGCTL */
	{0x200, 16},	 /* MTRRphysBase and Mask, eight of each */
	{0x250, 1},	 /* MTRRfix64K */
	{0x258, 2},	 /* MTRRfix16K */
	{0x268, 8},	 /* MTRRfix4K */
	{0x277, 1},	 /* PAT */
	{0x280, 32},	 /* MCi_CTL2 */
	{0x2ff, 1},	 /* MTRRdefType */
	{0x400, 4 * 32}, /* MCi_CTL, STATUS, ADDR, MISC */
	{0x6a0, 1},	 /* U_CET */
	{0x6a2, 1},	 /* S_CET */
	{0x6a4, 5},	 /* PL0_SSP to PL3_SSP, INTERRUPT_SSP_TABLE */
	{0x6e1, 1},	 /* PKRS */
	{0xda0, 1},	 /* XSS */
	{0xc0010015, 1}, /* HWCR */
	{0xc001011f, 1}, /* VIRT_SPEC_CTRL */
	{0xc0011029, 1}, /* DE_CFG */
};

/* Clocks, which are not the vCPU's own, and what other hypervisors' guests would use. */
static bool stays_behind(uint32_t msr)
{
	return msr == MSR_TSC || msr == MSR_TSC_ADJUST || msr == MSR_TSC_DEADLINE ||
	       msr == MSR_APIC_BASE || msr == 0x11 || msr == 0x12 || /* the first KVM clock */
	       (msr >= MSR_KVM_WALL_CLOCK_NEW && msr <= MSR_KVM_WALL_CLOCK_NEW + 0xff) ||
	       (msr >= 0x40000000 && msr <= 0x400001ff);
}

int vcpu_msr_access(int fd, unsigned long request, struct kvm_msr_entry *entry)
{
	const struct kvm_msrs head = {.nmsrs = 1};
	/* The entries follow the header: an array of unknown length in the kernel's struct. */
	alignas(struct kvm_msrs) uint8_t msrs[sizeof(head) + sizeof(*entry)];

	memcpy(msrs, &head, sizeof(head));
	memcpy(msrs + sizeof(head), entry, sizeof(*entry));
	int r = ioctl(fd, request, msrs);
	if (r != 1)
		return r < 0 ? -errno : -EIO;
	memcpy(entry, msrs + sizeof(head), sizeof(*entry));
	return 0;
}

static int list_msrs(const struct kvm *kvm, struct kvm_msr_list **ret)
{
	struct kvm_msr_list none = {0};

	/* Refused for want of room, it says how much it needs. */
	if (ioctl(kvm->sys, KVM_GET_MSR_INDEX_LIST, &none) == 0 || errno != E2BIG)
		return -EIO;
	_cleanup_free_ struct kvm_msr_list *list =
		calloc(1, sizeof(*list) + none.nmsrs * sizeof(uint32_t));
	if (!list)
		return -ENOMEM;
	list->nmsrs = none.nmsrs;
	if (ioctl(kvm->sys, KVM_GET_MSR_INDEX_LIST, list) < 0)
		return -errno;
	*ret = TAKE_PTR(list);
	return 0;
}

/* Once, if this vCPU has it: lists are of what KVM could know. */
static void note(int fd, struct vcpu_msrs *msrs, uint32_t index)
{
	struct kvm_msr_entry entry = {.index = index};

	for (uint32_t i = 0; i < msrs->count; i++)
		if (msrs->entry[i].index == index)
			return;
	if (!stays_behind(index) && vcpu_msr_access(fd, KVM_GET_MSRS, &entry) == 0)
		msrs->entry[msrs->count++] = entry;
}

int vcpu_msrs_note(const struct kvm *kvm, int fd, struct vcpu_msrs **ret)
{
	_cleanup_free_ struct kvm_msr_list *list = NULL;
	int r = list_msrs(kvm, &list);

	if (r < 0)
		return r;
	size_t most = list->nmsrs;
	for (size_t i = 0; i < ARRAY_SIZE(own_table); i++)
		most += own_table[i].count;
	struct vcpu_msrs *msrs = calloc(1, sizeof(*msrs) + most * sizeof(msrs->entry[0]));
	if (!msrs)
		return -ENOMEM;
	for (uint32_t i = 0; i < list->nmsrs; i++)
		note(fd, msrs, list->indices[i]);
	for (size_t i = 0; i < ARRAY_SIZE(own_table); i++)
		for (uint32_t k = 0; k < own_table[i].count; k++)
			note(fd, msrs, own_table[i].first + k);
	*ret = msrs;
	return 0;
}

int vcpu_msrs_changed(int fd, const struct vcpu_msrs *first, struct kvm_msr_entry *ret,
		      unsigned room)
{
	unsigned count = 0;

	for (uint32_t i = 0; i < first->count; i++) {
		struct kvm_msr_entry entry = {.index = first->entry[i].index};
		int r = vcpu_msr_access(fd, KVM_GET_MSRS, &entry);

		if (r < 0)
			return r;
		if (entry.data == first->entry[i].data)
			continue;
		if (count == room)
			return -E2BIG;
		ret[count++] = entry;
	}
	return (int)count;
}

int vcpu_msrs_reset(int fd, const struct vcpu_msrs *first)
{
	for (uint32_t i = 0; i < first->count; i++) {
		struct kvm_msr_entry entry = {.index = first->entry[i].index};
		int r = vcpu_msr_access(fd, KVM_GET_MSRS, &entry);

		if (r == 0 && entry.data != first->entry[i].data) {
			entry.data = first->entry[i].data;
			r = vcpu_msr_access(fd, KVM_SET_MSRS, &entry);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int vcpu_msrs_set(int fd, const struct kvm_msr_entry *entry, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct kvm_msr_entry copy = entry[i];
		int r = stays_behind(copy.index) ? -EINVAL
						 : vcpu_msr_access(fd, KVM_SET_MSRS, &copy);

		if (r < 0)
			return r;
	}
	return 0;
}
