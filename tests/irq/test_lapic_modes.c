/* SPDX-License-Identifier: Apache-2.0 */
/* Reset, APIC_BASE, and who may touch which register: SDM vol 3, 10.4 and 10.12. */
#include "tests/irq/lapic_fixture.h"

#define X2APIC_BASE (LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC)
#define XAPIC_BASE  (LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE)

static void power_up_state(void **state)
{
	struct lapic l;

	assert_int_equal(lapic_reset(&l, 3, true, PHYS_BITS), 0);
	assert_int_equal(l.apic_base, XAPIC_BASE | LAPIC_BASE_BSP);
	assert_int_equal(lapic_mmio_read(&l, 0x20, 4, time_zero), 3u << 24);
	assert_int_equal(lapic_mmio_read(&l, 0x30, 4, time_zero), 0x50014);
	assert_int_equal(lapic_mmio_read(&l, 0xd0, 4, time_zero), 0);
	assert_int_equal(lapic_mmio_read(&l, 0xe0, 4, time_zero), 0xffffffff);
	assert_int_equal(lapic_mmio_read(&l, 0xf0, 4, time_zero), 0xff);
	for (unsigned reg = 0x320; reg <= 0x370; reg += 0x10)
		assert_int_equal(lapic_mmio_read(&l, reg, 4, time_zero), LVT_MASK);
	assert_int_equal(lapic_pending(&l), -1);
	assert_int_equal(lapic_reset(&l, UINT32_MAX, true, PHYS_BITS), -EINVAL);
	assert_int_equal(lapic_reset(&l, 3, true, 31), -EINVAL);
	assert_int_equal(lapic_reset(&l, 3, true, 53), -EINVAL);
}

static void init_keeps_id_and_mode(void **state)
{
	struct lapic l = x2apic();

	lapic_accept(&l, 0x41, false);
	wrmsr(&l, MSR_LVT_TIMER, 0x30);
	lapic_init_signal(&l);
	assert_int_equal(l.apic_base, X2APIC_BASE);
	assert_int_equal(rdmsr(&l, MSR_ID), APIC_ID);
	assert_int_equal(rdmsr(&l, MSR_SVR), 0xff);
	assert_int_equal(rdmsr(&l, MSR_LVT_TIMER), LVT_MASK);
	assert_int_equal(lapic_pending(&l), -1);
}

static void apic_base_transitions(void **state)
{
	static const struct {
		uint64_t from, to;
		int expected;
	} cases[] = {
		{LAPIC_BASE_DEFAULT, LAPIC_BASE_DEFAULT, 0},
		{LAPIC_BASE_DEFAULT, XAPIC_BASE, 0},
		{LAPIC_BASE_DEFAULT, X2APIC_BASE, -EINVAL},
		{XAPIC_BASE, LAPIC_BASE_DEFAULT, 0},
		{XAPIC_BASE, XAPIC_BASE, 0},
		{XAPIC_BASE, X2APIC_BASE, 0},
		{X2APIC_BASE, LAPIC_BASE_DEFAULT, 0},
		{X2APIC_BASE, XAPIC_BASE, -EINVAL},
		{X2APIC_BASE, X2APIC_BASE, 0},
		{LAPIC_BASE_DEFAULT, LAPIC_BASE_DEFAULT | LAPIC_BASE_X2APIC, -EINVAL},
		{XAPIC_BASE, LAPIC_BASE_DEFAULT | LAPIC_BASE_X2APIC, -EINVAL},
		{X2APIC_BASE, LAPIC_BASE_DEFAULT | LAPIC_BASE_X2APIC, -EINVAL},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lapic l = x2apic();

		l.apic_base = cases[i].from;
		assert_int_equal(lapic_apic_base_write(&l, cases[i].to), cases[i].expected);
		assert_int_equal(l.apic_base, cases[i].expected ? cases[i].from : cases[i].to);
	}
}

static void apic_base_reserved_bits_fault(void **state)
{
	struct lapic l = xapic();

	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t flag = UINT64_C(1) << bit;
		bool reserved = bit < 8 || bit == 9 || bit >= PHYS_BITS;

		assert_int_equal(lapic_apic_base_write(&l, XAPIC_BASE | flag) == -EINVAL, reserved);
		assert_int_equal(lapic_apic_base_write(&l, LAPIC_BASE_DEFAULT), 0);
		assert_int_equal(lapic_apic_base_write(&l, XAPIC_BASE), 0);
	}
}

