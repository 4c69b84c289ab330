/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interrupt message: what a local APIC's ICR, an I/O APIC pin or an MSI write puts on the bus.
 * Plain data of one process; wire/ has its own
 * encoding.
 */
#ifndef SSIHV_IRQ_MESSAGE_H
#define SSIHV_IRQ_MESSAGE_H

#include "base/base.h"

/* Destination that means "every local APIC", in both destination modes (SDM vol 3, 10.12.9). */
#define IRQ_BROADCAST UINT32_MAX

/* Delivery mode: the encoding of ICR, redirection table and MSI data (SDM vol 3, 10.6.1). */
enum irq_mode {
	IRQ_FIXED = 0,
	IRQ_LOWEST = 1,
	IRQ_SMI = 2,
	IRQ_NMI = 4,
	IRQ_INIT = 5,
	IRQ_SIPI = 6,
	IRQ_EXTINT = 7,
};

/* Destination shorthand: the encoding of the ICR. Devices always use IRQ_TO_DEST. */
enum irq_shorthand {
	IRQ_TO_DEST = 0,
	IRQ_TO_SELF = 1,
	IRQ_TO_ALL = 2,
	IRQ_TO_OTHERS = 3,
};

/**
 * struct irq_message - one interrupt on its way to local APICs
 * @dest:      APIC id (physical) or logical destination; 8-bit sources are widened, and their
 *             0xff is turned into IRQ_BROADCAST
 * @vector:    0..255; the start page of a SIPI
 * @mode:      enum irq_mode
 * @shorthand: enum irq_shorthand; @dest and @logical count for IRQ_TO_DEST only
 * @logical:   @dest is a logical destination
 * @level:     level-triggered: its EOI is broadcast to the I/O APIC. De-assertions are never sent.
 */
struct irq_message {
	uint32_t dest;
	uint8_t vector;
	uint8_t mode;
	uint8_t shorthand;
	bool logical;
	bool level;
};

#endif
