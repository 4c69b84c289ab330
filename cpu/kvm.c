/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/kvm.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "cpu/pvclock.h"
#include "irq/lapic.h"

/*
 * Two unused pages blocks below 4 GiB that VMX without "unrestricted guest" needs to emulate real
 * mode: three pages of TSS and one page table, inside the PCI hole above the IOAPIC and LAPIC.
 */
#define REAL_MODE_TSS	UINT64_C(0xfffbd000)
#define REAL_MODE_TABLE UINT64_C(0xfffbc000)

static int open_system(struct kvm *kvm, struct err *err)
{
	kvm->sys = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm->sys < 0)
		return err_set(err, -errno, "/dev/kvm: %s; %s", strerror(errno),
			       errno == EACCES
				       ? "run as root or join the group kvm"
				       : "enable virtualization in the firmware and load kvm_intel "
					 "or kvm_amd");
	if (ioctl(kvm->sys, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return err_set(err, -ENOTSUP, "/dev/kvm: speaks another API version than 12");
	return 0;
}

static int check_capabilities(const struct kvm *kvm, struct err *err)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
		{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
		{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
		{KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR"},
		{KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER"},
		{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
		{KVM_CAP_GET_TSC_KHZ, "KVM_CAP_GET_TSC_KHZ"},
		{KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"},
		{KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
		{KVM_CAP_ENFORCE_PV_FEATURE_CPUID, "KVM_CAP_ENFORCE_PV_FEATURE_CPUID"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (ioctl(kvm->sys, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			return err_set(err, -ENOTSUP,
				       "/dev/kvm: has no %s; Linux 6.1 or later is needed",
				       needed[i].name);
	return 0;
}

/*
 * MSRs of KVM's own services: the two of its first clock, and from the present one's up to
 * MIGRATION_CONTROL. Only the present clock exists for a guest, and it is ours.
 */
#define MSR_KVM_OLD_CLOCK 0x11
#define KVM_OLD_CLOCKS	  2
#define KVM_SERVICES	  9

static int route_msrs(int vm)
{
	const uint32_t both = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
	uint8_t deny[2] = {0}; /* a zero bit denies: what is denied exits */
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges = {{both, 1, MSR_TSC_DEADLINE, deny},
			   {both, 1, MSR_APIC_BASE, deny},
			   {both, KVM_OLD_CLOCKS, MSR_KVM_OLD_CLOCK, deny},
			   {both, KVM_SERVICES, MSR_KVM_WALL_CLOCK_NEW, deny},
			   {KVM_MSR_FILTER_WRITE, 1, MSR_TSC, deny},
			   {KVM_MSR_FILTER_WRITE, 1, MSR_TSC_ADJUST, deny}},
	};
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args = {KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |
			 KVM_MSR_EXIT_REASON_FILTER},
	};

	if (ioctl(vm, KVM_ENABLE_CAP, &cap) < 0 || ioctl(vm, KVM_X86_SET_MSR_FILTER, &filter) < 0)
		return -errno;
	return 0;
}

static int new_vm(const struct kvm *kvm, int *ret, struct err *err)
{
	_cleanup_close_ int vm = ioctl(kvm->sys, KVM_CREATE_VM, 0);
	uint64_t table = REAL_MODE_TABLE;
	struct kvm_enable_cap no_counters = {.cap = KVM_CAP_PMU_CAPABILITY,
					     .args = {KVM_PMU_CAP_DISABLE}};

	if (vm < 0)
		return err_set(err, -errno, "/dev/kvm: cannot create a VM: %s", strerror(errno));
	/* Only Intel needs these two, others accept or refuse them without harm. */
	ioctl(vm, KVM_SET_TSS_ADDR, REAL_MODE_TSS);
	ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &table);

	/* A vCPU's counters would stay behind when it moves, and their interrupt needs KVM's LAPIC.
	 */
	ioctl(vm, KVM_ENABLE_CAP, &no_counters);

	int r = route_msrs(vm);
	if (r < 0)
		return err_set(err, r, "/dev/kvm: cannot route MSRs to user space: %s",
			       strerror(-r));
	*ret = TAKE_FD(vm);
	return 0;
}

/* What only a vCPU tells: one in a VM of its own, for a moment. */
static int ask_vcpu(struct kvm *kvm, struct err *err)
{
	_cleanup_close_ int vm = -1, vcpu = -1;
	int r = new_vm(kvm, &vm, err);

	if (r < 0)
		return r;
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		return err_set(err, -errno, "/dev/kvm: cannot create a vCPU: %s", strerror(errno));
	int khz = ioctl(vcpu, KVM_GET_TSC_KHZ, 0);
	if (khz <= 0)
		return err_set(err, -ENOTSUP, "/dev/kvm: does not tell the TSC's frequency");
	kvm->tsc_khz = (uint64_t)khz;
	kvm->trial = kvm_try(vm, vcpu, kvm->run_size);
	return 0;
}

/* VMX and SVM scale by numbers of their own form; KVM tells its tolerance as a module parameter. */
static void note_scaling(struct kvm *kvm)
{
	FILE *f = fopen("/sys/module/kvm/parameters/tsc_tolerance_ppm", "re");

	kvm->tsc_scaling = ioctl(kvm->sys, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) > 0;
	kvm->tsc_frac_bits = __builtin_cpu_is("intel") ? 48 : 32;
	if (!f || fscanf(f, "%" SCNu32, &kvm->tsc_tolerance_ppm) != 1)
		kvm->tsc_tolerance_ppm = 250;
	if (f)
		fclose(f);
}

static void note_limits(struct kvm *kvm)
{
	const int saving[] = {KVM_CAP_XSAVE, KVM_CAP_XCRS};
	/* A kernel that does not tell takes four (api.rst, 4.7). */
	int vcpus = ioctl(kvm->sys, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	note_scaling(kvm);
	kvm->max_vcpus = vcpus > 0 ? (unsigned)vcpus : 4;
	kvm->saves_vcpus = true;
	for (size_t i = 0; i < ARRAY_SIZE(saving); i++)
		if (ioctl(kvm->sys, KVM_CHECK_EXTENSION, saving[i]) <= 0)
			kvm->saves_vcpus = false;
}

static int create_vm(struct kvm *kvm, struct err *err)
{
	int r = new_vm(kvm, &kvm->vm, err);

	if (r < 0)
		return r;
	int size = ioctl(kvm->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return err_set(err, -EIO, "/dev/kvm: a vCPU's shared area is too small");
	kvm->run_size = (size_t)size;
	note_limits(kvm);
	return ask_vcpu(kvm, err);
}

int kvm_open(struct kvm *ret, struct err *err)
{
	struct kvm kvm = {.sys = -1, .vm = -1};
	int r = open_system(&kvm, err);

	if (r == 0)
		r = check_capabilities(&kvm, err);
	if (r == 0)
		r = create_vm(&kvm, err);
	if (r < 0) {
		kvm_close(&kvm);
		return r;
	}
	*ret = kvm;
	return 0;
}

void kvm_close(struct kvm *kvm)
{
	closep(&kvm->vm);
	closep(&kvm->sys);
	kvm->vm = kvm->sys = -1;
}

int kvm_map_ram(struct kvm *kvm, const struct ram *ram, struct err *err)
{
	for (unsigned i = 0; i < ram->layout.nranges; i++) {
		const struct mem_range *range = &ram->layout.range[i];
		struct kvm_userspace_memory_region slot = {
			.slot = i,
			.guest_phys_addr = range->gpa,
			.memory_size = range->size,
			.userspace_addr = (uintptr_t)ram->base + range->offset,
		};
		if (ioctl(kvm->vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
			return err_set(err, -errno, "/dev/kvm: cannot map %llu MiB at %#llx: %s",
				       (unsigned long long)(range->size / MIB),
				       (unsigned long long)range->gpa, strerror(errno));
	}
	return 0;
}
