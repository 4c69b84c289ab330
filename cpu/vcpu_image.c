/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/vcpu_image.h"

#include <sys/ioctl.h>

#include "cpu/vcpu_impl.h"

#define RFLAGS_IF (1u << 9)

static_assert(sizeof(struct kvm_xsave) == WIRE_VCPU_XSAVE, "KVM ABI");
static_assert(LAPIC_LVT_COUNT == ARRAY_SIZE(((struct wire_lapic *)NULL)->lvt), "one for each");

/* ---- registers ---- */

/* What goes both ways under one name is listed once, so that neither way forgets any of it. */

/* As instructions number them. */
static const size_t gpr_at[] = {
	offsetof(struct kvm_regs, rax), offsetof(struct kvm_regs, rcx),
	offsetof(struct kvm_regs, rdx), offsetof(struct kvm_regs, rbx),
	offsetof(struct kvm_regs, rsp), offsetof(struct kvm_regs, rbp),
	offsetof(struct kvm_regs, rsi), offsetof(struct kvm_regs, rdi),
	offsetof(struct kvm_regs, r8),	offsetof(struct kvm_regs, r9),
	offsetof(struct kvm_regs, r10), offsetof(struct kvm_regs, r11),
	offsetof(struct kvm_regs, r12), offsetof(struct kvm_regs, r13),
	offsetof(struct kvm_regs, r14), offsetof(struct kvm_regs, r15),
};
static_assert(ARRAY_SIZE(gpr_at) == ARRAY_SIZE(((struct wire_vcpu *)NULL)->gpr), "one for each");

static void save_regs(const struct kvm_regs *from, struct wire_vcpu *to)
{
	for (unsigned i = 0; i < ARRAY_SIZE(gpr_at); i++)
		memcpy(&to->gpr[i], (const char *)from + gpr_at[i], sizeof(to->gpr[i]));
	to->rip = from->rip;
	to->rflags = from->rflags;
}

static struct kvm_regs regs_of(const struct wire_vcpu *from)
{
	struct kvm_regs to = {.rip = from->rip, .rflags = from->rflags};

	for (unsigned i = 0; i < ARRAY_SIZE(gpr_at); i++)
		memcpy((char *)&to + gpr_at[i], &from->gpr[i], sizeof(from->gpr[i]));
	return to;
}

#define SEGMENT(from)                                                                              \
	{                                                                                          \
		.base = (from)->base, .limit = (from)->limit, .selector = (from)->selector,        \
		.type = (from)->type, .dpl = (from)->dpl, .present = (from)->present,              \
		.db = (from)->db, .s = (from)->s, .l = (from)->l, .g = (from)->g,                  \
		.avl = (from)->avl, .unusable = (from)->unusable,                                  \
	}

static struct wire_segment save_segment(const struct kvm_segment *from)
{
	return (struct wire_segment)SEGMENT(from);
}

static struct kvm_segment segment_of(const struct wire_segment *from)
{
	return (struct kvm_segment)SEGMENT(from);
}

static void save_sregs(const struct kvm_sregs *from, struct wire_vcpu *to)
{
	to->cs = save_segment(&from->cs);
	to->ds = save_segment(&from->ds);
	to->es = save_segment(&from->es);
	to->fs = save_segment(&from->fs);
	to->gs = save_segment(&from->gs);
	to->ss = save_segment(&from->ss);
	to->tr = save_segment(&from->tr);
	to->ldt = save_segment(&from->ldt);
	to->gdt = (struct wire_table){.base = from->gdt.base, .limit = from->gdt.limit};
	to->idt = (struct wire_table){.base = from->idt.base, .limit = from->idt.limit};
	to->cr0 = from->cr0;
	to->cr2 = from->cr2;
	to->cr3 = from->cr3;
	to->cr4 = from->cr4;
	to->efer = from->efer;
}

/* The interrupt bitmap stays empty: what is being injected comes with the events. */
static struct kvm_sregs sregs_of(const struct wire_vcpu *from)
{
	return (struct kvm_sregs){
		.cs = segment_of(&from->cs),
		.ds = segment_of(&from->ds),
		.es = segment_of(&from->es),
		.fs = segment_of(&from->fs),
		.gs = segment_of(&from->gs),
		.ss = segment_of(&from->ss),
		.tr = segment_of(&from->tr),
		.ldt = segment_of(&from->ldt),
		.gdt = {.base = from->gdt.base, .limit = from->gdt.limit},
		.idt = {.base = from->idt.base, .limit = from->idt.limit},
		.cr0 = from->cr0,
		.cr2 = from->cr2,
		.cr3 = from->cr3,
		.cr4 = from->cr4,
		.cr8 = from->lapic.tpr >> 4,
		.efer = from->efer,
		.apic_base = from->lapic.apic_base,
	};
}

