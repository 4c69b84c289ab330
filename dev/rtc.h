/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CMOS clock and memory: Motorola MC146818 behind ports 70H and 71H.
 *
 * The time is a pure function of guest time: @epoch (UTC seconds since 1970 at guest time 0) plus
 * now. It is always given as BCD in 24-hour form; register B says so and does not change. Writes to
 * the time are ignored. There are no interrupts: alarm, periodic and update enables read back as
 * zero and register C is always clear. The update-in-progress bit is set for the last 244 us of
 * each second, as on the chip. Registers 0EH and up, but for the century, are battery memory.
 *
 * Thread: the caller of the bus.
 */
#ifndef SSIHV_DEV_RTC_H
#define SSIHV_DEV_RTC_H

#include "bus/bus.h"

#define RTC_PORTS     2
#define RTC_REGISTERS 128

struct rtc {
	struct bus_device dev;
	uint64_t epoch;
	uint8_t index;
	uint8_t memory[RTC_REGISTERS];
};

/** rtc_init() - put @rtc->dev on RTC_PORTS ports. @epoch: UTC seconds since 1970 at guest time 0.
 */
void rtc_init(struct rtc *rtc, uint64_t epoch);

#endif
