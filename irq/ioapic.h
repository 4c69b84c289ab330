/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O APIC with 24 pins: Intel 82093AA data sheet (order number 290566), section 3.
 *
 * A pure state machine. Lines go in by ioapic_set_line(), guest accesses by ioapic_read/write(),
 * EOI broadcasts by ioapic_eoi(); messages to route come out in a struct ioapic_output.
 *
 * Limits: a line is given as asserted or not, so the polarity bit is kept but does nothing; a
 * message is taken as accepted the moment it is sent, so that a level-triggered one without a
 * receiver keeps its remote IRR until the guest reprograms the entry.
 *
 * Extension over the data sheet: bits 55:49 of an entry are bits 14:8 of the destination, see
 * route_widen_dest(). A guest uses them only if it was told so by CPUID.
 *
 * Thread: the caller serialises all calls for one struct ioapic.
 */
#ifndef SSIHV_IRQ_IOAPIC_H
#define SSIHV_IRQ_IOAPIC_H

#include "irq/message.h"

#define IOAPIC_BASE  UINT64_C(0xfec00000)
#define IOAPIC_BYTES UINT64_C(0x1000)
#define IOAPIC_PINS  24

/* Plain data: it is moved or saved by copying it. */
struct ioapic {
	uint64_t entry[IOAPIC_PINS]; /* redirection table, remote IRR included */
	uint32_t asserted;	     /* bit a pin: the level of its line */
	uint8_t id;		     /* 4 bits */
	uint8_t select;
};

/* Messages to route, in this order. */
struct ioapic_output {
	unsigned count;
	struct irq_message message[IOAPIC_PINS];
};

/** ioapic_reset() - all pins masked, all lines deasserted. @id: 0..15, the rest is dropped. */
void ioapic_reset(struct ioapic *io, uint8_t id);

/**
 * ioapic_read() - load of @size bytes at @offset of the window
 *
 * Return: the select register at 0, the selected register at 10H (4 bytes only), else 0.
 */
uint64_t ioapic_read(const struct ioapic *io, uint64_t offset, unsigned size);

/** ioapic_write() - store; anything but the select register and a 4-byte data store is ignored. */
void ioapic_write(struct ioapic *io, uint64_t offset, unsigned size, uint64_t value,
		  struct ioapic_output *out);

/**
 * ioapic_set_line() - a device asserts or deasserts a pin
 *
 * Return: 0; -EINVAL when there is no such pin.
 */
int ioapic_set_line(struct ioapic *io, unsigned pin, bool asserted, struct ioapic_output *out);

/** ioapic_eoi() - a local APIC has ended level-triggered @vector; asserted lines send again. */
void ioapic_eoi(struct ioapic *io, uint8_t vector, struct ioapic_output *out);

#endif
