/* SPDX-License-Identifier: Apache-2.0 */
/* Acceptance, priorities, EOI, errors and IPIs: SDM vol 3, 10.5.3, 10.6 and 10.8. */
#include "tests/irq/lapic_fixture.h"

static void highest_vector_goes_first(void **state)
{
	struct lapic l = x2apic();

	assert_int_equal(lapic_pending(&l), -1);
	assert_int_equal(lapic_ack(&l), -1);
	assert_true(lapic_accept(&l, 0x31, false));
	assert_true(lapic_accept(&l, 0xef, false));
	assert_true(lapic_accept(&l, 0x40, false));
	assert_int_equal(lapic_pending(&l), 0xef);
	assert_int_equal(lapic_ack(&l), 0xef);
	assert_int_equal(rdmsr(&l, MSR_ISR + 7), 1u << 15);
	assert_int_equal(rdmsr(&l, MSR_IRR + 7), 0);
	assert_int_equal(rdmsr(&l, MSR_IRR + 1), 1u << 17);
	assert_int_equal(rdmsr(&l, MSR_IRR + 2), 1);
}

static void same_class_waits_for_eoi(void **state)
{
	struct lapic l = x2apic();

	lapic_accept(&l, 0x51, false);
	assert_int_equal(lapic_ack(&l), 0x51);
	lapic_accept(&l, 0x5f, false);
	assert_int_equal(lapic_pending(&l), -1);
	lapic_accept(&l, 0x60, false);
	assert_int_equal(lapic_ack(&l), 0x60);
	assert_int_equal(rdmsr(&l, MSR_PPR), 0x60);
	wrmsr(&l, MSR_EOI, 0);
	assert_int_equal(rdmsr(&l, MSR_PPR), 0x50);
	assert_int_equal(lapic_pending(&l), -1);
	wrmsr(&l, MSR_EOI, 0);
	assert_int_equal(lapic_pending(&l), 0x5f);
}

static void second_edge_in_service_is_kept(void **state)
{
	struct lapic l = x2apic();

	lapic_accept(&l, 0x51, false);
	lapic_ack(&l);
	lapic_accept(&l, 0x51, false);
	assert_int_equal(lapic_pending(&l), -1);
	wrmsr(&l, MSR_EOI, 0);
	assert_int_equal(lapic_ack(&l), 0x51);
}

static void task_priority_holds_back_its_class(void **state)
{
	struct lapic l = x2apic();

	lapic_accept(&l, 0x4f, false);
	wrmsr(&l, MSR_TPR, 0x40);
	assert_int_equal(lapic_pending(&l), -1);
	wrmsr(&l, MSR_TPR, 0x3f);
	assert_int_equal(lapic_pending(&l), 0x4f);
}

static void ppr_takes_the_higher_class(void **state)
{
	struct lapic l = x2apic();

	lapic_accept(&l, 0x57, false);
	lapic_ack(&l);
	wrmsr(&l, MSR_TPR, 0x4a);
	assert_int_equal(rdmsr(&l, MSR_PPR), 0x50);
	wrmsr(&l, MSR_TPR, 0x5a);
	assert_int_equal(rdmsr(&l, MSR_PPR), 0x5a);
	wrmsr(&l, MSR_TPR, 0x6a);
	assert_int_equal(rdmsr(&l, MSR_PPR), 0x6a);
}

static void cr8_is_the_class_of_the_tpr(void **state)
{
	struct lapic l = x2apic();

	wrmsr(&l, MSR_TPR, 0x4a);
	assert_int_equal(lapic_cr8_read(&l), 4);
	lapic_cr8_write(&l, 0xd);
	assert_int_equal(rdmsr(&l, MSR_TPR), 0xd0);
}

static void eoi_broadcasts_level_vectors_only(void **state)
{
	struct lapic l = x2apic();
	struct lapic_effects fx;

	lapic_accept(&l, 0x41, true);
	lapic_accept(&l, 0x71, false);
	assert_int_equal(rdmsr(&l, MSR_TMR + 2), 2);
	lapic_ack(&l);
	fx = wrmsr(&l, MSR_EOI, 0);
	assert_false(fx.eoi);
	assert_int_equal(lapic_ack(&l), 0x41);
	fx = wrmsr(&l, MSR_EOI, 0);
	assert_true(fx.eoi);
	assert_int_equal(fx.eoi_vector, 0x41);
	fx = wrmsr(&l, MSR_EOI, 0);
	assert_false(fx.eoi);
}

