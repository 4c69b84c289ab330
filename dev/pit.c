/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interval timer. A channel is described by how many ticks it has counted since it was loaded;
 * count and output follow from that by its mode (data sheet, "Mode definitions").
 */
#include "dev/pit.h"

#define CHANNEL_SPEAKER 2
#define PORT_CONTROL	3
#define READ_BACK	3

#define ACCESS_LATCH 0
#define ACCESS_LOW   1
#define ACCESS_HIGH  2
#define ACCESS_BOTH  3

#define STATUS_OUT  0x80
#define STATUS_NULL 0x40

#define PORT_B_GATE    0x01
#define PORT_B_WRITE   0x0f /* gate, speaker, and two check enables */
#define PORT_B_REFRESH 0x10
#define PORT_B_OUT     0x20

/* Half the period of the memory-refresh toggle that old software spins on. */
#define REFRESH_NS 15085

enum mode {
	MODE_TERMINAL_COUNT = 0,
	MODE_ONE_SHOT = 1,
	MODE_RATE = 2,
	MODE_SQUARE = 3,
	MODE_STROBE = 4,
	MODE_TRIGGERED_STROBE = 5,
};

static uint64_t tick(uint64_t now)
{
	return (uint64_t)((unsigned __int128)now * PIT_HZ / NSEC_PER_SEC);
}

static uint64_t elapsed(const struct pit_channel *c, uint64_t now)
{
	uint64_t at = tick(now);

	return c->held + (c->counting && at > c->start ? at - c->start : 0);
}

static bool periodic(const struct pit_channel *c)
{
	return c->mode == MODE_RATE || c->mode == MODE_SQUARE;
}

static bool waits_for_trigger(const struct pit_channel *c)
{
	return c->mode == MODE_ONE_SHOT || c->mode == MODE_TRIGGERED_STROBE;
}

static uint32_t modulus(const struct pit_channel *c)
{
	return c->bcd ? 10000 : 65536;
}

/* A square wave is high for the first half of its period, the longer one if it is odd. */
static uint32_t high_half(const struct pit_channel *c)
{
	return (c->reload + 1) / 2;
}

/* The counting element's value, binary. */
static uint32_t count(const struct pit_channel *c, uint64_t now)
{
	uint64_t done = elapsed(c, now);
	uint32_t phase;

	if (!c->loaded)
		return 0;
	if (!periodic(c))
		return (uint32_t)((c->reload + modulus(c) - done % modulus(c)) % modulus(c));
	phase = (uint32_t)(done % c->reload);
	if (c->mode == MODE_RATE)
		return c->reload - phase;
	if (phase >= high_half(c))
		phase -= high_half(c);
	return (c->reload & ~1u) - 2 * phase;
}

static bool output(const struct pit_channel *c, uint64_t now)
{
	uint64_t done = elapsed(c, now);

	if (!c->loaded)
		return c->mode != MODE_TERMINAL_COUNT;
	switch (c->mode) {
	case MODE_TERMINAL_COUNT:
		return done >= c->reload;
	case MODE_ONE_SHOT:
		return !c->counting || done >= c->reload;
	case MODE_RATE:
		return !c->gate || done % c->reload != c->reload - 1;
	case MODE_SQUARE:
		return !c->gate || done % c->reload < high_half(c);
	default:
		return done != c->reload;
	}
}

/* What the guest reads: BCD digits if asked for, 16 bits. */
static uint16_t visible_count(const struct pit_channel *c, uint64_t now)
{
	uint32_t n = count(c, now) % modulus(c);

	if (!c->bcd)
		return (uint16_t)n;
	return (uint16_t)(n / 1000 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10);
}

static void load(struct pit_channel *c, uint16_t value, uint64_t now)
{
	uint32_t n = value;

	if (c->bcd)
		n = (value >> 12) * 1000u + (value >> 8 & 15) * 100u + (value >> 4 & 15) * 10u +
		    (value & 15);
	c->reload = n ? n : modulus(c);
	c->loaded = true;
	if (waits_for_trigger(c))
		return;
	c->held = 0;
	c->start = tick(now);
	c->counting = c->gate;
}

static void write_count(struct pit_channel *c, uint8_t byte, uint64_t now)
{
	if (c->access == ACCESS_LOW) {
		load(c, byte, now);
	} else if (c->access == ACCESS_HIGH) {
		load(c, (uint16_t)(byte << 8), now);
	} else if (c->write_second) {
		c->write_second = false;
		load(c, (uint16_t)(byte << 8 | c->low_byte), now);
	} else {
		c->write_second = true;
		c->low_byte = byte;
		if (c->mode == MODE_TERMINAL_COUNT)
			c->loaded = false; /* the first byte stops the count */
	}
}

