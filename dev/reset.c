/* SPDX-License-Identifier: Apache-2.0 */
/* Reset control register and keyboard-controller reset. See reset.h. */
#include "dev/reset.h"

#define CONTROL_KIND 0x0a /* system reset, full reset */
#define CONTROL_CPU  0x04

#define I8042_PULSE_RESET 0xfe

static uint64_t control_read(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t now)
{
	return container_of(dev, struct reset, control)->value;
}

static void control_write(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t value,
			  uint64_t now)
{
	struct reset *reset = container_of(dev, struct reset, control);

	/* The machine is reset before the bit could be read back, so it is never kept. */
	reset->value = value & CONTROL_KIND;
	if (value & CONTROL_CPU)
		reset->requested(reset->ctx);
}

static uint64_t i8042_read(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t now)
{
	return 0xff;
}

static void i8042_write(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t value,
			uint64_t now)
{
	struct reset *reset = container_of(dev, struct reset, i8042);

	if (value == I8042_PULSE_RESET)
		reset->requested(reset->ctx);
}

void reset_init(struct reset *reset, void (*requested)(void *ctx), void *ctx)
{
	static const struct bus_ops control_ops = {control_read, control_write, 1};
	static const struct bus_ops i8042_ops = {i8042_read, i8042_write, 1};

	*reset = (struct reset){
		.control = {&control_ops, "reset"},
		.i8042 = {&i8042_ops, "i8042"},
		.requested = requested,
		.ctx = ctx,
	};
}
