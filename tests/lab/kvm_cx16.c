/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a tiny 64-bit guest that executes cmpxchg16b and stops with hlt. Exits 0 only if the
 * instruction had its effect: on silicon and on emulated AMD-V it has; a KVM that interprets
 * guests in software ends in an internal error instead.
 *
 * Guest memory, identity-mapped: page 0 code, page 1 the 16 bytes, pages 2-4 the page tables
 * (AMD APM vol. 2, 5.3: long mode with one 2 MiB page).
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PAGE   4096
#define PAGES  5
#define DATA   PAGE
#define TABLES (2 * PAGE)

static const uint8_t code[] = {
	0xbf, 0x00, 0x10, 0x00, 0x00, /* mov edi, DATA */
	0x31, 0xc0,		      /* xor eax, eax: expect 0 in rdx:rax */
	0x31, 0xd2,		      /* xor edx, edx */
	0xbb, 0x2a, 0x00, 0x00, 0x00, /* mov ebx, 42 */
	0xb9, 0x2b, 0x00, 0x00, 0x00, /* mov ecx, 43 */
	0xf0, 0x48, 0x0f, 0xc7, 0x0f, /* lock cmpxchg16b [rdi] */
	0xf4,			      /* hlt */
};

static void enter_long_mode(int vcpu, uint64_t *tables)
{
	struct kvm_sregs sregs;
	struct kvm_segment segment = {
		.limit = 0xffffffff, .selector = 8, .present = 1, .s = 1, .g = 1};

	tables[0] = (TABLES + PAGE) | 3;	    /* PML4: present, writable */
	tables[PAGE / 8] = (TABLES + 2 * PAGE) | 3; /* PDPT */
	tables[2 * PAGE / 8] = 0x83;		    /* PD: 2 MiB page at 0 */
	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		err(1, "KVM_GET_SREGS");
	sregs.cr3 = TABLES;
	sregs.cr4 |= 1 << 5;		    /* PAE */
	sregs.cr0 |= 0x80000001;	    /* PG, PE */
	sregs.efer |= (1 << 8) | (1 << 10); /* LME, LMA */
	segment.type = 11;
	segment.l = 1;
	sregs.cs = segment;
	segment.type = 3;
	segment.l = 0;
	segment.db = 1;
	segment.selector = 16;
	sregs.ds = sregs.es = sregs.ss = segment;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0)
		err(1, "KVM_SET_SREGS");
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		err(1, "/dev/kvm");
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		err(1, "KVM_CREATE_VM");
	uint8_t *ram =
		mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		err(1, "mmap");
	memcpy(ram, code, sizeof(code));
	struct kvm_userspace_memory_region region = {.memory_size = PAGES * PAGE,
						     .userspace_addr = (uintptr_t)ram};
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		err(1, "KVM_SET_USER_MEMORY_REGION");
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vcpu < 0 || size < 0)
		err(1, "KVM_CREATE_VCPU");
	struct kvm_run *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(1, "mmap");
	enter_long_mode(vcpu, (uint64_t *)(ram + TABLES));
	struct kvm_regs regs = {.rip = 0, .rflags = 2};
	if (ioctl(vcpu, KVM_SET_REGS, &regs) < 0 || ioctl(vcpu, KVM_RUN, 0) < 0)
		err(1, "KVM_RUN");
	uint64_t *data = (uint64_t *)(ram + DATA);
	if (run->exit_reason != KVM_EXIT_HLT || data[0] != 42 || data[1] != 43)
		errx(1, "exit reason %u, memory %lu %lu", run->exit_reason, data[0], data[1]);
	puts("cmpxchg16b works");
	return 0;
}
