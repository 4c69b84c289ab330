/* SPDX-License-Identifier: Apache-2.0 */
/* A local APIC that moves: what is taken over, and what no APIC can be. */
#include "tests/irq/lapic_fixture.h"

static struct lapic busy(void)
{
	struct lapic l = x2apic();

	wrmsr(&l, MSR_TPR, 0x20);
	wrmsr(&l, MSR_LVT_TIMER, 0x41 | LVT_PERIODIC);
	wrmsr(&l, MSR_TIMER_DIVIDE, DIVIDE_BY_1);
	wrmsr(&l, MSR_TIMER_INITIAL, 1000);
	lapic_accept(&l, 0x51, true);
	lapic_ack(&l);
	lapic_accept(&l, 0x81, false);
	return l;
}

static void a_copy_goes_on_where_the_other_was(void **state)
{
	struct lapic from = busy(), to = x2apic();
	const struct lapic_clock later = {.ns = 1500};
	struct lapic_effects fx;

	assert_int_equal(lapic_load(&to, &from), 0);
	assert_memory_equal(&to, &from, sizeof(to));
	assert_int_equal(lapic_pending(&to), 0x81);
	assert_int_equal(rdmsr(&to, MSR_TPR), 0x20);
	assert_int_equal(rdmsr_at(&to, MSR_TIMER_CURRENT, later), 500);
	assert_true(lapic_timer_expire(&to, later));
	lapic_eoi(&to, &fx);
	assert_true(fx.eoi);
	assert_int_equal(fx.eoi_vector, 0x51);
}

/* What this host cannot address stays reserved, whatever the other says. */
static void reserved_bits_are_the_hosts_own(void **state)
{
	struct lapic from = busy(), to = x2apic();

	to.base_reserved |= UINT64_C(1) << 45;
	assert_int_equal(lapic_load(&to, &from), 0);
	assert_true(to.base_reserved & UINT64_C(1) << 45);
	from.apic_base |= UINT64_C(1) << 45;
	assert_int_equal(lapic_load(&to, &from), -EINVAL);
}

static void what_no_apic_can_be_is_refused(void **state)
{
	const struct lapic good = busy();
	struct lapic wrong[11];
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		wrong[i] = good;
	wrong[n++].id = APIC_ID + 1;
	wrong[n++].apic_base |= LAPIC_BASE_BSP;
	wrong[n++].apic_base |= 1;
	wrong[n++].apic_base |= UINT64_C(1) << 60;
	wrong[n++].apic_base &= ~LAPIC_BASE_ENABLE; /* x2APIC mode without it */
	wrong[n++].tpr = 0x100;
	wrong[n++].irr[0] |= 1 << 15;
	wrong[n++].isr[0] |= 1;
	wrong[n++].timer_counting = 2;
	wrong[n++].timer_initial = 0; /* counts, from nothing */
	wrong[n++].tsc_deadline = 5;  /* and counts */
	assert_int_equal(n, ARRAY_SIZE(wrong));
	for (unsigned i = 0; i < n; i++) {
		struct lapic to = x2apic(), before = to;

		if (lapic_load(&to, &wrong[i]) != -EINVAL)
			fail_msg("wrong[%u] was taken", i);
		assert_memory_equal(&to, &before, sizeof(to));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_goes_on_where_the_other_was),
		cmocka_unit_test(reserved_bits_are_the_hosts_own),
		cmocka_unit_test(what_no_apic_can_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
