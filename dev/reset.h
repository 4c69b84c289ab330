/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways in which a guest resets the machine: the reset control register at port CF9H (named by
 * the FADT) and the pulse command of a keyboard controller that is otherwise absent.
 *
 * Reset control: bit 2 going from 0 to 1 resets; bits 1 and 3 (kind of reset) are kept. The port
 * lies inside of the PCI configuration address register, 0CF8H..0CFBH: a PCI host bridge must let
 * byte accesses to it through to here.
 *
 * Keyboard controller: both ports read as ones, which ends a driver's probe at its first look;
 * command FEH on port 64H resets. All else is dropped.
 *
 * Thread: the caller of the bus, from which the callback is called, too.
 */
#ifndef SSIHV_DEV_RESET_H
#define SSIHV_DEV_RESET_H

#include "bus/bus.h"

/**
 * struct reset - both devices
 * @control: one port, RESET_PORT
 * @i8042:   one port, I8042_COMMAND_PORT; I8042_DATA_PORT needs no device, unclaimed is as good
 */
struct reset {
	struct bus_device control;
	struct bus_device i8042;
	void (*requested)(void *ctx);
	void *ctx;
	uint8_t value;
};

/** reset_init() - @requested is called at each request for a reset. */
void reset_init(struct reset *reset, void (*requested)(void *ctx), void *ctx);

#endif