static void save_debugregs(const struct kvm_debugregs *from, struct wire_vcpu *to)
{
	memcpy(to->dr, from->db, sizeof(to->dr));
	to->dr6 = from->dr6;
	to->dr7 = from->dr7;
}

static struct kvm_debugregs debugregs_of(const struct wire_vcpu *from)
{
	struct kvm_debugregs to = {.dr6 = from->dr6, .dr7 = from->dr7};

	memcpy(to.db, from->dr, sizeof(to.db));
	return to;
}

/* ---- events ---- */

static void save_events(const struct kvm_vcpu_events *from, bool nmi, struct wire_delivery *to)
{
	*to = (struct wire_delivery){
		.exception_payload = from->exception_payload,
		.exception_code = from->exception.error_code,
		.exception_nr = from->exception.nr,
		.exception_injected = from->exception.injected,
		.exception_pending = from->exception.pending,
		.exception_has_code = from->exception.has_error_code,
		.exception_has_payload = from->exception_has_payload,
		.interrupt_nr = from->interrupt.nr,
		.interrupt_injected = from->interrupt.injected,
		.interrupt_soft = from->interrupt.soft,
		.shadow = from->interrupt.shadow,
		.nmi_injected = from->nmi.injected,
		.nmi_pending = from->nmi.pending,
		.nmi_masked = from->nmi.masked,
		.nmi_posted = nmi,
	};
}

/* @reset: of a new vCPU: its flags say what this kernel knows. */
static struct kvm_vcpu_events events_of(const struct wire_delivery *from,
					const struct kvm_vcpu_events *reset)
{
	struct kvm_vcpu_events to = *reset;

	to.exception.error_code = from->exception_code;
	to.exception.nr = from->exception_nr;
	to.exception.injected = from->exception_injected;
	to.exception.pending = from->exception_pending;
	to.exception.has_error_code = from->exception_has_code;
	to.exception_has_payload = from->exception_has_payload;
	to.exception_payload = from->exception_payload;
	to.interrupt.nr = from->interrupt_nr;
	to.interrupt.injected = from->interrupt_injected;
	to.interrupt.soft = from->interrupt_soft;
	to.interrupt.shadow = from->shadow;
	to.nmi.injected = from->nmi_injected;
	to.nmi.pending = from->nmi_pending;
	to.nmi.masked = from->nmi_masked;
	return to;
}

/* ---- the local APIC ---- */

#define LAPIC(from)                                                                                \
	{                                                                                          \
		.apic_base = (from)->apic_base, .icr = (from)->icr,                                \
		.timer_start_ns = (from)->timer_start_ns, .tsc_deadline = (from)->tsc_deadline,    \
		.id = (from)->id, .tpr = (from)->tpr, .ldr = (from)->ldr, .dfr = (from)->dfr,      \
		.svr = (from)->svr, .esr = (from)->esr, .esr_pending = (from)->esr_pending,        \
		.timer_initial = (from)->timer_initial, .timer_divide = (from)->timer_divide,      \
		.timer_counting = (from)->timer_counting,                                          \
	}

#define COPY_LAPIC_ARRAYS(to, from)                                                                \
	do {                                                                                       \
		memcpy((to)->lvt, (from)->lvt, sizeof((to)->lvt));                                 \
		memcpy((to)->irr, (from)->irr, sizeof((to)->irr));                                 \
		memcpy((to)->isr, (from)->isr, sizeof((to)->isr));                                 \
		memcpy((to)->tmr, (from)->tmr, sizeof((to)->tmr));                                 \
	} while (0)

static void save_lapic(const struct lapic *from, struct wire_lapic *to)
{
	*to = (struct wire_lapic)LAPIC(from);
	COPY_LAPIC_ARRAYS(to, from);
}

static struct lapic lapic_of(const struct wire_lapic *from)
{
	struct lapic to = LAPIC(from);

	COPY_LAPIC_ARRAYS(&to, from);
	return to;
}

/* ---- the rest ---- */

static const uint32_t states[] = {
	[VCPU_RUNNING] = WIRE_VCPU_RUNNING,
	[VCPU_HALTED] = WIRE_VCPU_HALTED,
	[VCPU_WAIT_SIPI] = WIRE_VCPU_WAIT_SIPI,
};

