/* SPDX-License-Identifier: Apache-2.0 */
/* One-shot, periodic and TSC-deadline timer: SDM vol 3, 10.5.4. */
#include "tests/irq/lapic_fixture.h"

#define VECTOR 0xec

static struct lapic_clock ns(uint64_t value)
{
	return (struct lapic_clock){.ns = value};
}

static struct lapic_clock tsc(uint64_t value)
{
	return (struct lapic_clock){.tsc = value};
}

static struct lapic timer(uint32_t lvt)
{
	struct lapic l = x2apic();

	wrmsr(&l, MSR_TIMER_DIVIDE, DIVIDE_BY_1);
	wrmsr(&l, MSR_LVT_TIMER, lvt | VECTOR);
	return l;
}

static void assert_next(const struct lapic *l, enum lapic_deadline kind, uint64_t expected)
{
	uint64_t next = 0;

	assert_int_equal(lapic_timer_next(l, &next), kind);
	if (kind != LAPIC_DEADLINE_NONE)
		assert_int_equal(next, expected);
}

static void one_shot_fires_once(void **state)
{
	struct lapic l = timer(0);

	assert_next(&l, LAPIC_DEADLINE_NONE, 0);
	wrmsr_at(&l, MSR_TIMER_INITIAL, 1000, ns(50));
	assert_next(&l, LAPIC_DEADLINE_NS, 1050);
	assert_int_equal(rdmsr_at(&l, MSR_TIMER_CURRENT, ns(350)), 700);
	assert_false(lapic_timer_expire(&l, ns(1049)));
	assert_true(lapic_timer_expire(&l, ns(1050)));
	assert_false(lapic_timer_expire(&l, ns(5000)));
	assert_next(&l, LAPIC_DEADLINE_NONE, 0);
	assert_int_equal(lapic_ack(&l), VECTOR);
	assert_int_equal(rdmsr_at(&l, MSR_TIMER_CURRENT, ns(1100)), 0);
	assert_int_equal(rdmsr_at(&l, MSR_TIMER_INITIAL, ns(1100)), 1000);
}

static void initial_count_zero_stops(void **state)
{
	struct lapic l = timer(0);

	wrmsr_at(&l, MSR_TIMER_INITIAL, 1000, ns(0));
	wrmsr_at(&l, MSR_TIMER_INITIAL, 0, ns(500));
	assert_next(&l, LAPIC_DEADLINE_NONE, 0);
	assert_false(lapic_timer_expire(&l, ns(5000)));
}

static void divider_values(void **state)
{
	static const struct {
		uint32_t value, divisor;
	} cases[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lapic l = timer(0);

		wrmsr(&l, MSR_TIMER_DIVIDE, cases[i].value);
		wrmsr_at(&l, MSR_TIMER_INITIAL, 100, ns(7));
		assert_next(&l, LAPIC_DEADLINE_NS, 7 + 100 * cases[i].divisor);
	}
}

static void new_divider_goes_on_from_the_count(void **state)
{
	struct lapic l = timer(0);

	wrmsr_at(&l, MSR_TIMER_INITIAL, 1000, ns(0));
	wrmsr_at(&l, MSR_TIMER_DIVIDE, 10, ns(600)); /* by 128 */
	assert_int_equal(rdmsr_at(&l, MSR_TIMER_CURRENT, ns(600)), 400);
	assert_next(&l, LAPIC_DEADLINE_NS, 600 + 400 * 128);
}

static void periodic_keeps_its_phase(void **state)
{
	const uint64_t period = 1000000;
	struct lapic l = timer(LVT_PERIODIC);

	wrmsr_at(&l, MSR_TIMER_INITIAL, (uint32_t)period, ns(100));
	assert_next(&l, LAPIC_DEADLINE_NS, 100 + period);
	assert_true(lapic_timer_expire(&l, ns(100 + period + 77)));
	assert_next(&l, LAPIC_DEADLINE_NS, 100 + 2 * period);
	assert_int_equal(rdmsr_at(&l, MSR_TIMER_CURRENT, ns(100 + period + 1)), period - 1);
	/* Three missed periods are one interrupt. */
	assert_true(lapic_timer_expire(&l, ns(100 + 5 * period)));
	assert_false(lapic_timer_expire(&l, ns(100 + 5 * period)));
	assert_next(&l, LAPIC_DEADLINE_NS, 100 + 6 * period);
}

static void short_period_does_not_storm(void **state)
{
	struct lapic l = timer(LVT_PERIODIC);

	wrmsr_at(&l, MSR_TIMER_INITIAL, 1, ns(0));
	assert_next(&l, LAPIC_DEADLINE_NS, LAPIC_PERIOD_MIN_NS);
	assert_true(lapic_timer_expire(&l, ns(LAPIC_PERIOD_MIN_NS)));
	assert_next(&l, LAPIC_DEADLINE_NS, 2 * LAPIC_PERIOD_MIN_NS);
}

