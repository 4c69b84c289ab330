/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/kvm_trial.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/base.h"
#include "irq/lapic.h"

#define CODE_GPA 0x1000

/* mov $MSR_TSC_DEADLINE, %ecx; wrmsr; hlt: the same bytes in 32-bit mode. EDX:EAX does not matter.
 */
static const uint8_t code[] = {
	0xb9, MSR_TSC_DEADLINE & 0xff, MSR_TSC_DEADLINE >> 8, 0x00, 0x00, 0x0f, 0x30, 0xf4};

static int give_memory(int vm, uint8_t *page)
{
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = CODE_GPA,
		.memory_size = PAGE_BYTES,
		.userspace_addr = (uintptr_t)page,
	};

	memcpy(page, code, sizeof(code));
	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot);
}

/*
 * Protected mode, flat, without paging: a KVM whose CPU lacks unrestricted guest mode would emulate
 * real mode, and its emulator does not take the fast path.
 */
static int set_start(int vcpu)
{
	struct kvm_regs regs = {.rip = CODE_GPA, .rflags = 2};
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return -1;
	sregs.cr0 |= 1;
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
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0)
		return -1;
	return ioctl(vcpu, KVM_SET_REGS, &regs);
}

static bool exits(int vm, int vcpu, struct kvm_run *run, uint8_t *page)
{
	if (give_memory(vm, page) < 0 || set_start(vcpu) < 0)
		return false;
	while (ioctl(vcpu, KVM_RUN, 0) < 0)
		if (errno != EINTR)
			return false;
	return run->exit_reason == KVM_EXIT_X86_WRMSR && run->msr.index == MSR_TSC_DEADLINE;
}

bool kvm_trial_deadline(int vm, int vcpu, size_t run_size)
{
	struct kvm_run *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	uint8_t *page =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool ret = false;

	if (run != MAP_FAILED && page != MAP_FAILED)
		ret = exits(vm, vcpu, run, page);
	if (page != MAP_FAILED)
		munmap(page, PAGE_BYTES);
	if (run != MAP_FAILED)
		munmap(run, run_size);
	return ret;
}
