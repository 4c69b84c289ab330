/* SPDX-License-Identifier: Apache-2.0 */
/* Making a vCPU and setting its registers: power-up, 64-bit entry, INIT and SIPI, TSC. */
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "cpu/vcpu_impl.h"

#define MSR_MISC_ENABLE	  0x1a0
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLE_WB	  0x806 /* MTRRs on, default type write-back (SDM vol. 3, 11.11.2.1) */
#define CR0_CACHE	  UINT64_C(0x60000000) /* CD and NW: an INIT leaves them as they are */

static int set_msr(const struct vcpu *v, uint32_t index, uint64_t value)
{
	struct kvm_msr_entry entry = {.index = index, .data = value};

	return vcpu_msr_access(v->fd, KVM_SET_MSRS, &entry);
}

static unsigned phys_bits(const struct kvm_cpuid2 *table)
{
	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function == 0x80000008)
			return MIN(table->entries[i].eax & 0xff, GPA_BITS);
	return 36;
}

/* What the guest reads of the CPU's abilities, the same on all hosts. */
static int set_feature_msrs(const struct vcpu *v, const struct cpu_identity *id)
{
	for (unsigned i = 0; i < CPU_IDENTITY_MSRS; i++) {
		/* One that no host has, or that CPUID hides, stays as it is: absent. */
		if (!id->msr[i])
			continue;
		int r = set_msr(v, cpu_msr_rules[i].index, id->msr[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The APIC as firmware hands it over: enabled, in x2APIC mode. */
static int start_apic(struct vcpu *v, uint32_t apic_id, bool bsp, unsigned bits)
{
	int r = lapic_reset(&v->lapic, apic_id, bsp, bits);

	if (r == 0)
		r = lapic_apic_base_write(&v->lapic, v->lapic.apic_base | LAPIC_BASE_X2APIC);
	if (r < 0)
		return r;
	v->reset_sregs.apic_base = v->lapic.apic_base;
	return ioctl(v->fd, KVM_SET_SREGS, &v->reset_sregs) < 0 ? -errno : 0;
}

/* Hypercalls whose feature CPUID does not offer are refused; KVM would obey them otherwise. */
static int refuse_hypercalls(const struct vcpu *v)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = {1}};

	return ioctl(v->fd, KVM_ENABLE_CAP, &cap) < 0 ? -errno : 0;
}

/* Has KVM scale the TSC, and makes sure that it does so by the ratio that guest_clock has. */
static int scale_tsc(struct vcpu *v)
{
	struct kvm_msr_entry tsc = {.index = MSR_TSC};
	int r = ioctl(v->fd, KVM_SET_TSC_KHZ, v->clock->tsc_khz) < 0 ? -errno : vcpu_sync_tsc(v);

	if (r < 0)
		return r;
	uint64_t before = guest_clock_running(v->clock);
	r = vcpu_msr_access(v->fd, KVM_GET_MSRS, &tsc);
	if (r < 0)
		return r;
	return tsc.data >= before && tsc.data <= guest_clock_running(v->clock) ? 0 : -ENOTSUP;
}

static int set_up(struct vcpu *v, const struct vcpu_config *cfg)
{
	_cleanup_free_ struct kvm_cpuid2 *table = NULL;
	int r = cpuid_build(cfg->identity, &cfg->topology, &table);

	if (r < 0)
		return r;
	if (cfg->clock->ratio) {
		r = scale_tsc(v);
		if (r < 0)
			return r;
	}
	if (ioctl(v->fd, KVM_SET_CPUID2, table) < 0 ||
	    ioctl(v->fd, KVM_GET_SREGS, &v->reset_sregs) < 0 ||
	    ioctl(v->fd, KVM_GET_REGS, &v->reset_regs) < 0 ||
	    ioctl(v->fd, KVM_GET_DEBUGREGS, &v->reset_debugregs) < 0 ||
	    ioctl(v->fd, KVM_GET_VCPU_EVENTS, &v->reset_events) < 0)
		return -errno;
	r = start_apic(v, cfg->topology.apic_id, cfg->bsp, phys_bits(table));
	if (r == 0)
		r = refuse_hypercalls(v);
	if (r == 0)
		r = set_msr(v, MSR_MTRR_DEF_TYPE, MTRR_ENABLE_WB);
	if (r == 0)
		r = set_msr(v, MSR_MISC_ENABLE, 1); /* fast string operations */
	if (r == 0)
		r = set_feature_msrs(v, cfg->identity);
	if (r == 0)
		r = vcpu_msrs_note(v->kvm, v->fd, &v->msrs);
	return r;
}

static void kick_member(struct rendezvous_member *m)
{
	vcpu_kick(container_of(m, struct vcpu, member));
}

int vcpu_new(const struct vcpu_config *cfg, struct vcpu **ret, struct err *err)
{
	struct vcpu *v = aligned_alloc(64, ALIGN_UP(sizeof(*v), 64));
	int r;

	if (!v)
		return err_set(err, -ENOMEM, "vCPU %u: out of memory", cfg->index);
	*v = (struct vcpu){
		.kvm = cfg->kvm,
		.clock = cfg->clock,
		.rendezvous = cfg->rendezvous,
		.ram = cfg->ram,
		.ops = cfg->ops,
		.ctx = cfg->ctx,
		.index = cfg->index,
		.host_cpu = cfg->host_cpu,
		.state = cfg->away  ? VCPU_AWAY
			 : cfg->bsp ? VCPU_RUNNING
				    : VCPU_WAIT_SIPI,
		.fd = ioctl(cfg->kvm->vm, KVM_CREATE_VCPU, cfg->topology.apic_id),
		.run = MAP_FAILED,
	};
	list_init(&v->member.all);
	v->member.kick = kick_member;
	if (v->fd >= 0)
		v->run = mmap(NULL, cfg->kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd,
			      0);
	r = v->fd < 0 || v->run == MAP_FAILED ? -errno : set_up(v, cfg);
	if (r < 0) {
		vcpu_free(v);
		return err_set(err, r, "vCPU %u: KVM refused it: %s", cfg->index, strerror(-r));
	}
	if (v->rendezvous)
		rendezvous_add(v->rendezvous, &v->member);
	*ret = v;
	return 0;
}

void vcpu_free(struct vcpu *v)
{
	if (!v)
		return;
	if (v->rendezvous)
		rendezvous_remove(v->rendezvous, &v->member);
	if (v->run != MAP_FAILED)
		munmap(v->run, v->kvm->run_size);
	closep(&v->fd);
	free(v->inbox.arrival);
	free(v->msrs);
	free(v);
}

static struct kvm_segment flat_segment(uint16_t selector, bool code)
{
	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = selector,
		.type = code ? 11 : 3, /* accessed; execute/read or read/write */
		.present = 1,
		.s = 1,
		.l = code,
		.db = !code,
		.g = 1,
	};
}

int vcpu_set_entry(struct vcpu *v, const struct vcpu_entry *entry)
{
	struct kvm_sregs sregs = v->reset_sregs;
	struct kvm_regs regs = {
		.rip = entry->rip,
		.rsi = entry->rsi,
		.rsp = entry->rsp,
		.rflags = entry->rflags,
	};

	sregs.cs = flat_segment(entry->cs, true);
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = flat_segment(entry->ds, false);
	sregs.gdt.base = entry->gdt_base;
	sregs.gdt.limit = entry->gdt_limit;
	sregs.cr0 = entry->cr0;
	sregs.cr3 = entry->cr3;
	sregs.cr4 = entry->cr4;
	sregs.efer = entry->efer;
	if (ioctl(v->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(v->fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

int vcpu_reset_to_sipi(struct vcpu *v, uint8_t vector)
{
	struct kvm_sregs sregs = v->reset_sregs, old;
	struct kvm_regs regs = v->reset_regs;

	if (ioctl(v->fd, KVM_GET_SREGS, &old) < 0)
		return -errno;
	sregs.cr0 = (sregs.cr0 & ~CR0_CACHE) | (old.cr0 & CR0_CACHE);
	sregs.apic_base = v->lapic.apic_base;
	sregs.cs.selector = (uint16_t)(vector << 8);
	sregs.cs.base = (uint64_t)vector << 12;
	regs.rip = 0;
	/* The last one takes back what KVM was given to inject, and unmasks NMIs. */
	if (ioctl(v->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(v->fd, KVM_SET_REGS, &regs) < 0 ||
	    ioctl(v->fd, KVM_SET_DEBUGREGS, &v->reset_debugregs) < 0 ||
	    ioctl(v->fd, KVM_SET_VCPU_EVENTS, &v->reset_events) < 0)
		return -errno;
	/* As KVM_RUN will leave it. */
	v->run->if_flag = 0;
	v->run->ready_for_interrupt_injection = 0;
	v->state = VCPU_RUNNING;
	return 0;
}

void vcpu_init_signal(struct vcpu *v)
{
	lapic_init_signal(&v->lapic);
	v->nmi = false;
	v->state = VCPU_WAIT_SIPI;
}

int vcpu_sync_tsc(struct vcpu *v)
{
	int64_t offset = atomic_load(&v->clock->offset);
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	/* KVM starts a new vCPU's TSC at 0, with an offset that nobody here knows. */
	if ((!v->has_tsc || offset != v->tsc_offset) &&
	    ioctl(v->fd, KVM_SET_DEVICE_ATTR, &attr) < 0)
		return -errno;
	v->has_tsc = true;
	v->tsc_offset = offset;
	while (guest_clock_is_below_floor(v->clock) && !vcpu_is_wanted(v))
		_mm_pause();
	return 0;
}
