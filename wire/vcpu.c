/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/vcpu.h"

#define LOW_32 UINT64_C(0xffffffff)

static bool is_flag(uint8_t value)
{
	return value <= 1;
}

static bool is_zero(const void *data, size_t len)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i < len; i++)
		if (byte[i])
			return false;
	return true;
}

static bool is_segment(const struct wire_segment *s)
{
	return s->type <= 15 && s->dpl <= 3 && is_flag(s->present) && is_flag(s->db) &&
	       is_flag(s->s) && is_flag(s->l) && is_flag(s->g) && is_flag(s->avl) &&
	       is_flag(s->unusable) && !s->reserved;
}

static bool is_table(const struct wire_table *t)
{
	return is_zero(t->reserved, sizeof(t->reserved));
}

static bool is_delivery(const struct wire_delivery *d)
{
	return d->exception_nr < 32 && is_flag(d->exception_injected) &&
	       is_flag(d->exception_pending) && is_flag(d->exception_has_code) &&
	       is_flag(d->exception_has_payload) && is_flag(d->interrupt_injected) &&
	       is_flag(d->interrupt_soft) && d->shadow <= 3 && is_flag(d->nmi_injected) &&
	       is_flag(d->nmi_pending) && is_flag(d->nmi_masked) && is_flag(d->nmi_posted) &&
	       is_zero(d->reserved, sizeof(d->reserved));
}

/* Registers: what no instruction of the guest can bring in (SDM vol. 3, chapter 10). */
static bool is_lapic(const struct wire_lapic *l)
{
	static const uint32_t lvt[6] = {0x710ff, 0x117ff, 0x117ff, 0x1f7ff, 0x1f7ff, 0x110ff};

	for (unsigned i = 0; i < ARRAY_SIZE(lvt); i++)
		if (l->lvt[i] & ~lvt[i])
			return false;
	return l->tpr <= 0xff && !(l->ldr & 0xffffff) && (l->dfr & 0xfffffff) == 0xfffffff &&
	       !(l->svr & ~0x3ffu) && !((l->esr | l->esr_pending) & ~0xffu) &&
	       !(l->timer_divide & ~0xbu) && l->timer_counting <= 1;
}

static bool are_msrs(const struct wire_vcpu *v)
{
	if (v->nmsrs > WIRE_VCPU_MSRS)
		return false;
	for (unsigned i = 0; i < v->nmsrs; i++)
		if (v->msr[i].reserved)
			return false;
	return is_zero(&v->msr[v->nmsrs], (WIRE_VCPU_MSRS - v->nmsrs) * sizeof(v->msr[0]));
}

int wire_vcpu_check(const struct wire_vcpu *v)
{
	const struct wire_segment *const segments[] = {&v->cs, &v->ds, &v->es, &v->fs,
						       &v->gs, &v->ss, &v->tr, &v->ldt};

	if (v->state < WIRE_VCPU_RUNNING || v->state > WIRE_VCPU_WAIT_SIPI || v->reserved)
		return -EBADMSG;
	if (v->rflags > LOW_32 || v->cr0 > LOW_32 || v->dr6 > LOW_32 || v->dr7 > LOW_32)
		return -EBADMSG;
	if (v->xcr0 && !(v->xcr0 & 1)) /* the x87 is always on */
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(segments); i++)
		if (!is_segment(segments[i]))
			return -EBADMSG;
	if (!is_table(&v->gdt) || !is_table(&v->idt) || !is_delivery(&v->delivery) ||
	    !is_lapic(&v->lapic) || !are_msrs(v))
		return -EBADMSG;
	return 0;
}