static enum vcpu_run_state state_of(uint32_t wire)
{
	for (unsigned i = 0; i < ARRAY_SIZE(states); i++)
		if (states[i] == wire)
			return (enum vcpu_run_state)i;
	return VCPU_RUNNING;
}

static int save_msrs(const struct vcpu *v, struct wire_vcpu *to)
{
	struct kvm_msr_entry entry[WIRE_VCPU_MSRS];
	int count = vcpu_msrs_changed(v->fd, v->msrs, entry, WIRE_VCPU_MSRS);

	for (int i = 0; i < count; i++)
		to->msr[i] = (struct wire_msr){.index = entry[i].index, .value = entry[i].data};
	to->nmsrs = (uint32_t)MAX(count, 0);
	return MIN(count, 0);
}

static int load_msrs(const struct vcpu *v, const struct wire_vcpu *from)
{
	struct kvm_msr_entry entry[WIRE_VCPU_MSRS];
	int r = vcpu_msrs_reset(v->fd, v->msrs);

	for (unsigned i = 0; i < from->nmsrs; i++)
		entry[i] = (struct kvm_msr_entry){.index = from->msr[i].index,
						  .data = from->msr[i].value};
	return r < 0 ? r : vcpu_msrs_set(v->fd, entry, from->nmsrs);
}

int vcpu_save(struct vcpu *v, struct wire_vcpu *ret)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_xcrs xcrs;
	int r = v->state == VCPU_AWAY ? -EINVAL : vcpu_collect(v);

	if (r < 0)
		return r;
	*ret = (struct wire_vcpu){.index = v->index, .state = states[v->state]};
	memcpy(ret->pvclock, v->pvclock, sizeof(ret->pvclock));
	if (ioctl(v->fd, KVM_GET_REGS, &regs) < 0 || ioctl(v->fd, KVM_GET_SREGS, &sregs) < 0 ||
	    ioctl(v->fd, KVM_GET_DEBUGREGS, &debugregs) < 0 ||
	    ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) < 0 ||
	    ioctl(v->fd, KVM_GET_XCRS, &xcrs) < 0 || ioctl(v->fd, KVM_GET_XSAVE, ret->xsave) < 0)
		return -errno;
	save_regs(&regs, ret);
	save_sregs(&sregs, ret);
	save_debugregs(&debugregs, ret);
	save_events(&events, v->nmi, &ret->delivery);
	save_lapic(&v->lapic, &ret->lapic);
	ret->xcr0 = xcrs.nr_xcrs ? xcrs.xcrs[0].value : 0;
	return save_msrs(v, ret);
}

/* The order matters: the mode before registers, what is pending after both. */
static int load_kvm(struct vcpu *v, const struct wire_vcpu *image)
{
	const struct kvm_sregs sregs = sregs_of(image);
	const struct kvm_regs regs = regs_of(image);
	const struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = image->xcr0}}};
	const struct kvm_vcpu_events events = events_of(&image->delivery, &v->reset_events);
	const struct kvm_debugregs debugregs = debugregs_of(image);

	if (ioctl(v->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(v->fd, KVM_SET_REGS, &regs) < 0 ||
	    (image->xcr0 && ioctl(v->fd, KVM_SET_XCRS, &xcrs) < 0) ||
	    ioctl(v->fd, KVM_SET_XSAVE, image->xsave) < 0)
		return -errno;
	int r = load_msrs(v, image);
	if (r < 0)
		return r;
	if (ioctl(v->fd, KVM_SET_VCPU_EVENTS, &events) < 0 ||
	    ioctl(v->fd, KVM_SET_DEBUGREGS, &debugregs) < 0)
		return -errno;
	return 0;
}

int vcpu_load(struct vcpu *v, const struct wire_vcpu *image)
{
	const struct lapic lapic = lapic_of(&image->lapic);

	if (wire_vcpu_check(image) < 0 || image->index != v->index)
		return -EINVAL;
	int r = lapic_load(&v->lapic, &lapic);
	if (r == 0)
		r = load_kvm(v, image);
	if (r < 0)
		return r;
	v->nmi = image->delivery.nmi_posted;
	memcpy(v->pvclock, image->pvclock, sizeof(v->pvclock));
	/* As KVM_RUN will leave it. What is pending waits for a window. */
	v->run->if_flag = image->rflags & RFLAGS_IF ? 1 : 0;
	v->run->ready_for_interrupt_injection = 0;
	v->state = state_of(image->state);
	return 0;
}
