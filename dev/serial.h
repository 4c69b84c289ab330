/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16550A UART (National Semiconductor PC16550D data sheet, section 8).
 *
 * Transmission takes no time: a byte written to the THR is in the sink when the write returns, so
 * the transmitter is always empty. Reception is throttled by the caller: serial_receive() takes no
 * more than the FIFO holds, and nothing is ever overrun but in loopback mode. Divisor and line
 * format are kept and do nothing; parity, framing and break never occur.
 *
 * The interrupt line is gated by OUT2 as on a PC. It falls and rises again between two interrupts
 * of the transmitter, so that an edge-triggered input sees both.
 *
 * Thread: the caller of the bus; serial_receive() is serialised with it. The callbacks run inside
 * of these calls and must not call back into the device.
 */
#ifndef SSIHV_DEV_SERIAL_H
#define SSIHV_DEV_SERIAL_H

#include "bus/bus.h"

#define SERIAL_PORTS 8
#define SERIAL_FIFO  16

/**
 * struct serial_ops - where the UART ends
 * @transmit: a byte leaves
 * @line:     the interrupt line changes; called on changes only
 */
struct serial_ops {
	void (*transmit)(void *ctx, uint8_t byte);
	void (*line)(void *ctx, bool asserted);
};

struct serial {
	struct bus_device dev;
	const struct serial_ops *ops;
	void *ctx;
	uint8_t ier, fcr, lcr, mcr, scratch, divisor[2];
	uint8_t msr_delta;   /* low half of the MSR */
	bool overrun;	     /* LSR bit 1 */
	bool thre_interrupt; /* the transmitter wants to be heard */
	bool asserted;
	uint8_t fifo[SERIAL_FIFO];
	unsigned head, count;
};

/** serial_init() - state after a master reset; put @s->dev on SERIAL_PORTS ports of the bus. */
void serial_init(struct serial *s, const struct serial_ops *ops, void *ctx);

/**
 * serial_receive() - bytes arrive from the line
 *
 * Return: how many of @len were taken: up to 16 with the FIFO on, 1 with it off, 0 in loopback
 * mode. Offer the rest again after the guest has read from the device.
 */
size_t serial_receive(struct serial *s, const uint8_t *bytes, size_t len);

#endif
