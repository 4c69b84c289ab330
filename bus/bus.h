/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port and MMIO dispatch: which device answers an access of the guest.
 *
 * Two address spaces, each a sorted array of ranges that do not overlap. An access goes to the
 * device whose range holds all of it, if the device takes accesses that wide; any other access is
 * split into bytes and each byte finds its own device, as a chipset does for narrow devices. Bytes
 * that nobody claims read as ones and swallow writes.
 *
 * Threads and locks: none inside. The caller serialises everything for one struct bus, and thereby
 * the devices on it. A device outlives the bus that it is on. A string instruction is one call per
 * element.
 */
#ifndef SSIHV_BUS_BUS_H
#define SSIHV_BUS_BUS_H

#include "base/base.h"

#define BUS_RANGES_MAX 128

struct bus_device;

/**
 * struct bus_ops - how a device is accessed
 * @read:     @size bytes at @offset of the range; bits above @size are dropped by the bus
 * @write:    @value has no bits above @size
 * @size_max: widest access that the device takes whole: 1, 2, 4 or 8
 *
 * @offset + @size never exceeds the range's length. @size is 1..@size_max, 3 and 5..7 included.
 * @now is guest time in nanoseconds.
 */
struct bus_ops {
	uint64_t (*read)(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t now);
	void (*write)(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t value,
		      uint64_t now);
	unsigned size_max;
};

/* Embedded in a device (container_of), once for each range whose offsets start at 0. */
struct bus_device {
	const struct bus_ops *ops;
	const char *name;
};

struct bus_range {
	uint64_t first, last;
	struct bus_device *dev;
};

struct bus_space {
	unsigned count;
	struct bus_range range[BUS_RANGES_MAX];
};

/* All zero is an empty bus. */
struct bus {
	struct bus_space pio, mmio;
};

/**
 * bus_add_pio() - put @dev at @count ports from @port
 *
 * Return: 0; -EINVAL for an empty range or one past port 65535; -EEXIST when it overlaps another;
 * -ENOSPC when the table is full.
 */
int bus_add_pio(struct bus *bus, uint64_t port, uint64_t count, struct bus_device *dev);

/** bus_add_mmio() - put @dev at @bytes from guest-physical @gpa. Return: as bus_add_pio(). */
int bus_add_mmio(struct bus *bus, uint64_t gpa, uint64_t bytes, struct bus_device *dev);

/** bus_find() - the range that holds @address, or NULL. */
const struct bus_range *bus_find(const struct bus_space *space, uint64_t address);

/**
 * bus_pio() - one port access of the guest
 * @size:  bytes, 1, 2 or 4 from a guest; nobody claims less than 1 or more than 8
 * @write: true: @value is written; false: @value is overwritten with what is read
 * @now:   guest time in nanoseconds
 *
 * Return: true when a device claimed at least one byte of it.
 */
bool bus_pio(struct bus *bus, uint16_t port, unsigned size, bool write, uint64_t *value,
	     uint64_t now);

/** bus_mmio() - one memory access that hit no RAM. Return: as bus_pio(). */
bool bus_mmio(struct bus *bus, uint64_t gpa, unsigned size, bool write, uint64_t *value,
	      uint64_t now);

#endif
