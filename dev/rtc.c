/* SPDX-License-Identifier: Apache-2.0 */
/* CMOS clock: index and data port, calendar. See rtc.h. */
#include "dev/ports.h"
#include "dev/rtc.h"

enum reg {
	REG_SECONDS = 0,
	REG_MINUTES = 2,
	REG_HOURS = 4,
	REG_WEEKDAY = 6,
	REG_DAY = 7,
	REG_MONTH = 8,
	REG_YEAR = 9,
	REG_A = 10,
	REG_B = 11,
	REG_C = 12,
	REG_D = 13,
	REG_CENTURY = RTC_CENTURY_REG,
};

#define A_UIP	  0x80
#define A_DEFAULT 0x26 /* 32768 Hz time base, 1024 Hz periodic rate */
#define B_24HOUR  0x02
#define D_VALID	  0x80

/* How long before the second the chip warns of an update. */
#define UPDATE_NS (244 * NSEC_PER_USEC)

#define DAYS_PER_400_YEARS 146097u

struct date {
	unsigned year, month, day, weekday;
};

static bool leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Gregorian date of a day number; day 0 is Thursday, 1970-01-01. */
static struct date date_of(uint64_t days)
{
	static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	struct date date = {.weekday = (unsigned)((days + 4) % 7)};
	unsigned rest = (unsigned)(days % DAYS_PER_400_YEARS), length;

	/* Only the last four digits are ever shown, and 400 years are 25 times 16. */
	date.year = 1970 + (unsigned)(days / DAYS_PER_400_YEARS % 25) * 400;
	while (rest >= (length = leap(date.year) ? 366 : 365)) {
		rest -= length;
		date.year++;
	}
	while (rest >= (length = lengths[date.month] + (date.month == 1 && leap(date.year)))) {
		rest -= length;
		date.month++;
	}
	date.month++;
	date.day = rest + 1;
	return date;
}

static uint8_t bcd(uint64_t value)
{
	return (uint8_t)(value / 10 % 10 << 4 | value % 10);
}

static uint8_t read_register(const struct rtc *rtc, uint64_t now)
{
	uint64_t seconds = rtc->epoch + now / NSEC_PER_SEC;
	struct date date = date_of(seconds / 86400);

	switch (rtc->index) {
	case REG_SECONDS:
		return bcd(seconds % 60);
	case REG_MINUTES:
		return bcd(seconds / 60 % 60);
	case REG_HOURS:
		return bcd(seconds / 3600 % 24);
	case REG_WEEKDAY:
		return bcd(date.weekday + 1);
	case REG_DAY:
		return bcd(date.day);
	case REG_MONTH:
		return bcd(date.month);
	case REG_YEAR:
		return bcd(date.year % 100);
	case REG_CENTURY:
		return bcd(date.year / 100);
	case REG_A:
		return rtc->memory[REG_A] |
		       (now % NSEC_PER_SEC >= NSEC_PER_SEC - UPDATE_NS ? A_UIP : 0);
	case REG_B:
		return B_24HOUR;
	case REG_C:
		return 0;
	case REG_D:
		return D_VALID;
	default:
		return rtc->memory[rtc->index];
	}
}

static uint64_t rtc_read(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t now)
{
	struct rtc *rtc = container_of(dev, struct rtc, dev);

	return offset == 0 ? 0xff : read_register(rtc, now); /* the index is write-only */
}

static void rtc_write(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t value,
		      uint64_t now)
{
	struct rtc *rtc = container_of(dev, struct rtc, dev);

	if (offset == 0)
		rtc->index = value % RTC_REGISTERS; /* bit 7 is the NMI mask: no such NMI */
	else if (rtc->index == REG_A)
		rtc->memory[REG_A] = value & (0xff & ~A_UIP);
	else
		rtc->memory[rtc->index] = (uint8_t)value;
}

void rtc_init(struct rtc *rtc, uint64_t epoch)
{
	static const struct bus_ops bus_ops = {rtc_read, rtc_write, 1};

	*rtc = (struct rtc){
		.dev = {&bus_ops, "rtc"},
		.epoch = epoch,
		.memory[REG_A] = A_DEFAULT,
	};
}
