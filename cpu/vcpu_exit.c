/* SPDX-License-Identifier: Apache-2.0 */
/* Every reason for which KVM_RUN returns: one switch. Source: KVM api.rst, section 5. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "cpu/vcpu_impl.h"

void vcpu_apply(struct vcpu *v, const struct lapic_effects *fx)
{
	if (fx->send)
		v->ops->send(v->ctx, v, &fx->message);
	if (fx->eoi)
		v->ops->eoi(v->ctx, v, fx->eoi_vector);
}

typedef void tell_fn(void *ctx, struct vcpu *v, const char *text);

static int end_with(struct vcpu *v, tell_fn *tell, const char *what, uint64_t detail)
{
	struct kvm_regs regs = {0};
	char text[160];

	ioctl(v->fd, KVM_GET_REGS, &regs);
	snprintf(text, sizeof(text), "vCPU %u: %s (%#" PRIx64 ") at rip %#" PRIx64, v->index, what,
		 detail, (uint64_t)regs.rip);
	tell(v->ctx, v, text);
	return -ECANCELED;
}

static int fail(struct vcpu *v, const char *what, uint64_t detail)
{
	return end_with(v, v->ops->failed, what, detail);
}

static int handle_io(struct vcpu *v)
{
	struct vcpu_io io = {
		.addr = v->run->io.port,
		.count = v->run->io.count,
		.size = v->run->io.size,
		.write = v->run->io.direction == KVM_EXIT_IO_OUT,
		.data = (uint8_t *)v->run + v->run->io.data_offset,
	};

	return v->ops->io(v->ctx, v, &io);
}

static int handle_mmio(struct vcpu *v)
{
	struct vcpu_io io = {
		.addr = v->run->mmio.phys_addr,
		.count = 1,
		.size = (uint8_t)v->run->mmio.len,
		.write = v->run->mmio.is_write,
		.mmio = true,
		.data = v->run->mmio.data,
	};

	if (!lapic_claims(&v->lapic, io.addr))
		return v->ops->io(v->ctx, v, &io);

	struct lapic_clock now = guest_clock_now(v->clock);
	uint32_t offset = (uint32_t)(io.addr & (PAGE_BYTES - 1));
	uint64_t value = 0;
	if (io.write) {
		struct lapic_effects fx;
		memcpy(&value, io.data, io.size);
		lapic_mmio_write(&v->lapic, offset, io.size, (uint32_t)value, now, &fx);
		vcpu_apply(v, &fx);
	} else {
		value = lapic_mmio_read(&v->lapic, offset, io.size, now);
		memcpy(io.data, &value, io.size);
	}
	return 0;
}

static int read_msr(struct vcpu *v, uint32_t msr, uint64_t *ret)
{
	if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
		return lapic_msr_read(&v->lapic, msr, guest_clock_now(v->clock), ret);
	if (msr == MSR_APIC_BASE)
		*ret = v->lapic.apic_base;
	else if (msr == MSR_TSC_DEADLINE)
		*ret = lapic_tsc_deadline_read(&v->lapic);
	else if (msr == MSR_KVM_WALL_CLOCK_NEW || msr == MSR_KVM_SYSTEM_TIME_NEW)
		*ret = v->pvclock[msr - MSR_KVM_WALL_CLOCK_NEW];
	else
		return -EINVAL;
	return 0;
}

/* KVM keeps a copy of APIC_BASE: the CPUID bit "APIC" follows its enable bit. */
static int write_apic_base(struct vcpu *v, uint64_t value)
{
	struct kvm_sregs sregs;
	int r = lapic_apic_base_write(&v->lapic, value);

	if (r < 0)
		return r;
	if (ioctl(v->fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.apic_base = value;
	return ioctl(v->fd, KVM_SET_SREGS, &sregs) < 0 ? -errno : 0;
}

static int write_msr(struct vcpu *v, uint32_t msr, uint64_t value, struct lapic_effects *fx)
{
	struct lapic_clock now = guest_clock_now(v->clock);

	if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
		return lapic_msr_write(&v->lapic, msr, value, now, fx);
	if (msr == MSR_APIC_BASE)
		return write_apic_base(v, value);
	if (msr == MSR_TSC_DEADLINE) {
		lapic_tsc_deadline_write(&v->lapic, value, now);
		return 0;
	}
	/* The TSC is the cluster's: one CPU cannot set its own. */
	if (msr == MSR_TSC || msr == MSR_TSC_ADJUST)
		return 0;
	int r = pvclock_write(v->clock, v->ram, msr, value);
	if (r == 0)
		v->pvclock[msr - MSR_KVM_WALL_CLOCK_NEW] = value;
	return r;
}

/* An MSR that does not exist is the guest's #GP, not our failure. */
static int handle_msr(struct vcpu *v, bool write)
{
	struct lapic_effects fx = {0};
	uint64_t value = v->run->msr.data;
	int r = write ? write_msr(v, v->run->msr.index, value, &fx)
		      : read_msr(v, v->run->msr.index, &value);

	v->run->msr.error = r < 0;
	if (r == 0 && write)
		vcpu_apply(v, &fx);
	if (r == 0 && !write)
		v->run->msr.data = value;
	return 0;
}

int vcpu_handle_exit(struct vcpu *v)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu_count_exit(v, VCPU_EXIT_IO);
		return handle_io(v);
	case KVM_EXIT_MMIO:
		vcpu_count_exit(v, VCPU_EXIT_MMIO);
		return handle_mmio(v);
	case KVM_EXIT_X86_RDMSR:
		vcpu_count_exit(v, VCPU_EXIT_MSR);
		return handle_msr(v, false);
	case KVM_EXIT_X86_WRMSR:
		vcpu_count_exit(v, VCPU_EXIT_MSR);
		return handle_msr(v, true);
	case KVM_EXIT_HLT:
		vcpu_count_exit(v, VCPU_EXIT_HALT);
		v->state = VCPU_HALTED;
		return 0;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		vcpu_count_exit(v, VCPU_EXIT_WINDOW);
		return 0;
	case KVM_EXIT_INTR:
		vcpu_count_exit(v, VCPU_EXIT_KICK);
		return 0;
	case KVM_EXIT_SET_TPR: /* the new CR8 was taken over already */
		return 0;
	case KVM_EXIT_SHUTDOWN: /* Linux's last way to reboot */
		return end_with(v, v->ops->reset, "the guest triple-faulted", 0);
	case KVM_EXIT_FAIL_ENTRY:
		return fail(v, "the CPU refused to enter the guest",
			    v->run->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_INTERNAL_ERROR:
		return fail(v, "KVM could not go on", v->run->internal.suberror);
	default:
		return fail(v, "unexpected exit", v->run->exit_reason);
	}
}