static void tmr_follows_the_last_trigger(void **state)
{
	struct lapic l = x2apic();
	struct lapic_effects fx;

	lapic_accept(&l, 0x41, true);
	lapic_accept(&l, 0x41, false);
	lapic_ack(&l);
	lapic_eoi(&l, &fx);
	assert_false(fx.eoi);
}

static void disabled_apic_accepts_nothing(void **state)
{
	struct lapic l = x2apic();

	lapic_accept(&l, 0x41, false);
	wrmsr(&l, MSR_SVR, 0xff);
	assert_false(lapic_accept(&l, 0x51, false));
	/* 10.4.7.2: what is in the IRR already still wants to be handled. */
	assert_int_equal(lapic_pending(&l), 0x41);
	assert_int_equal(lapic_apic_base_write(&l, LAPIC_BASE_DEFAULT), 0);
	assert_int_equal(lapic_pending(&l), -1);
	assert_false(lapic_accept(&l, 0x51, false));
}

static void illegal_vector_is_an_error(void **state)
{
	struct lapic l = x2apic();

	assert_false(lapic_accept(&l, 15, false));
	assert_true(lapic_accept(&l, 16, false));
	assert_int_equal(rdmsr(&l, MSR_ESR), 0);
	wrmsr(&l, MSR_ESR, 0);
	assert_int_equal(rdmsr(&l, MSR_ESR), 1 << 6);
	wrmsr(&l, MSR_ESR, 0);
	assert_int_equal(rdmsr(&l, MSR_ESR), 0);
}

static void error_interrupt_comes_once_until_esr_is_written(void **state)
{
	struct lapic l = x2apic();

	wrmsr(&l, MSR_LVT_ERROR, 0xfe);
	wrmsr(&l, MSR_SELF_IPI, 3);
	assert_int_equal(lapic_ack(&l), 0xfe);
	wrmsr(&l, MSR_EOI, 0);
	wrmsr(&l, MSR_SELF_IPI, 3);
	assert_int_equal(lapic_pending(&l), -1);
	wrmsr(&l, MSR_ESR, 0);
	assert_int_equal(rdmsr(&l, MSR_ESR), 1 << 5);
	wrmsr(&l, MSR_SELF_IPI, 3);
	assert_int_equal(lapic_pending(&l), 0xfe);
}

static void error_lvt_with_an_illegal_vector_ends(void **state)
{
	struct lapic l = x2apic();

	wrmsr(&l, MSR_LVT_ERROR, 2);
	wrmsr(&l, MSR_SELF_IPI, 3);
	wrmsr(&l, MSR_ESR, 0);
	assert_int_equal(rdmsr(&l, MSR_ESR), 1 << 5 | 1 << 6);
	assert_int_equal(lapic_pending(&l), -1);
}

static void self_ipi_is_pending_at_once(void **state)
{
	struct lapic l = x2apic();
	struct lapic_effects fx;

	fx = wrmsr(&l, MSR_SELF_IPI, 0x61);
	assert_false(fx.send);
	assert_int_equal(lapic_ack(&l), 0x61);
	wrmsr(&l, MSR_EOI, 0);
	fx = wrmsr(&l, MSR_ICR, 1 << 18 | 0x62); /* shorthand: self */
	assert_false(fx.send);
	assert_int_equal(lapic_ack(&l), 0x62);
	fx = wrmsr(&l, MSR_EOI, 0);
	assert_false(fx.eoi);
}

static void icr_becomes_a_message(void **state)
{
	struct lapic l = x2apic();
	struct lapic_effects fx;

	fx = wrmsr(&l, MSR_ICR, UINT64_C(0x0003000100000000) | 1 << 11 | 1 << 14 | 0xf3);
	assert_true(fx.send);
	assert_int_equal(fx.message.dest, 0x00030001);
	assert_int_equal(fx.message.vector, 0xf3);
	assert_int_equal(fx.message.mode, IRQ_FIXED);
	assert_int_equal(fx.message.shorthand, IRQ_TO_DEST);
	assert_true(fx.message.logical);
	assert_false(fx.message.level);
	fx = wrmsr(&l, MSR_ICR, UINT64_C(7) << 32 | 6 << 8 | 0x9a);
	assert_true(fx.send);
	assert_int_equal(fx.message.mode, IRQ_SIPI);
	assert_int_equal(fx.message.vector, 0x9a);
	assert_false(fx.message.logical);
	fx = wrmsr(&l, MSR_ICR, 3 << 18 | 4 << 8 | 2); /* NMI: its vector does not count */
	assert_true(fx.send);
	assert_int_equal(fx.message.mode, IRQ_NMI);
	assert_int_equal(fx.message.shorthand, IRQ_TO_OTHERS);
	assert_int_equal(rdmsr(&l, MSR_ICR), 3 << 18 | 4 << 8 | 2);
}

