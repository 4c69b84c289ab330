/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/kvm_trial.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/base.h"
#include "irq/lapic.h"

#define CODE_GPA   0x1000
#define TABLE_GPA  (CODE_GPA + PAGE_BYTES)
#define MEMORY	   (2 * PAGE_BYTES)
#define CR0_PE	   1
#define CR0_PG	   0x80000000
#define CR4_PSE	   0x10
#define HALT_ENTRY CODE_GPA
#define MSR_ENTRY  (CODE_GPA + 1)

/* hlt, and mov $MSR_TSC_DEADLINE, %ecx; wrmsr; hlt. EDX:EAX does not matter. */
static const uint8_t code[] = {
	0xf4, 0xb9, MSR_TSC_DEADLINE & 0xff, MSR_TSC_DEADLINE >> 8, 0x00, 0x00, 0x0f, 0x30, 0xf4};

/*
 * A page directory whose first entry maps 4 MiB onto themselves (SDM vol. 3A, 4.3): present,
 * writable, accessed, dirty, a page. Nothing is left for a walk to set.
 */
static const uint32_t table[] = {0xe3};

struct trial {
	int vm, vcpu;
	struct kvm_run *run;
	uint8_t *memory; /* one page of code, then one that holds the table */
};

/*
 * Protected mode, flat: a KVM whose CPU lacks unrestricted guest mode would emulate real mode, and
 * its emulator does not take the fast path.
 */
static int set_start(const struct trial *t, uint64_t rip, bool paging)
{
	struct kvm_regs regs = {.rip = rip, .rflags = 2};
	struct kvm_sregs sregs;

	if (ioctl(t->vcpu, KVM_GET_SREGS, &sregs) < 0)
		return -1;
	sregs.cr0 |= CR0_PE;
	if (paging) {
		sregs.cr0 |= CR0_PG;
		sregs.cr3 = TABLE_GPA;
		sregs.cr4 |= CR4_PSE;
	} else {
		sregs.cr0 &= ~(uint64_t)CR0_PG;
	}
	sregs.cs = (struct kvm_segment){.selector = 8,
					.limit = UINT32_MAX,
					.type = 0xb,
					.present = 1,
					.s = 1,
					.db = 1,
					.g = 1};
	sregs.ss = sregs.cs;
	sregs.ss.selector = 16;
	sregs.ss.type = 3;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss;
	if (ioctl(t->vcpu, KVM_SET_SREGS, &sregs) < 0)
		return -1;
	return ioctl(t->vcpu, KVM_SET_REGS, &regs);
}

/* Return: why the guest left, or -1. */
static int leaves_by(const struct trial *t, uint64_t rip, bool paging)
{
	if (set_start(t, rip, paging) < 0)
		return -1;
	while (ioctl(t->vcpu, KVM_RUN, 0) < 0)
		if (errno != EINTR)
			return -1;
	return (int)t->run->exit_reason;
}

/* First the one after which nothing is left for KVM to finish in its next KVM_RUN. */
static struct kvm_trial try_all(const struct trial *t)
{
	struct kvm_trial ret;

	ret.walks_read = leaves_by(t, HALT_ENTRY, true) == KVM_EXIT_HLT;
	ret.deadline_exits = leaves_by(t, MSR_ENTRY, false) == KVM_EXIT_X86_WRMSR &&
			     t->run->msr.index == MSR_TSC_DEADLINE;
	return ret;
}

static int give_memory(const struct trial *t)
{
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = CODE_GPA,
		.memory_size = MEMORY,
		.userspace_addr = (uintptr_t)t->memory,
	};

	memcpy(t->memory, code, sizeof(code));
	memcpy(t->memory + PAGE_BYTES, table, sizeof(table));
	if (mprotect(t->memory + PAGE_BYTES, PAGE_BYTES, PROT_READ) < 0)
		return -1;
	return ioctl(t->vm, KVM_SET_USER_MEMORY_REGION, &slot);
}

struct kvm_trial kvm_try(int vm, int vcpu, size_t run_size)
{
	struct trial t = {
		.vm = vm,
		.vcpu = vcpu,
		.run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0),
		.memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0),
	};
	struct kvm_trial ret = {false, false};

	if (t.run != MAP_FAILED && t.memory != MAP_FAILED && give_memory(&t) == 0)
		ret = try_all(&t);
	if (t.memory != MAP_FAILED)
		munmap(t.memory, MEMORY);
	if (t.run != MAP_FAILED)
		munmap(t.run, run_size);
	return ret;
}
