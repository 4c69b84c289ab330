/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile guests: long runs of random port accesses to all devices at once, under the sanitizers.
 * Every device must have been driven far enough to call back.
 */
#include "tests/check.h"

#include "dev/acpi_pm.h"
#include "dev/pit.h"
#include "dev/ports.h"
#include "dev/reset.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "tests/irq/random.h"

#define STEPS 500000

struct machine {
	struct bus bus;
	struct serial serial;
	struct rtc rtc;
	struct pit pit;
	struct acpi_pm pm;
	struct reset reset;
	bool serial_line, sci_line;
	unsigned sent, serial_edges, sci_edges, power_offs, resets;
};

static void transmit(void *ctx, uint8_t byte)
{
	((struct machine *)ctx)->sent++;
}

static void serial_line(void *ctx, bool asserted)
{
	struct machine *m = ctx;

	assert_true(asserted != m->serial_line);
	m->serial_line = asserted;
	m->serial_edges++;
}

static void power_off(void *ctx)
{
	((struct machine *)ctx)->power_offs++;
}

static void sci_line(void *ctx, bool asserted)
{
	struct machine *m = ctx;

	assert_true(asserted != m->sci_line);
	m->sci_line = asserted;
	m->sci_edges++;
}

static void reset_requested(void *ctx)
{
	((struct machine *)ctx)->resets++;
}

static const struct serial_ops serial_ops = {transmit, serial_line};
static const struct acpi_pm_ops pm_ops = {power_off, sci_line};

static void assemble(struct machine *m)
{
	*m = (struct machine){0};
	serial_init(&m->serial, &serial_ops, m);
	rtc_init(&m->rtc, 1700000000);
	pit_init(&m->pit);
	acpi_pm_init(&m->pm, &pm_ops, m);
	reset_init(&m->reset, reset_requested, m);
	assert_int_equal(bus_add_pio(&m->bus, SERIAL_PORT, SERIAL_PORTS, &m->serial.dev), 0);
	assert_int_equal(bus_add_pio(&m->bus, RTC_PORT, RTC_PORTS, &m->rtc.dev), 0);
	assert_int_equal(bus_add_pio(&m->bus, PIT_PORT, PIT_PORTS, &m->pit.dev), 0);
	assert_int_equal(bus_add_pio(&m->bus, PIT_PORT_B, 1, &m->pit.port_b), 0);
	assert_int_equal(bus_add_pio(&m->bus, ACPI_PM1_EVT_PORT, 4, &m->pm.event), 0);
	assert_int_equal(bus_add_pio(&m->bus, ACPI_PM1_CNT_PORT, 2, &m->pm.control), 0);
	assert_int_equal(bus_add_pio(&m->bus, ACPI_PM_TMR_PORT, 4, &m->pm.timer), 0);
	assert_int_equal(bus_add_pio(&m->bus, RESET_PORT, 1, &m->reset.control), 0);
	assert_int_equal(bus_add_pio(&m->bus, I8042_COMMAND_PORT, 1, &m->reset.i8042), 0);
}

static void devices_survive(void **state)
{
	uint64_t seed = 0x5eed4;
	struct machine *m = malloc(sizeof(*m));

	assert_non_null(m);
	assemble(m);
	for (unsigned i = 0; i < STEPS; i++) {
		uint64_t r = random_next(&seed), value = random_value(&seed);
		const struct bus_range *range = &m->bus.pio.range[r % m->bus.pio.count];
		uint16_t port = (uint16_t)(range->first + (r >> 8) % 9 - 1);
		unsigned size = 1u << (r >> 16) % 3;
		bool write = r >> 24 & 1;
		uint64_t now = i % 16 ? i * UINT64_C(731) : value;

		if (!bus_pio(&m->bus, port, size, write, &value, now) && !write)
			assert_int_equal(value, (UINT64_C(1) << (size * 8)) - 1);
		assert_true(write || value >> (size * 8) == 0);
		if (i % 32 == 0)
			serial_receive(&m->serial, (const uint8_t *)&r, r >> 32 & 7);
		if (i % 256 == 0)
			acpi_pm_power_button(&m->pm);
		assert_true(m->serial.count <= SERIAL_FIFO);
	}
	assert_true(m->sent > 100 && m->serial_edges > 100 && m->sci_edges > 100);
	assert_true(m->power_offs > 10 && m->resets > 10);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_survive),
	};

	return cmocka_run_group_tests_name("dev traffic", tests, NULL, NULL);
}
