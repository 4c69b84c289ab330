/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O APIC. An edge-triggered pin sends on a rising edge while unmasked; an edge on a masked pin is
 * lost. A level-triggered pin sends while its line is asserted, it is unmasked and no earlier
 * message waits for its EOI (remote IRR). Every event ends in send_level() for what it may have
 * freed, so the three conditions are tested in one place.
 */
#include "irq/ioapic.h"
#include "irq/route.h"

#define REG_ID	    0
#define REG_VERSION 1
#define REG_ARB	    2
#define REG_TABLE   0x10

#define WINDOW_SELECT 0x00
#define WINDOW_DATA   0x10

#define ENTRY_REMOTE_IRR (UINT64_C(1) << 14)
#define ENTRY_LEVEL	 (UINT64_C(1) << 15)
#define ENTRY_MASKED	 (UINT64_C(1) << 16)
/* Vector, modes, polarity, trigger, mask; extended and plain destination. */
#define ENTRY_WRITABLE UINT64_C(0xfffe00000001afff)

void ioapic_reset(struct ioapic *io, uint8_t id)
{
	*io = (struct ioapic){.id = id & 15};
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->entry[pin] = ENTRY_MASKED;
}

static enum irq_mode delivery_mode(uint64_t entry)
{
	return entry >> 8 & 7;
}

/* SMI, NMI, INIT and ExtINT are edge-triggered whatever the entry says (table in 3.2.4). */
static bool level_triggered(uint64_t entry)
{
	enum irq_mode mode = delivery_mode(entry);

	return (entry & ENTRY_LEVEL) && (mode == IRQ_FIXED || mode == IRQ_LOWEST);
}

static void send(uint64_t entry, struct ioapic_output *out)
{
	enum irq_mode mode = delivery_mode(entry);

	if (mode == 3 || mode == IRQ_SIPI)
		return; /* reserved */
	out->message[out->count++] = (struct irq_message){
		.dest = route_widen_dest((uint8_t)(entry >> 56), (uint8_t)(entry >> 49 & 0x7f)),
		.vector = (uint8_t)entry,
		.mode = (uint8_t)mode,
		.logical = entry >> 11 & 1,
		.level = level_triggered(entry),
	};
}

static void send_level(struct ioapic *io, unsigned pin, struct ioapic_output *out)
{
	uint64_t *entry = &io->entry[pin];

	if (!level_triggered(*entry) || (*entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)) ||
	    !(io->asserted >> pin & 1))
		return;
	*entry |= ENTRY_REMOTE_IRR;
	send(*entry, out);
}

static uint32_t read_register(const struct ioapic *io)
{
	unsigned pin = (io->select - REG_TABLE) / 2u;

	switch (io->select) {
	case REG_ID:
	case REG_ARB:
		return (uint32_t)io->id << 24;
	case REG_VERSION:
		return 0x11 | (IOAPIC_PINS - 1) << 16;
	default:
		if (io->select < REG_TABLE || pin >= IOAPIC_PINS)
			return 0;
		return (uint32_t)(io->entry[pin] >> (io->select % 2 * 32));
	}
}

static void write_entry(struct ioapic *io, unsigned pin, bool high, uint32_t value,
			struct ioapic_output *out)
{
	uint64_t half = high ? UINT64_C(0xffffffff00000000) : UINT32_MAX;
	uint64_t mask = ENTRY_WRITABLE & half;
	uint64_t *entry = &io->entry[pin];

	*entry = (*entry & ~mask) | (((uint64_t)value << (high ? 32 : 0)) & mask);
	/* Guests end a stuck level interrupt by switching the pin to edge and back. */
	if (!level_triggered(*entry))
		*entry &= ~ENTRY_REMOTE_IRR;
	send_level(io, pin, out);
}

uint64_t ioapic_read(const struct ioapic *io, uint64_t offset, unsigned size)
{
	if (offset == WINDOW_SELECT)
		return io->select;
	return offset == WINDOW_DATA && size == 4 ? read_register(io) : 0;
}

void ioapic_write(struct ioapic *io, uint64_t offset, unsigned size, uint64_t value,
		  struct ioapic_output *out)
{
	unsigned pin = (io->select - REG_TABLE) / 2u;

	out->count = 0;
	if (offset == WINDOW_SELECT)
		io->select = (uint8_t)value;
	else if (offset != WINDOW_DATA || size != 4)
		return;
	else if (io->select == REG_ID)
		io->id = value >> 24 & 15;
	else if (io->select >= REG_TABLE && pin < IOAPIC_PINS)
		write_entry(io, pin, io->select % 2, (uint32_t)value, out);
}

int ioapic_set_line(struct ioapic *io, unsigned pin, bool asserted, struct ioapic_output *out)
{
	bool before;

	out->count = 0;
	if (pin >= IOAPIC_PINS)
		return -EINVAL;
	before = io->asserted >> pin & 1;
	io->asserted = (io->asserted & ~(1u << pin)) | (uint32_t)asserted << pin;
	if (level_triggered(io->entry[pin]))
		send_level(io, pin, out);
	else if (asserted && !before && !(io->entry[pin] & ENTRY_MASKED))
		send(io->entry[pin], out);
	return 0;
}

void ioapic_eoi(struct ioapic *io, uint8_t vector, struct ioapic_output *out)
{
	out->count = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if ((uint8_t)io->entry[pin] != vector || !(io->entry[pin] & ENTRY_REMOTE_IRR))
			continue;
		io->entry[pin] &= ~ENTRY_REMOTE_IRR;
		send_level(io, pin, out);
	}
}
