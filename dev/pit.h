/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interval timer (Intel 8254 data sheet) at ports 40H..43H, and system control port B (61H).
 *
 * Enough for calibration against channel 2 and for reading channel 0: modes 0 to 5, binary and BCD,
 * counter latch, read-back, gate and output of channel 2. Every count and output is a pure function
 * of the programmed state and guest time. A count takes effect as soon as it is written, not at the
 * next clock or the end of the period, which no reader can tell from a fast write.
 *
 * No interrupts: channel 0 would raise IRQ 0 only, and guests of this machine take their ticks from
 * the local APIC timer; a periodic timer per host that forwards its ticks would cost without use.
 *
 * Each node may have one of its own: calibration programs and reads it on one CPU. What one node's
 * guest CPU has programmed is not seen through another node's struct pit.
 *
 * Thread: the caller of the bus.
 */
#ifndef SSIHV_DEV_PIT_H
#define SSIHV_DEV_PIT_H

#include "bus/bus.h"

#define PIT_PORTS    4
#define PIT_CHANNELS 3
#define PIT_HZ	     UINT64_C(1193182)

/**
 * struct pit_channel - one counter
 * @start:       tick (guest time at PIT_HZ) since which it counts
 * @held:        ticks that it had counted before that
 * @reload:      initial count, at least 1
 * @access:      1 low byte, 2 high byte, 3 both
 * @loaded:      a count was written since the control word
 * @counting:    false while the gate holds it, or before its trigger
 * @read_second: the next byte read is the high one of two; @write_second likewise
 */
struct pit_channel {
	uint64_t start, held;
	uint32_t reload;
	uint16_t latched_count;
	uint8_t latched_status, low_byte;
	uint8_t mode, access;
	bool bcd, gate, loaded, counting;
	bool read_second, write_second;
	bool count_latched, status_latched;
};

/* @dev: PIT_PORTS ports at PIT_PORT; @port_b: one port at PIT_PORT_B. */
struct pit {
	struct bus_device dev;
	struct bus_device port_b;
	struct pit_channel channel[PIT_CHANNELS];
	uint8_t port_b_value;
};

/** pit_init() - no channel programmed, gate of channel 2 low. */
void pit_init(struct pit *pit);

#endif
