/* SPDX-License-Identifier: Apache-2.0 */
/* Intel 8254: counts and outputs as functions of time, and the calibration loops of Linux. */
#include "tests/dev/access.h"

#include "dev/pit.h"
#include "dev/ports.h"

#define CONTROL (PIT_PORT + 3)
#define OUT_BIT 0x20

struct fixture {
	struct bus bus;
	struct pit pit;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	pit_init(&f->pit);
	assert_int_equal(bus_add_pio(&f->bus, PIT_PORT, PIT_PORTS, &f->pit.dev), 0);
	assert_int_equal(bus_add_pio(&f->bus, PIT_PORT_B, 1, &f->pit.port_b), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* The first nanosecond at which @ticks have passed since time 0. */
static uint64_t at(uint64_t ticks)
{
	return (ticks * NSEC_PER_SEC + PIT_HZ - 1) / PIT_HZ;
}

static void program(struct fixture *f, unsigned channel, unsigned mode, uint16_t count)
{
	out(&f->bus, CONTROL, 1, channel << 6 | 3 << 4 | mode << 1, 0);
	out(&f->bus, (uint16_t)(PIT_PORT + channel), 1, count & 0xff, 0);
	out(&f->bus, (uint16_t)(PIT_PORT + channel), 1, count >> 8, 0);
}

static unsigned read_word(struct fixture *f, unsigned channel, uint64_t now)
{
	unsigned low = in(&f->bus, (uint16_t)(PIT_PORT + channel), 1, now);

	return low | in(&f->bus, (uint16_t)(PIT_PORT + channel), 1, now) << 8;
}

static bool output(struct fixture *f, uint64_t now)
{
	return in(&f->bus, PIT_PORT_B, 1, now) & OUT_BIT;
}

static void set_gate(struct fixture *f, bool on, uint64_t now)
{
	out(&f->bus, PIT_PORT_B, 1, on, now);
}

static void mode_0_counts_down_and_wraps(void **state)
{
	struct fixture *f = *state;

	set_gate(f, true, 0);
	program(f, 2, 0, 1000);
	assert_int_equal(read_word(f, 2, at(0)), 1000);
	assert_int_equal(read_word(f, 2, at(1)), 999);
	assert_false(output(f, at(999)));
	assert_true(output(f, at(1000)));
	assert_int_equal(read_word(f, 2, at(1000)), 0);
	assert_int_equal(read_word(f, 2, at(1001)), 0xffff);
	assert_true(output(f, at(100000)));
}

static void mode_2_reloads_and_pulses(void **state)
{
	struct fixture *f = *state;

	set_gate(f, true, 0);
	program(f, 2, 2, 100);
	assert_int_equal(read_word(f, 2, at(0)), 100);
	assert_int_equal(read_word(f, 2, at(99)), 1);
	assert_int_equal(read_word(f, 2, at(100)), 100);
	assert_true(output(f, at(98)));
	assert_false(output(f, at(99)));
	assert_true(output(f, at(100)));
	assert_false(output(f, at(1099)));
}

static void mode_3_is_a_square_wave(void **state)
{
	struct fixture *f = *state;

	set_gate(f, true, 0);
	program(f, 2, 3, 100);
	assert_int_equal(read_word(f, 2, at(10)), 80);
	assert_int_equal(read_word(f, 2, at(60)), 80);
	assert_true(output(f, at(49)));
	assert_false(output(f, at(50)));
	assert_false(output(f, at(99)));
	assert_true(output(f, at(100)));
	program(f, 2, 3, 5); /* odd: high for three, low for two */
	assert_true(output(f, at(2)));
	assert_false(output(f, at(3)));
	assert_false(output(f, at(4)));
	assert_true(output(f, at(5)));
}

static void gate_holds_mode_0_and_restarts_mode_2(void **state)
{
	struct fixture *f = *state;

	program(f, 2, 0, 1000); /* the gate is low after reset */
	assert_int_equal(read_word(f, 2, at(500)), 1000);
	set_gate(f, true, at(500));
	assert_int_equal(read_word(f, 2, at(600)), 900);
	set_gate(f, false, at(600));
	assert_int_equal(read_word(f, 2, at(700)), 900);
	set_gate(f, true, at(700));
	assert_int_equal(read_word(f, 2, at(800)), 800);
	program(f, 2, 2, 100);
	set_gate(f, false, at(850));
	assert_true(output(f, at(899)));
	set_gate(f, true, at(910));
	assert_int_equal(read_word(f, 2, at(920)), 90);
}

static void one_shot_needs_a_trigger(void **state)
{
	struct fixture *f = *state;

	program(f, 2, 1, 100);
	assert_true(output(f, at(500)));
	set_gate(f, true, at(500));
	assert_false(output(f, at(599)));
	assert_true(output(f, at(600)));
}

static void strobe_is_one_tick_long(void **state)
{
	struct fixture *f = *state;

	set_gate(f, true, 0);
	program(f, 2, 4, 100);
	assert_true(output(f, at(99)));
	assert_false(output(f, at(100)));
	assert_true(output(f, at(101)));
}

static void latch_freezes_one_reading(void **state)
{
	struct fixture *f = *state;

	program(f, 0, 2, 0); /* 0 is 65536 */
	out(&f->bus, CONTROL, 1, 0x00, at(0x1234));
	out(&f->bus, CONTROL, 1, 0x00, at(0x2000)); /* ignored until it is read */
	assert_int_equal(read_word(f, 0, at(0x3000)), 0x10000 - 0x1234);
	assert_int_equal(read_word(f, 0, at(0x3000)), 0x10000 - 0x3000);
}

static void low_and_high_byte_access(void **state)
{
	struct fixture *f = *state;

	out(&f->bus, CONTROL, 1, 0 << 6 | 1 << 4 | 2 << 1, 0);
	out(&f->bus, PIT_PORT, 1, 50, 0);
	assert_int_equal(in(&f->bus, PIT_PORT, 1, at(10)), 40);
	assert_int_equal(in(&f->bus, PIT_PORT, 1, at(20)), 30);
	out(&f->bus, CONTROL, 1, 0 << 6 | 2 << 4 | 2 << 1, 0);
	out(&f->bus, PIT_PORT, 1, 0x12, 0);
	assert_int_equal(in(&f->bus, PIT_PORT, 1, at(0)), 0x12);
	assert_int_equal(in(&f->bus, PIT_PORT, 1, at(1)), 0x11);
}

static void bcd_counts_in_decimal(void **state)
{
	struct fixture *f = *state;

	out(&f->bus, CONTROL, 1, 3 << 4 | 2 << 1 | 1, 0);
	out(&f->bus, PIT_PORT, 1, 0x00, 0);
	out(&f->bus, PIT_PORT, 1, 0x10, 0);
	assert_int_equal(read_word(f, 0, at(1)), 0x0999);
	assert_int_equal(read_word(f, 0, at(999)), 0x0001);
}

static void read_back_gives_status_then_count(void **state)
{
	struct fixture *f = *state;

	program(f, 0, 3, 1000);
	out(&f->bus, CONTROL, 1, 0xc2, at(10)); /* count and status of channel 0 */
	assert_int_equal(in(&f->bus, PIT_PORT, 1, at(500)), 0x80 | 3 << 4 | 3 << 1);
	assert_int_equal(read_word(f, 0, at(500)), 980);
	out(&f->bus, CONTROL, 1, 3 << 4 | 2 << 1, 0);
	out(&f->bus, CONTROL, 1, 0xe2, 0); /* status only: no count loaded yet */
	assert_int_equal(in(&f->bus, PIT_PORT, 1, 0), 0x80 | 0x40 | 3 << 4 | 2 << 1);
}

/* Linux, quick_pit_calibrate(): the high byte of a mode-0 count falls every 256 ticks. */
static void linux_quick_calibration_runs(void **state)
{
	struct fixture *f = *state;
	uint64_t now = 0;

	out(&f->bus, PIT_PORT_B, 1, (in(&f->bus, PIT_PORT_B, 1, now) & ~2u) | 1, now);
	out(&f->bus, CONTROL, 1, 0xb0, now);
	out(&f->bus, PIT_PORT + 2, 1, 0xff, now);
	out(&f->bus, PIT_PORT + 2, 1, 0xff, now);
	for (unsigned expected = 0xff; expected > 0xf0; expected--) {
		unsigned reads = 0;

		while (read_word(f, 2, now) >> 8 == expected) {
			now += 2000;
			reads++;
		}
		assert_in_range(reads, 100, 110);
	}
	assert_in_range(now, at(15 * 256), at(15 * 256 + 16));
}

/* Linux, pit_calibrate_tsc(): waits for OUT of a mode-0 count of 10 ms. */
static void linux_slow_calibration_takes_ten_ms(void **state)
{
	struct fixture *f = *state;
	uint64_t now = 0;

	set_gate(f, true, 0);
	program(f, 2, 0, PIT_HZ / 100);
	while (!output(f, now))
		now += 1000;
	assert_in_range(now, 9999000, 10001000);
}

static void port_b_keeps_four_bits_and_toggles_refresh(void **state)
{
	struct fixture *f = *state;
	bool seen[2] = {false};

	out(&f->bus, PIT_PORT_B, 1, 0xfe, 0);
	assert_int_equal(in(&f->bus, PIT_PORT_B, 1, 0) & 0xcf, 0x0e);
	for (uint64_t now = 0; now < 60000; now += 5000)
		seen[in(&f->bus, PIT_PORT_B, 1, now) >> 4 & 1] = true;
	assert_true(seen[0] && seen[1]);
}

static void control_port_is_write_only(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(&f->bus, CONTROL, 1, 0), 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mode_0_counts_down_and_wraps, setup, teardown),
		cmocka_unit_test_setup_teardown(mode_2_reloads_and_pulses, setup, teardown),
		cmocka_unit_test_setup_teardown(mode_3_is_a_square_wave, setup, teardown),
		cmocka_unit_test_setup_teardown(gate_holds_mode_0_and_restarts_mode_2, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_shot_needs_a_trigger, setup, teardown),
		cmocka_unit_test_setup_teardown(strobe_is_one_tick_long, setup, teardown),
		cmocka_unit_test_setup_teardown(latch_freezes_one_reading, setup, teardown),
		cmocka_unit_test_setup_teardown(low_and_high_byte_access, setup, teardown),
		cmocka_unit_test_setup_teardown(bcd_counts_in_decimal, setup, teardown),
		cmocka_unit_test_setup_teardown(read_back_gives_status_then_count, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_quick_calibration_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_slow_calibration_takes_ten_ms, setup,
						teardown),
		cmocka_unit_test_setup_teardown(port_b_keeps_four_bits_and_toggles_refresh, setup,
						teardown),
		cmocka_unit_test_setup_teardown(control_port_is_write_only, setup, teardown),
	};

	return cmocka_run_group_tests_name("pit", tests, NULL, NULL);
}
