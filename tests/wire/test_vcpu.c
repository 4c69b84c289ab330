/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a vCPU as a peer may send it: what is taken and what is refused. */
#include "tests/check.h"

#include "wire/vcpu.h"

static struct wire_vcpu *good(void)
{
	static struct wire_vcpu v;

	v = (struct wire_vcpu){.state = WIRE_VCPU_RUNNING, .nmsrs = 2, .xcr0 = 7};
	v.lapic.dfr = UINT32_MAX;
	v.msr[0].index = 0xc0000082;
	v.msr[1].value = 5;
	return &v;
}

#define WRONG(field, value)                                                                        \
	do {                                                                                       \
		struct wire_vcpu *v = good();                                                      \
		v->field = value;                                                                  \
		assert_int_equal(wire_vcpu_check(v), -EBADMSG);                                    \
	} while (0)
#define RIGHT(field, value)                                                                        \
	do {                                                                                       \
		struct wire_vcpu *v = good();                                                      \
		v->field = value;                                                                  \
		assert_int_equal(wire_vcpu_check(v), 0);                                           \
	} while (0)

static void registers_hold_any_value(void **state)
{
	struct wire_vcpu *v = good();

	assert_int_equal(wire_vcpu_check(v), 0);
	memset(v->gpr, 0xff, sizeof(v->gpr));
	memset(v->dr, 0xff, sizeof(v->dr));
	memset(v->xsave, 0xff, sizeof(v->xsave));
	memset(v->lapic.irr, 0xff, sizeof(v->lapic.irr));
	v->rip = v->cr2 = v->cr3 = v->cr4 = v->efer = UINT64_MAX;
	v->pvclock[0] = v->pvclock[1] = UINT64_MAX;
	v->gdt.base = v->cs.base = UINT64_MAX;
	assert_int_equal(wire_vcpu_check(v), 0);
}

static void a_wrong_head_is_refused(void **state)
{
	RIGHT(state, WIRE_VCPU_WAIT_SIPI);
	WRONG(state, 0);
	WRONG(state, WIRE_VCPU_WAIT_SIPI + 1);
	WRONG(reserved, 1);
	WRONG(nmsrs, WIRE_VCPU_MSRS + 1);
	WRONG(nmsrs, UINT32_MAX);
}

static void wrong_registers_are_refused(void **state)
{
	const uint64_t high = UINT64_C(1) << 32;

	WRONG(rflags, high);
	WRONG(cr0, high);
	WRONG(dr6, high);
	WRONG(dr7, high);
	WRONG(xcr0, 2);
	RIGHT(xcr0, 0);
	WRONG(gdt.reserved[0], 1);
	WRONG(idt.reserved[2], 1);
}

static void wrong_msrs_are_refused(void **state)
{
	RIGHT(nmsrs, WIRE_VCPU_MSRS);
	WRONG(nmsrs, 1); /* the second is still there */
	WRONG(msr[1].reserved, 1);
	WRONG(msr[2].index, 1);
	WRONG(msr[WIRE_VCPU_MSRS - 1].value, 1);
}

/* Each field of each segment. */
static void a_wrong_segment_is_refused(void **state)
{
	static const struct {
		size_t offset;
		uint8_t value;
	} wrong[] = {
		{offsetof(struct wire_segment, type), 16},
		{offsetof(struct wire_segment, dpl), 4},
		{offsetof(struct wire_segment, present), 2},
		{offsetof(struct wire_segment, db), 2},
		{offsetof(struct wire_segment, s), 2},
		{offsetof(struct wire_segment, l), 2},
		{offsetof(struct wire_segment, g), 2},
		{offsetof(struct wire_segment, avl), 2},
		{offsetof(struct wire_segment, unusable), 2},
		{offsetof(struct wire_segment, reserved), 1},
	};

	for (unsigned which = 0; which < 8; which++)
		for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
			struct wire_vcpu *v = good();
			((uint8_t *)(&v->cs + which))[wrong[i].offset] = wrong[i].value;
			assert_int_equal(wire_vcpu_check(v), -EBADMSG);
		}
}

static void a_wrong_delivery_is_refused(void **state)
{
	WRONG(delivery.exception_nr, 32);
	WRONG(delivery.exception_injected, 2);
	WRONG(delivery.exception_pending, 2);
	WRONG(delivery.exception_has_code, 2);
	WRONG(delivery.exception_has_payload, 2);
	WRONG(delivery.interrupt_injected, 2);
	WRONG(delivery.interrupt_soft, 2);
	WRONG(delivery.shadow, 4);
	WRONG(delivery.nmi_injected, 2);
	WRONG(delivery.nmi_pending, 2);
	WRONG(delivery.nmi_masked, 2);
	WRONG(delivery.nmi_posted, 2);
	WRONG(delivery.reserved[6], 1);
	RIGHT(delivery.interrupt_nr, 255);
	RIGHT(delivery.shadow, 3);
}

static void a_wrong_apic_is_refused(void **state)
{
	WRONG(lapic.tpr, 0x100);
	WRONG(lapic.ldr, 1);
	WRONG(lapic.dfr, 0);
	WRONG(lapic.svr, 0x400);
	WRONG(lapic.esr, 0x100);
	WRONG(lapic.esr_pending, 0x100);
	WRONG(lapic.timer_divide, 4);
	WRONG(lapic.timer_counting, 2);
	for (unsigned i = 0; i < 6; i++) {
		RIGHT(lapic.lvt[i], 0x10000);
		WRONG(lapic.lvt[i], 0x80000);
	}
	RIGHT(lapic.dfr, 0x0fffffff);
	RIGHT(lapic.ldr, 0xff000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_hold_any_value),
		cmocka_unit_test(a_wrong_head_is_refused),
		cmocka_unit_test(wrong_registers_are_refused),
		cmocka_unit_test(wrong_msrs_are_refused),
		cmocka_unit_test(a_wrong_segment_is_refused),
		cmocka_unit_test(a_wrong_delivery_is_refused),
		cmocka_unit_test(a_wrong_apic_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