static void icr_delivery_status_is_never_seen(void **state)
{
	struct lapic l = x2apic();

	wrmsr(&l, MSR_ICR, UINT64_C(7) << 32 | 1 << 12 | 0x41);
	assert_int_equal(rdmsr(&l, MSR_ICR), UINT64_C(7) << 32 | 0x41);
}

static void init_deassert_sends_nothing(void **state)
{
	struct lapic l = x2apic();

	assert_false(wrmsr(&l, MSR_ICR, UINT64_C(1) << 32 | 1 << 15 | 5 << 8).send);
	assert_true(wrmsr(&l, MSR_ICR, UINT64_C(1) << 32 | 1 << 15 | 1 << 14 | 5 << 8).send);
	assert_true(wrmsr(&l, MSR_ICR, UINT64_C(1) << 32 | 5 << 8).send);
}

static void invalid_ipis_are_not_sent(void **state)
{
	struct lapic l = x2apic();

	assert_false(wrmsr(&l, MSR_ICR, 3 << 8 | 0x41).send);	       /* reserved mode */
	assert_false(wrmsr(&l, MSR_ICR, 7 << 8 | 0x41).send);	       /* ExtINT */
	assert_false(wrmsr(&l, MSR_ICR, 1 << 18 | 4 << 8).send);       /* NMI to self */
	assert_false(wrmsr(&l, MSR_ICR, 2 << 18 | 5 << 8).send);       /* INIT to all */
	assert_true(wrmsr(&l, MSR_ICR, 2 << 18 | 0x41).send);	       /* fixed to all */
	assert_false(wrmsr(&l, MSR_ICR, UINT64_C(1) << 32 | 15).send); /* vector below 16 */
	wrmsr(&l, MSR_ESR, 0);
	assert_int_equal(rdmsr(&l, MSR_ESR), 1 << 5);
}

static void xapic_icr_high_holds_the_destination(void **state)
{
	struct lapic l = xapic();
	struct lapic_effects fx;

	lapic_mmio_write(&l, 0x310, 4, 0x07000000, time_zero, &fx);
	assert_false(fx.send);
	lapic_mmio_write(&l, 0x300, 4, 0x4041, time_zero, &fx);
	assert_true(fx.send);
	assert_int_equal(fx.message.dest, 7);
	assert_int_equal(fx.message.vector, 0x41);
	assert_int_equal(lapic_mmio_read(&l, 0x310, 4, time_zero), 0x07000000);
	assert_int_equal(lapic_mmio_read(&l, 0x300, 4, time_zero), 0x4041);
	lapic_mmio_write(&l, 0x310, 4, 0xff123456, time_zero, &fx);
	lapic_mmio_write(&l, 0x300, 4, 0x4041, time_zero, &fx);
	assert_int_equal(fx.message.dest, IRQ_BROADCAST);
	assert_int_equal(lapic_mmio_read(&l, 0x310, 4, time_zero), 0xff000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(highest_vector_goes_first),
		cmocka_unit_test(same_class_waits_for_eoi),
		cmocka_unit_test(second_edge_in_service_is_kept),
		cmocka_unit_test(task_priority_holds_back_its_class),
		cmocka_unit_test(ppr_takes_the_higher_class),
		cmocka_unit_test(cr8_is_the_class_of_the_tpr),
		cmocka_unit_test(eoi_broadcasts_level_vectors_only),
		cmocka_unit_test(tmr_follows_the_last_trigger),
		cmocka_unit_test(disabled_apic_accepts_nothing),
		cmocka_unit_test(illegal_vector_is_an_error),
		cmocka_unit_test(error_interrupt_comes_once_until_esr_is_written),
		cmocka_unit_test(error_lvt_with_an_illegal_vector_ends),
		cmocka_unit_test(self_ipi_is_pending_at_once),
		cmocka_unit_test(icr_becomes_a_message),
		cmocka_unit_test(icr_delivery_status_is_never_seen),
		cmocka_unit_test(init_deassert_sends_nothing),
		cmocka_unit_test(invalid_ipis_are_not_sent),
		cmocka_unit_test(xapic_icr_high_holds_the_destination),
	};

	return cmocka_run_group_tests_name("lapic", tests, NULL, NULL);
}