static uint8_t read_count(struct pit_channel *c, uint64_t now)
{
	uint16_t value = c->count_latched ? c->latched_count : visible_count(c, now);
	bool high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->read_second);

	if (c->status_latched) {
		c->status_latched = false;
		return c->latched_status;
	}
	c->read_second = c->access == ACCESS_BOTH && !c->read_second;
	if (!c->read_second)
		c->count_latched = false;
	return (uint8_t)(high ? value >> 8 : value);
}

/* A second latch before the first is read is ignored (data sheet, "Counter latch command"). */
static void latch_count(struct pit_channel *c, uint64_t now)
{
	if (c->count_latched)
		return;
	c->latched_count = visible_count(c, now);
	c->count_latched = true;
}

static void latch_status(struct pit_channel *c, uint64_t now)
{
	if (c->status_latched)
		return;
	c->latched_status =
		(uint8_t)((output(c, now) ? STATUS_OUT : 0) | (c->loaded ? 0 : STATUS_NULL) |
			  c->access << 4 | c->mode << 1 | c->bcd);
	c->status_latched = true;
}

static void read_back(struct pit *pit, uint8_t command, uint64_t now)
{
	for (unsigned i = 0; i < PIT_CHANNELS; i++) {
		if (!(command >> (i + 1) & 1))
			continue;
		if (!(command & 0x20))
			latch_count(&pit->channel[i], now);
		if (!(command & 0x10))
			latch_status(&pit->channel[i], now);
	}
}

static void control(struct pit *pit, uint8_t command, uint64_t now)
{
	unsigned select = command >> 6, access = command >> 4 & 3, mode = command >> 1 & 7;
	struct pit_channel *c;

	if (select == READ_BACK) {
		read_back(pit, command, now);
		return;
	}
	c = &pit->channel[select];
	if (access == ACCESS_LATCH) {
		latch_count(c, now);
		return;
	}
	*c = (struct pit_channel){
		.mode = (uint8_t)(mode > 5 ? mode - 4 : mode), /* 6 and 7 are 2 and 3 */
		.access = (uint8_t)access,
		.bcd = command & 1,
		.gate = c->gate,
		.reload = 1,
	};
}

static void set_gate(struct pit_channel *c, bool gate, uint64_t now)
{
	if (gate == c->gate)
		return;
	if (!gate && !waits_for_trigger(c)) {
		c->held = elapsed(c, now);
		c->counting = false;
	} else if (gate && c->loaded) {
		if (periodic(c) || waits_for_trigger(c))
			c->held = 0; /* the rising edge starts over */
		c->start = tick(now);
		c->counting = true;
	}
	c->gate = gate;
}

static uint64_t pit_read(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t now)
{
	struct pit *pit = container_of(dev, struct pit, dev);

	return offset < PIT_CHANNELS ? read_count(&pit->channel[offset], now) : 0xff;
}

static void pit_write(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t value,
		      uint64_t now)
{
	struct pit *pit = container_of(dev, struct pit, dev);

	if (offset < PIT_CHANNELS)
		write_count(&pit->channel[offset], (uint8_t)value, now);
	else if (offset == PORT_CONTROL)
		control(pit, (uint8_t)value, now);
}

static uint64_t port_b_read(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t now)
{
	struct pit *pit = container_of(dev, struct pit, port_b);

	return pit->port_b_value | (now / REFRESH_NS % 2 ? PORT_B_REFRESH : 0) |
	       (output(&pit->channel[CHANNEL_SPEAKER], now) ? PORT_B_OUT : 0);
}

static void port_b_write(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t value,
			 uint64_t now)
{
	struct pit *pit = container_of(dev, struct pit, port_b);

	pit->port_b_value = value & PORT_B_WRITE;
	set_gate(&pit->channel[CHANNEL_SPEAKER], value & PORT_B_GATE, now);
}

void pit_init(struct pit *pit)
{
	static const struct bus_ops pit_ops = {pit_read, pit_write, 1};
	static const struct bus_ops port_b_ops = {port_b_read, port_b_write, 1};

	*pit = (struct pit){.dev = {&pit_ops, "pit"}, .port_b = {&port_b_ops, "port-b"}};
	for (unsigned i = 0; i < PIT_CHANNELS; i++)
		pit->channel[i] = (struct pit_channel){
			.access = ACCESS_BOTH,
			.reload = 1,
			.gate = i != CHANNEL_SPEAKER,
		};
}
