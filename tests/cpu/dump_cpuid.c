/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints what this machine's KVM says that a guest may have: KVM_GET_SUPPORTED_CPUID and the
 * feature MSRs. The files in tests/cpu/golden are made by it, each on the host that it is named
 * after.
 *
 * A line each, all numbers hexadecimal:  LEAF SUBLEAF EAX EBX ECX EDX  or  msr INDEX VALUE.
 * Lines that begin with # are comments.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#define MAX_ENTRIES 256
#define MAX_MSRS    1024

static void dump_cpuid(int kvm)
{
	struct kvm_cpuid2 *table =
		calloc(1, sizeof(*table) + MAX_ENTRIES * sizeof(table->entries[0]));

	if (!table)
		err(1, "calloc");
	table->nent = MAX_ENTRIES;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, table) < 0)
		err(1, "KVM_GET_SUPPORTED_CPUID");
	for (uint32_t i = 0; i < table->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &table->entries[i];
		printf("%x %x %08x %08x %08x %08x\n", e->function, e->index, e->eax, e->ebx, e->ecx,
		       e->edx);
	}
	free(table);
}

static void dump_msrs(int kvm)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + MAX_MSRS * sizeof(list->indices[0]));
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + sizeof(msrs->entries[0]));

	if (!list || !msrs)
		err(1, "calloc");
	list->nmsrs = MAX_MSRS;
	if (ioctl(kvm, KVM_GET_MSR_FEATURE_INDEX_LIST, list) < 0)
		err(1, "KVM_GET_MSR_FEATURE_INDEX_LIST");
	for (uint32_t i = 0; i < list->nmsrs; i++) {
		msrs->nmsrs = 1;
		msrs->entries[0] = (struct kvm_msr_entry){.index = list->indices[i]};
		if (ioctl(kvm, KVM_GET_MSRS, msrs) == 1)
			printf("msr %x %" PRIx64 "\n", list->indices[i],
			       (uint64_t)msrs->entries[0].data);
	}
	free(list);
	free(msrs);
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct utsname name;

	if (kvm < 0)
		err(1, "/dev/kvm");
	if (uname(&name) == 0)
		printf("# Linux %s\n", name.release);
	dump_cpuid(kvm);
	dump_msrs(kvm);
	return 0;
}
