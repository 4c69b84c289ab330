/* SPDX-License-Identifier: Apache-2.0 */
/* All port devices in the hands of a hostile guest, through the bus, with bytes typed meanwhile. */
#include "dev/acpi_pm.h"
#include "dev/pit.h"
#include "dev/ports.h"
#include "dev/reset.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "tests/fuzz/fuzz.h"

struct machine {
	struct bus bus;
	struct serial serial;
	struct rtc rtc;
	struct pit pit;
	struct acpi_pm pm;
	struct reset reset;
	bool serial_line, sci_line;
};

static void transmit(void *ctx, uint8_t byte)
{
}

static void ended(void *ctx)
{
}

/* A line is told when it changes, not again. */
static void serial_line(void *ctx, bool asserted)
{
	struct machine *m = ctx;

	fuzz_check(asserted != m->serial_line);
	m->serial_line = asserted;
}

static void sci_line(void *ctx, bool asserted)
{
	struct machine *m = ctx;

	fuzz_check(asserted != m->sci_line);
	m->sci_line = asserted;
}

static const struct serial_ops serial_ops = {transmit, serial_line};
static const struct acpi_pm_ops pm_ops = {ended, sci_line};

static void assemble(struct machine *m)
{
	const struct {
		uint64_t port, count;
		struct bus_device *dev;
	} ports[] = {
		{SERIAL_PORT, SERIAL_PORTS, &m->serial.dev},
		{RTC_PORT, RTC_PORTS, &m->rtc.dev},
		{PIT_PORT, PIT_PORTS, &m->pit.dev},
		{PIT_PORT_B, 1, &m->pit.port_b},
		{ACPI_PM1_EVT_PORT, ACPI_PM1_EVT_BYTES, &m->pm.event},
		{ACPI_PM1_CNT_PORT, ACPI_PM1_CNT_BYTES, &m->pm.control},
		{ACPI_PM_TMR_PORT, ACPI_PM_TMR_BYTES, &m->pm.timer},
		{RESET_PORT, 1, &m->reset.control},
		{I8042_COMMAND_PORT, 1, &m->reset.i8042},
	};

	serial_init(&m->serial, &serial_ops, m);
	rtc_init(&m->rtc, 1700000000);
	pit_init(&m->pit);
	acpi_pm_init(&m->pm, &pm_ops, m);
	reset_init(&m->reset, ended, m);
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		fuzz_check(bus_add_pio(&m->bus, ports[i].port, ports[i].count, ports[i].dev) == 0);
}

static void access_port(struct machine *m, struct fuzz_input *in, uint64_t now)
{
	uint64_t op = fuzz_take(in, 1), where = fuzz_take(in, 1);
	const struct bus_range *range = &m->bus.pio.range[(op >> 3) % m->bus.pio.count];
	/* A little outside, too. */
	uint16_t port = (uint16_t)(range->first + where % 16 % 10 - 1);
	unsigned size = 1u << (op & 3) % 3;
	uint64_t value = op & 4 ? fuzz_value(in) : 0;

	if (!bus_pio(&m->bus, port, size, op & 4, &value, now) && !(op & 4))
		fuzz_check(value == (UINT64_C(1) << (size * 8)) - 1);
	fuzz_check(op & 4 || value >> (size * 8) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_input in = fuzz_input(data, len);
	struct machine m = {0};
	uint64_t now = 1;

	assemble(&m);
	while (fuzz_left(&in)) {
		uint64_t what = fuzz_take(&in, 1);
		static const uint8_t typed[8] = "\003typed\n";

		/* Mostly a little time passes, now and then years. */
		now += what < 240 ? what * 10000 : UINT64_C(1) << (what % 16 * 4);
		if (what % 32 == 7)
			serial_receive(&m.serial, typed, what / 32);
		else if (what % 32 == 8)
			acpi_pm_power_button(&m.pm);
		else
			access_port(&m, &in, now);
		fuzz_check(m.serial.count <= SERIAL_FIFO);
	}
	return 0;
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	return fuzz_noise(random, data, 50 + fuzz_random(random) % 900);
}
