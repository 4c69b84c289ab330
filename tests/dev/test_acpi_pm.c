/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI fixed hardware: ACPI 6.5, section 4.8.3. */
#include "tests/dev/access.h"

#include "dev/acpi_pm.h"
#include "dev/ports.h"

#define STATUS	(ACPI_PM1_EVT_PORT)
#define ENABLE	(ACPI_PM1_EVT_PORT + 2)
#define CONTROL (ACPI_PM1_CNT_PORT)
#define BUTTON	0x100
#define SLP_EN	0x2000

struct fixture {
	struct bus bus;
	struct acpi_pm pm;
	unsigned power_offs;
	bool sci;
};

static void power_off(void *ctx)
{
	((struct fixture *)ctx)->power_offs++;
}

static void sci(void *ctx, bool asserted)
{
	struct fixture *f = ctx;

	assert_true(asserted != f->sci);
	f->sci = asserted;
}

static const struct acpi_pm_ops ops = {power_off, sci};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	acpi_pm_init(&f->pm, &ops, f);
	assert_int_equal(bus_add_pio(&f->bus, ACPI_PM1_EVT_PORT, ACPI_PM1_EVT_BYTES, &f->pm.event),
			 0);
	assert_int_equal(
		bus_add_pio(&f->bus, ACPI_PM1_CNT_PORT, ACPI_PM1_CNT_BYTES, &f->pm.control), 0);
	assert_int_equal(bus_add_pio(&f->bus, ACPI_PM_TMR_PORT, ACPI_PM_TMR_BYTES, &f->pm.timer),
			 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void s5_powers_off(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(&f->bus, CONTROL, 2, 0), 1); /* SCI_EN */
	out(&f->bus, CONTROL, 2, ACPI_SLP_TYP_S5 << 10, 0);
	assert_int_equal(f->power_offs, 0);
	out(&f->bus, CONTROL, 2, ACPI_SLP_TYP_S5 << 10 | SLP_EN, 0);
	assert_int_equal(f->power_offs, 1);
	assert_int_equal(in(&f->bus, CONTROL, 2, 0), ACPI_SLP_TYP_S5 << 10 | 1);
}

static void other_sleep_types_do_nothing(void **state)
{
	struct fixture *f = *state;

	for (unsigned type = 0; type < 8; type++)
		if (type != ACPI_SLP_TYP_S5)
			out(&f->bus, CONTROL, 2, type << 10 | SLP_EN, 0);
	assert_int_equal(f->power_offs, 0);
}

static void control_bytes_are_independent(void **state)
{
	struct fixture *f = *state;

	out(&f->bus, CONTROL + 1, 1, ACPI_SLP_TYP_S5 << 2, 0);
	out(&f->bus, CONTROL, 1, 2, 0);
	assert_int_equal(in(&f->bus, CONTROL, 2, 0), ACPI_SLP_TYP_S5 << 10 | 3);
	assert_int_equal(in(&f->bus, CONTROL + 1, 1, 0), ACPI_SLP_TYP_S5 << 2);
	out(&f->bus, CONTROL + 1, 1, (ACPI_SLP_TYP_S5 << 10 | SLP_EN) >> 8, 0);
	assert_int_equal(f->power_offs, 1);
}

static void power_button_raises_the_sci_when_enabled(void **state)
{
	struct fixture *f = *state;

	acpi_pm_power_button(&f->pm);
	assert_false(f->sci);
	assert_int_equal(in(&f->bus, STATUS, 2, 0), BUTTON);
	out(&f->bus, ENABLE, 2, 0xffff, 0);
	assert_int_equal(in(&f->bus, ENABLE, 2, 0), 0x721);
	assert_true(f->sci);
	out(&f->bus, STATUS, 2, 0xfeff, 0); /* other bits: the button stays */
	assert_true(f->sci);
	out(&f->bus, STATUS, 2, BUTTON, 0);
	assert_false(f->sci);
	assert_int_equal(in(&f->bus, STATUS, 4, 0), 0x721 << 16);
	acpi_pm_power_button(&f->pm);
	assert_true(f->sci);
	out(&f->bus, ENABLE, 2, 0, 0);
	assert_false(f->sci);
}

static void enable_bytes_are_independent(void **state)
{
	struct fixture *f = *state;

	out(&f->bus, ENABLE + 1, 1, 1, 0);
	out(&f->bus, ENABLE, 1, 0x20, 0);
	assert_int_equal(in(&f->bus, ENABLE, 2, 0), 0x120);
	out(&f->bus, STATUS, 4, 0x01000000, 0);
	assert_int_equal(in(&f->bus, ENABLE, 2, 0), 0x100);
}

static void timer_runs_at_its_frequency(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(&f->bus, ACPI_PM_TMR_PORT, 4, 0), 0);
	assert_int_equal(in(&f->bus, ACPI_PM_TMR_PORT, 4, NSEC_PER_SEC), 3579545);
	assert_int_equal(in(&f->bus, ACPI_PM_TMR_PORT, 4, 1000 * NSEC_PER_SEC), 3579545000u);
	/* 32 bits: it wraps after 1200 s. */
	assert_int_equal(in(&f->bus, ACPI_PM_TMR_PORT, 4, 2000 * NSEC_PER_SEC),
			 (uint32_t)(2000 * UINT64_C(3579545)));
	/* No overflow after years. */
	assert_int_equal(acpi_pm_timer(UINT64_C(1000000000) * NSEC_PER_SEC),
			 (uint32_t)(UINT64_C(1000000000) * 3579545));
	out(&f->bus, ACPI_PM_TMR_PORT, 4, 0, NSEC_PER_SEC);
	assert_int_equal(in(&f->bus, ACPI_PM_TMR_PORT, 4, NSEC_PER_SEC), 3579545);
	assert_int_equal(in(&f->bus, ACPI_PM_TMR_PORT + 1, 1, NSEC_PER_SEC), 3579545 >> 8 & 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(s5_powers_off, setup, teardown),
		cmocka_unit_test_setup_teardown(other_sleep_types_do_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(control_bytes_are_independent, setup, teardown),
		cmocka_unit_test_setup_teardown(power_button_raises_the_sci_when_enabled, setup,
						teardown),
		cmocka_unit_test_setup_teardown(enable_bytes_are_independent, setup, teardown),
		cmocka_unit_test_setup_teardown(timer_runs_at_its_frequency, setup, teardown),
	};

	return cmocka_run_group_tests_name("acpi_pm", tests, NULL, NULL);
}
