/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/dev/access.h"

#include "dev/ports.h"
#include "dev/rtc.h"

/* 1970-01-01 is day 0: the expected dates below are from date -u -d @N. */
struct clock_case {
	uint64_t seconds;
	uint8_t second, minute, hour, weekday, day, month, year, century;
};

static uint8_t get(struct bus *bus, uint8_t reg, uint64_t now)
{
	out(bus, RTC_PORT, 1, reg, now);
	return (uint8_t)in(bus, RTC_PORT + 1, 1, now);
}

static void put(struct bus *bus, uint8_t reg, uint8_t value)
{
	out(bus, RTC_PORT, 1, reg, 0);
	out(bus, RTC_PORT + 1, 1, value, 0);
}

static void assert_clock(struct bus *bus, const struct clock_case *c, uint64_t now)
{
	assert_int_equal(get(bus, 0, now), c->second);
	assert_int_equal(get(bus, 2, now), c->minute);
	assert_int_equal(get(bus, 4, now), c->hour);
	assert_int_equal(get(bus, 6, now), c->weekday);
	assert_int_equal(get(bus, 7, now), c->day);
	assert_int_equal(get(bus, 8, now), c->month);
	assert_int_equal(get(bus, 9, now), c->year);
	assert_int_equal(get(bus, RTC_CENTURY_REG, now), c->century);
}

static void dates(void **state)
{
	static const struct clock_case cases[] = {
		{0, 0x00, 0x00, 0x00, 5, 0x01, 0x01, 0x70, 0x19},
		{951782399, 0x59, 0x59, 0x23, 2, 0x28, 0x02, 0x00, 0x20},
		{951782400, 0x00, 0x00, 0x00, 3, 0x29, 0x02, 0x00, 0x20},
		{951868800, 0x00, 0x00, 0x00, 4, 0x01, 0x03, 0x00, 0x20},
		{1700000000, 0x20, 0x13, 0x22, 3, 0x14, 0x11, 0x23, 0x20},
		{1735689599, 0x59, 0x59, 0x23, 3, 0x31, 0x12, 0x24, 0x20},
		{4107542400, 0x00, 0x00, 0x00, 2, 0x01, 0x03, 0x00, 0x21},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bus bus = {0};
		struct rtc rtc;

		rtc_init(&rtc, cases[i].seconds);
		assert_int_equal(bus_add_pio(&bus, RTC_PORT, RTC_PORTS, &rtc.dev), 0);
		assert_clock(&bus, &cases[i], 0);
		/* The same moment, reached by guest time. */
		rtc.epoch = 0;
		assert_clock(&bus, &cases[i], cases[i].seconds * NSEC_PER_SEC);
	}
}

static void register_a_to_d(void **state)
{
	struct bus bus = {0};
	struct rtc rtc;

	rtc_init(&rtc, 0);
	assert_int_equal(bus_add_pio(&bus, RTC_PORT, RTC_PORTS, &rtc.dev), 0);
	assert_int_equal(get(&bus, 10, 0), 0x26);
	assert_int_equal(get(&bus, 11, 0), 0x02);
	assert_int_equal(get(&bus, 12, 0), 0);
	assert_int_equal(get(&bus, 13, 0), 0x80);
	put(&bus, 10, 0xaf);
	assert_int_equal(get(&bus, 10, 0), 0x2f);
	put(&bus, 11, 0xff); /* no interrupts, no binary, no 12 hours */
	assert_int_equal(get(&bus, 11, 0), 0x02);
	put(&bus, 13, 0);
	assert_int_equal(get(&bus, 13, 0), 0x80);
	assert_int_equal(in(&bus, RTC_PORT, 1, 0), 0xff);
}

static void update_flag_is_short_and_ends(void **state)
{
	struct bus bus = {0};
	struct rtc rtc;

	rtc_init(&rtc, 0);
	assert_int_equal(bus_add_pio(&bus, RTC_PORT, RTC_PORTS, &rtc.dev), 0);
	assert_int_equal(get(&bus, 10, NSEC_PER_SEC - 244001) & 0x80, 0);
	assert_int_equal(get(&bus, 10, NSEC_PER_SEC - 244000) & 0x80, 0x80);
	assert_int_equal(get(&bus, 10, NSEC_PER_SEC - 1) & 0x80, 0x80);
	assert_int_equal(get(&bus, 10, NSEC_PER_SEC) & 0x80, 0);
}

static void time_is_read_only_and_memory_is_kept(void **state)
{
	struct bus bus = {0};
	struct rtc rtc;

	rtc_init(&rtc, 1700000000);
	assert_int_equal(bus_add_pio(&bus, RTC_PORT, RTC_PORTS, &rtc.dev), 0);
	put(&bus, 4, 0x01);
	assert_int_equal(get(&bus, 4, 0), 0x22);
	put(&bus, 0x0f, 0x0a);
	assert_int_equal(get(&bus, 0x0f, 0), 0x0a);
	assert_int_equal(get(&bus, 0x8f, 0), 0x0a); /* bit 7 of the index is the NMI mask */
	put(&bus, 0x7f, 0x55);
	assert_int_equal(get(&bus, 0x7f, 0), 0x55);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates),
		cmocka_unit_test(register_a_to_d),
		cmocka_unit_test(update_flag_is_short_and_ends),
		cmocka_unit_test(time_is_read_only_and_memory_is_kept),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}