static void masked_timer_counts_without_interrupt(void **state)
{
	struct lapic l = timer(LVT_MASK);

	wrmsr_at(&l, MSR_TIMER_INITIAL, 1000, ns(0));
	assert_next(&l, LAPIC_DEADLINE_NONE, 0);
	assert_int_equal(rdmsr_at(&l, MSR_TIMER_CURRENT, ns(400)), 600);
	/* It ran out under the mask: unmasking later does not bring the interrupt. */
	wrmsr_at(&l, MSR_LVT_TIMER, VECTOR, ns(2000));
	assert_false(lapic_timer_expire(&l, ns(3000)));
	assert_int_equal(lapic_pending(&l), -1);
	/* Unmasked in time, it fires. */
	wrmsr_at(&l, MSR_LVT_TIMER, LVT_MASK | VECTOR, ns(4000));
	wrmsr_at(&l, MSR_TIMER_INITIAL, 1000, ns(4000));
	wrmsr_at(&l, MSR_LVT_TIMER, VECTOR, ns(4500));
	assert_next(&l, LAPIC_DEADLINE_NS, 5000);
}

static void due_interrupt_survives_rearming(void **state)
{
	struct lapic l = timer(0);

	wrmsr_at(&l, MSR_TIMER_INITIAL, 1000, ns(0));
	wrmsr_at(&l, MSR_TIMER_INITIAL, 1000, ns(1500));
	assert_int_equal(lapic_ack(&l), VECTOR);
	assert_next(&l, LAPIC_DEADLINE_NS, 2500);
}

static void deadline_fires_and_clears_itself(void **state)
{
	struct lapic l = timer(LVT_DEADLINE);

	lapic_tsc_deadline_write(&l, 5000, tsc(100));
	assert_int_equal(lapic_tsc_deadline_read(&l), 5000);
	assert_next(&l, LAPIC_DEADLINE_TSC, 5000);
	assert_false(lapic_timer_expire(&l, tsc(4999)));
	assert_true(lapic_timer_expire(&l, tsc(5000)));
	assert_int_equal(lapic_tsc_deadline_read(&l), 0);
	assert_int_equal(lapic_ack(&l), VECTOR);
	assert_next(&l, LAPIC_DEADLINE_NONE, 0);
}

static void deadline_zero_disarms(void **state)
{
	struct lapic l = timer(LVT_DEADLINE);

	lapic_tsc_deadline_write(&l, 5000, tsc(100));
	lapic_tsc_deadline_write(&l, 0, tsc(200));
	assert_next(&l, LAPIC_DEADLINE_NONE, 0);
	assert_false(lapic_timer_expire(&l, tsc(9000)));
}

static void deadline_in_the_past_is_due_at_once(void **state)
{
	struct lapic l = timer(LVT_DEADLINE);

	lapic_tsc_deadline_write(&l, 50, tsc(100));
	assert_next(&l, LAPIC_DEADLINE_TSC, 50);
	assert_true(lapic_timer_expire(&l, tsc(100)));
}

static void deadline_mode_ignores_the_counter_and_vice_versa(void **state)
{
	struct lapic l = timer(LVT_DEADLINE);

	wrmsr(&l, MSR_TIMER_INITIAL, 1000);
	assert_int_equal(rdmsr(&l, MSR_TIMER_INITIAL), 0);
	assert_int_equal(rdmsr(&l, MSR_TIMER_CURRENT), 0);
	assert_next(&l, LAPIC_DEADLINE_NONE, 0);
	l = timer(0);
	lapic_tsc_deadline_write(&l, 5000, tsc(100));
	assert_int_equal(lapic_tsc_deadline_read(&l), 0);
	assert_next(&l, LAPIC_DEADLINE_NONE, 0);
}

static void change_of_mode_disarms(void **state)
{
	struct lapic l = timer(LVT_DEADLINE);

	lapic_tsc_deadline_write(&l, 5000, tsc(100));
	wrmsr(&l, MSR_LVT_TIMER, VECTOR);
	assert_int_equal(lapic_tsc_deadline_read(&l), 0);
	wrmsr(&l, MSR_TIMER_INITIAL, 1000);
	wrmsr(&l, MSR_LVT_TIMER, LVT_PERIODIC | VECTOR);
	assert_next(&l, LAPIC_DEADLINE_NONE, 0);
	assert_int_equal(rdmsr(&l, MSR_TIMER_CURRENT), 0);
}

static void clock_before_the_start_counts_as_the_start(void **state)
{
	struct lapic l = timer(LVT_PERIODIC);

	wrmsr_at(&l, MSR_TIMER_INITIAL, 1000000, ns(5000));
	assert_int_equal(rdmsr_at(&l, MSR_TIMER_CURRENT, ns(0)), 1000000);
	assert_false(lapic_timer_expire(&l, ns(0)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_shot_fires_once),
		cmocka_unit_test(initial_count_zero_stops),
		cmocka_unit_test(divider_values),
		cmocka_unit_test(new_divider_goes_on_from_the_count),
		cmocka_unit_test(periodic_keeps_its_phase),
		cmocka_unit_test(short_period_does_not_storm),
		cmocka_unit_test(masked_timer_counts_without_interrupt),
		cmocka_unit_test(due_interrupt_survives_rearming),
		cmocka_unit_test(deadline_fires_and_clears_itself),
		cmocka_unit_test(deadline_zero_disarms),
		cmocka_unit_test(deadline_in_the_past_is_due_at_once),
		cmocka_unit_test(deadline_mode_ignores_the_counter_and_vice_versa),
		cmocka_unit_test(change_of_mode_disarms),
		cmocka_unit_test(clock_before_the_start_counts_as_the_start),
	};

	return cmocka_run_group_tests_name("lapic timer", tests, NULL, NULL);
}
