/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16550A UART. All interrupt conditions but one are functions of the registers. The exception is
 * "transmitter empty": it is raised when the THR becomes empty or when it is enabled while empty,
 * and it is cleared by reading the IIR that reports it or by writing the THR (table 4).
 */
#include "dev/serial.h"

enum reg {
	REG_DATA, /* RBR, THR; DLL with DLAB */
	REG_IER,  /* DLM with DLAB */
	REG_IIR,  /* FCR when written */
	REG_LCR,
	REG_MCR,
	REG_LSR,
	REG_MSR,
	REG_SCRATCH,
};

#define IER_RDA	 1
#define IER_THRE 2
#define IER_RLS	 4
#define IER_MSI	 8
#define IER_ALL	 15

#define IIR_NONE 1
#define IIR_MSI	 0
#define IIR_THRE 2
#define IIR_RDA	 4
#define IIR_RLS	 6
#define IIR_CTI	 12 /* FIFO timeout: fewer bytes than the trigger level */
#define IIR_FIFO 0xc0

#define FCR_ENABLE   1
#define FCR_CLEAR_RX 2

#define LCR_DLAB 0x80

#define MCR_DTR	 1
#define MCR_RTS	 2
#define MCR_OUT1 4
#define MCR_OUT2 8
#define MCR_LOOP 16
#define MCR_ALL	 31

#define LSR_DR	     1
#define LSR_OE	     2
#define LSR_TX_EMPTY 0x60 /* THRE and TEMT */

#define MSR_TERI 4 /* ring went off */
#define MSR_CTS	 0x10
#define MSR_DSR	 0x20
#define MSR_RI	 0x40
#define MSR_DCD	 0x80

static unsigned capacity(const struct serial *s)
{
	return s->fcr & FCR_ENABLE ? SERIAL_FIFO : 1;
}

static unsigned trigger_level(const struct serial *s)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

/* The pending interrupt of highest priority (table 4), without the FIFO bits. */
static uint8_t interrupt_id(const struct serial *s)
{
	if ((s->ier & IER_RLS) && s->overrun)
		return IIR_RLS;
	if ((s->ier & IER_RDA) && s->count >= trigger_level(s))
		return IIR_RDA;
	/* The line is taken to be idle after each batch, so the timeout has always passed. */
	if ((s->ier & IER_RDA) && s->count)
		return IIR_CTI;
	if ((s->ier & IER_THRE) && s->thre_interrupt)
		return IIR_THRE;
	if ((s->ier & IER_MSI) && s->msr_delta)
		return IIR_MSI;
	return IIR_NONE;
}

static void update_line(struct serial *s)
{
	bool connected = (s->mcr & MCR_OUT2) && !(s->mcr & MCR_LOOP);
	bool asserted = connected && interrupt_id(s) != IIR_NONE;

	if (asserted == s->asserted)
		return;
	s->asserted = asserted;
	s->ops->line(s->ctx, asserted);
}

/* The modem lines: a peer that is always ready, or our own outputs in loopback mode. */
static uint8_t modem_lines(const struct serial *s)
{
	if (!(s->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
	       (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void write_mcr(struct serial *s, uint8_t value)
{
	uint8_t before = modem_lines(s), changed;

	s->mcr = value & MCR_ALL;
	changed = before ^ modem_lines(s);
	s->msr_delta |= (uint8_t)((changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4);
	if (before & changed & MSR_RI)
		s->msr_delta |= MSR_TERI;
}

static void push(struct serial *s, uint8_t byte)
{
	if (s->count == capacity(s)) {
		s->overrun = true;
		return;
	}
	s->fifo[(s->head + s->count) % SERIAL_FIFO] = byte;
	s->count++;
}

static uint8_t pop(struct serial *s)
{
	uint8_t byte = s->fifo[s->head];

	if (!s->count)
		return 0;
	s->head = (s->head + 1) % SERIAL_FIFO;
	s->count--;
	return byte;
}

static void transmit(struct serial *s, uint8_t byte)
{
	/* The write ends the interrupt; the byte is gone at once, which raises the next one. */
	s->thre_interrupt = false;
	update_line(s);
	if (s->mcr & MCR_LOOP)
		push(s, byte);
	else
		s->ops->transmit(s->ctx, byte);
	s->thre_interrupt = true;
}

static void write_fcr(struct serial *s, uint8_t value)
{
	/* Turning the FIFOs on or off empties them; the other bits count only while it is on. */
	if (((value ^ s->fcr) & FCR_ENABLE) || (value & FCR_ENABLE && value & FCR_CLEAR_RX))
		s->count = 0;
	s->fcr = value & FCR_ENABLE ? (value & 0xc0) | FCR_ENABLE : 0;
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t id = interrupt_id(s);

	if (id == IIR_THRE)
		s->thre_interrupt = false;
	return id | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct serial *s)
{
	uint8_t lsr = LSR_TX_EMPTY | (s->count ? LSR_DR : 0) | (s->overrun ? LSR_OE : 0);

	s->overrun = false;
	return lsr;
}

static uint8_t read_register(struct serial *s, enum reg reg)
{
	uint8_t value;

	switch (reg) {
	case REG_DATA:
		return s->lcr & LCR_DLAB ? s->divisor[0] : pop(s);
	case REG_IER:
		return s->lcr & LCR_DLAB ? s->divisor[1] : s->ier;
	case REG_IIR:
		return read_iir(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return read_lsr(s);
	case REG_MSR:
		value = modem_lines(s) | s->msr_delta;
		s->msr_delta = 0;
		return value;
	case REG_SCRATCH:
		return s->scratch;
	}
	return 0xff;
}

static void write_register(struct serial *s, enum reg reg, uint8_t value)
{
	switch (reg) {
	case REG_DATA:
		if (s->lcr & LCR_DLAB)
			s->divisor[0] = value;
		else
			transmit(s, value);
		break;
	case REG_IER:
		if (s->lcr & LCR_DLAB) {
			s->divisor[1] = value;
			break;
		}
		if (value & ~s->ier & IER_THRE)
			s->thre_interrupt = true;
		s->ier = value & IER_ALL;
		break;
	case REG_IIR:
		write_fcr(s, value);
		break;
	case REG_LCR:
		s->lcr = value;
		break;
	case REG_MCR:
		write_mcr(s, value);
		break;
	case REG_LSR: /* factory test only */
	case REG_MSR:
		break;
	case REG_SCRATCH:
		s->scratch = value;
		break;
	}
}

static uint64_t serial_read(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t now)
{
	struct serial *s = container_of(dev, struct serial, dev);
	uint8_t value = read_register(s, offset % SERIAL_PORTS);

	update_line(s);
	return value;
}

static void serial_write(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t value,
			 uint64_t now)
{
	struct serial *s = container_of(dev, struct serial, dev);

	write_register(s, offset % SERIAL_PORTS, (uint8_t)value);
	update_line(s);
}

void serial_init(struct serial *s, const struct serial_ops *ops, void *ctx)
{
	static const struct bus_ops bus_ops = {serial_read, serial_write, 1};

	*s = (struct serial){
		.dev = {&bus_ops, "serial"},
		.ops = ops,
		.ctx = ctx,
		.divisor = {12, 0}, /* 9600 baud */
	};
}

size_t serial_receive(struct serial *s, const uint8_t *bytes, size_t len)
{
	size_t taken = 0;

	if (s->mcr & MCR_LOOP)
		return 0;
	while (taken < len && s->count < capacity(s))
		push(s, bytes[taken++]);
	update_line(s);
	return taken;
}