static void disabling_resets_and_x2apic_entry_keeps(void **state)
{
	struct lapic l = xapic();
	struct lapic_effects fx;

	lapic_mmio_write(&l, 0x80, 4, 0x20, time_zero, &fx);
	lapic_accept(&l, 0x41, false);
	assert_int_equal(lapic_apic_base_write(&l, X2APIC_BASE), 0);
	assert_int_equal(rdmsr(&l, MSR_TPR), 0x20);
	assert_int_equal(lapic_pending(&l), 0x41);
	assert_int_equal(lapic_apic_base_write(&l, LAPIC_BASE_DEFAULT), 0);
	assert_int_equal(lapic_apic_base_write(&l, XAPIC_BASE), 0);
	assert_int_equal(lapic_mmio_read(&l, 0x80, 4, time_zero), 0);
	assert_int_equal(lapic_mmio_read(&l, 0x20, 4, time_zero), 5u << 24);
	assert_int_equal(lapic_pending(&l), -1);
}

static void apic_page_is_claimed_in_xapic_mode_only(void **state)
{
	struct lapic l = xapic();

	assert_true(lapic_claims(&l, 0xfee00000));
	assert_true(lapic_claims(&l, 0xfee00fff));
	assert_false(lapic_claims(&l, 0xfee01000));
	assert_false(lapic_claims(&l, 0xfedfffff));
	assert_int_equal(lapic_apic_base_write(&l, 0xd0000000 | LAPIC_BASE_ENABLE), 0);
	assert_true(lapic_claims(&l, 0xd0000030));
	l = x2apic();
	assert_false(lapic_claims(&l, 0xfee00000));
	l.apic_base = LAPIC_BASE_DEFAULT;
	assert_false(lapic_claims(&l, 0xfee00000));
}

static void msrs_fault_outside_of_x2apic_mode(void **state)
{
	struct lapic l = xapic();

	for (unsigned msr = MSR_X2APIC_FIRST; msr <= MSR_X2APIC_LAST; msr++) {
		assert_rdmsr_faults(&l, msr);
		assert_wrmsr_faults(&l, msr, 0);
	}
}

/* Every MSR of the range against table 10-6, and its neighbours. */
static void x2apic_msr_access_rights(void **state)
{
	static const char *const rights = "..rr....w.rx.r.w"  /* 800: w readable+writable, x only */
					  "rrrrrrrrrrrrrrrr"  /* 810 */
					  "rrrrrrrrw......."  /* 820 */
					  "w.wwwwwwwr....wx"; /* 830 */

	for (unsigned i = 0; i < 0x40; i++) {
		struct lapic l = x2apic();
		struct lapic_effects fx;
		uint64_t value = i == 0x3f ? 0x40 : 0;
		bool readable = rights[i] == 'r' || rights[i] == 'w';
		bool writable = rights[i] == 'w' || rights[i] == 'x';
		uint32_t msr = MSR_X2APIC_FIRST + i;
		uint64_t got;

		assert_int_equal(lapic_msr_read(&l, msr, time_zero, &got) == 0, readable);
		assert_int_equal(lapic_msr_write(&l, msr, value, time_zero, &fx) == 0, writable);
	}
	struct lapic l = x2apic();
	assert_rdmsr_faults(&l, 0x7ff);
	assert_rdmsr_faults(&l, 0x840);
	assert_wrmsr_faults(&l, 0x840, 0);
	assert_wrmsr_faults(&l, 0x7ff, 0);
}

static void x2apic_reserved_bits_fault(void **state)
{
	struct lapic l = x2apic();

	assert_wrmsr_faults(&l, MSR_TPR, 0x100);
	assert_wrmsr_faults(&l, MSR_EOI, 1);
	assert_wrmsr_faults(&l, MSR_SVR, 0x11ff); /* EOI-broadcast suppression: not offered */
	assert_wrmsr_faults(&l, MSR_SVR, 0x5ff);
	assert_wrmsr_faults(&l, MSR_ESR, 1);
	assert_wrmsr_faults(&l, MSR_ICR, 1 << 13 | 0x41);
	assert_wrmsr_faults(&l, MSR_ICR, 1 << 16 | 0x41);
	assert_wrmsr_faults(&l, MSR_ICR, 1 << 20 | 0x41);
	assert_wrmsr_faults(&l, MSR_LVT_TIMER, 1 << 8 | 0x41);
	assert_wrmsr_faults(&l, MSR_LVT_TIMER, 1 << 19 | 0x41);
	assert_wrmsr_faults(&l, MSR_LVT_ERROR, 1 << 17);
	assert_wrmsr_faults(&l, MSR_TIMER_DIVIDE, 4);
	assert_wrmsr_faults(&l, MSR_SELF_IPI, 0x140);
	for (unsigned msr = MSR_X2APIC_FIRST; msr <= MSR_X2APIC_LAST; msr++)
		if (msr != MSR_ICR)
			assert_wrmsr_faults(&l, msr, UINT64_C(1) << 32);
	/* Read-only bits are not reserved bits. */
	wrmsr(&l, MSR_LVT_TIMER, 1 << 12 | 0x41);
	assert_int_equal(rdmsr(&l, MSR_LVT_TIMER), 0x41);
}

