/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/dev/access.h"

#include "dev/ports.h"
#include "dev/reset.h"

static void count(void *ctx)
{
	++*(unsigned *)ctx;
}

static void attach(struct bus *bus, struct reset *reset, unsigned *requests)
{
	*requests = 0;
	*bus = (struct bus){0};
	reset_init(reset, count, requests);
	assert_int_equal(bus_add_pio(bus, RESET_PORT, 1, &reset->control), 0);
	assert_int_equal(bus_add_pio(bus, I8042_COMMAND_PORT, 1, &reset->i8042), 0);
}

static void fadt_reset_value_resets(void **state)
{
	unsigned requests;
	struct reset reset;
	struct bus bus;

	attach(&bus, &reset, &requests);
	out(&bus, RESET_PORT, 1, RESET_VALUE, 0);
	assert_int_equal(requests, 1);
}

/* Linux, reboot=pci: kind first, then kind and CPU reset. */
static void cf9_sequence_resets_at_its_second_write(void **state)
{
	unsigned requests;
	struct reset reset;
	struct bus bus;

	attach(&bus, &reset, &requests);
	assert_int_equal(in(&bus, RESET_PORT, 1, 0), 0);
	out(&bus, RESET_PORT, 1, 0x0a, 0);
	assert_int_equal(requests, 0);
	assert_int_equal(in(&bus, RESET_PORT, 1, 0), 0x0a);
	out(&bus, RESET_PORT, 1, 0x0e, 0);
	assert_int_equal(requests, 1);
}

static void keyboard_controller_is_absent_but_resets(void **state)
{
	unsigned requests;
	struct reset reset;
	struct bus bus;

	attach(&bus, &reset, &requests);
	assert_int_equal(in(&bus, I8042_COMMAND_PORT, 1, 0), 0xff);
	out(&bus, I8042_COMMAND_PORT, 1, 0xaa, 0);
	assert_int_equal(requests, 0);
	out(&bus, I8042_COMMAND_PORT, 1, 0xfe, 0);
	assert_int_equal(requests, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fadt_reset_value_resets),
		cmocka_unit_test(cf9_sequence_resets_at_its_second_write),
		cmocka_unit_test(keyboard_controller_is_absent_but_resets),
	};

	return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