static void x2apic_ldr_is_derived(void **state)
{
	struct lapic l = x2apic();

	assert_int_equal(rdmsr(&l, MSR_LDR), 0x12 << 16 | 1 << 3);
}

static void xapic_ldr_and_dfr_have_few_bits(void **state)
{
	struct lapic l = xapic();
	struct lapic_effects fx;

	lapic_mmio_write(&l, 0xd0, 4, 0x20ffffff, time_zero, &fx);
	assert_int_equal(lapic_mmio_read(&l, 0xd0, 4, time_zero), 0x20000000);
	lapic_mmio_write(&l, 0xe0, 4, 0, time_zero, &fx);
	assert_int_equal(lapic_mmio_read(&l, 0xe0, 4, time_zero), 0x0fffffff);
}

static void mmio_reserved_register_is_an_error(void **state)
{
	struct lapic l = xapic();
	struct lapic_effects fx;

	assert_int_equal(lapic_mmio_read(&l, 0x3f0, 4, time_zero), 0); /* SELF IPI: x2APIC only */
	lapic_mmio_write(&l, 0x280, 4, 0, time_zero, &fx);
	assert_int_equal(lapic_mmio_read(&l, 0x280, 4, time_zero), 1 << 7);
	lapic_mmio_write(&l, 0x280, 4, 0, time_zero, &fx);
	lapic_mmio_write(&l, 0x40, 4, 0, time_zero, &fx);
	lapic_mmio_write(&l, 0x280, 4, 0, time_zero, &fx);
	assert_int_equal(lapic_mmio_read(&l, 0x280, 4, time_zero), 1 << 7);
}

static void mmio_odd_accesses(void **state)
{
	struct lapic l = xapic();
	struct lapic_effects fx;

	lapic_mmio_write(&l, 0x80, 1, 0x40, time_zero, &fx);
	lapic_mmio_write(&l, 0x84, 4, 0x40, time_zero, &fx);
	assert_int_equal(lapic_mmio_read(&l, 0x80, 4, time_zero), 0);
	lapic_mmio_write(&l, 0x20, 4, 0x09000000, time_zero, &fx); /* the id is not writable */
	assert_int_equal(lapic_mmio_read(&l, 0x23, 1, time_zero), 5);
	assert_int_equal(lapic_mmio_read(&l, 0x22, 2, time_zero), 0x500);
	assert_int_equal(lapic_mmio_read(&l, 0x23, 2, time_zero), 0);
	assert_int_equal(lapic_mmio_read(&l, 0x24, 4, time_zero), 0);
	assert_int_equal(lapic_mmio_read(&l, 0x20, 8, time_zero), 0);
	assert_int_equal(lapic_mmio_read(&l, 0xb0, 4, time_zero), 0); /* EOI is write-only */
	assert_int_equal(lapic_mmio_read(&l, 0x90, 4, time_zero), 0); /* APR: obsolete, no error */
	lapic_mmio_write(&l, 0x280, 4, 0, time_zero, &fx);
	assert_int_equal(lapic_mmio_read(&l, 0x280, 4, time_zero), 0);
}

static void software_disable_masks_the_lvt(void **state)
{
	struct lapic l = x2apic();

	wrmsr(&l, MSR_LVT_TIMER, 0x41);
	wrmsr(&l, MSR_SVR, 0xff);
	assert_int_equal(rdmsr(&l, MSR_LVT_TIMER), LVT_MASK | 0x41);
	wrmsr(&l, MSR_LVT_TIMER, 0x42);
	assert_int_equal(rdmsr(&l, MSR_LVT_TIMER), LVT_MASK | 0x42);
	wrmsr(&l, MSR_SVR, SOFTWARE_ENABLED);
	wrmsr(&l, MSR_LVT_TIMER, 0x42);
	assert_int_equal(rdmsr(&l, MSR_LVT_TIMER), 0x42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_up_state),
		cmocka_unit_test(init_keeps_id_and_mode),
		cmocka_unit_test(apic_base_transitions),
		cmocka_unit_test(apic_base_reserved_bits_fault),
		cmocka_unit_test(disabling_resets_and_x2apic_entry_keeps),
		cmocka_unit_test(apic_page_is_claimed_in_xapic_mode_only),
		cmocka_unit_test(msrs_fault_outside_of_x2apic_mode),
		cmocka_unit_test(x2apic_msr_access_rights),
		cmocka_unit_test(x2apic_reserved_bits_fault),
		cmocka_unit_test(x2apic_ldr_is_derived),
		cmocka_unit_test(xapic_ldr_and_dfr_have_few_bits),
		cmocka_unit_test(mmio_reserved_register_is_an_error),
		cmocka_unit_test(mmio_odd_accesses),
		cmocka_unit_test(software_disable_masks_the_lvt),
	};

	return cmocka_run_group_tests_name("lapic modes", tests, NULL, NULL);
}
