/* SPDX-License-Identifier: Apache-2.0 */
/* Port and MMIO dispatch: sorted ranges, binary search, splitting of accesses. See bus.h. */
#include "bus/bus.h"

/* Index of the first range that ends at @address or later; count if there is none. */
static unsigned lower_bound(const struct bus_space *space, uint64_t address)
{
	unsigned low = 0, high = space->count;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (space->range[mid].last < address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int add(struct bus_space *space, uint64_t first, uint64_t bytes, struct bus_device *dev)
{
	uint64_t last = first + bytes - 1;
	unsigned at;

	if (bytes == 0 || last < first)
		return -EINVAL;
	at = lower_bound(space, first);
	if (at < space->count && space->range[at].first <= last)
		return -EEXIST;
	if (space->count == BUS_RANGES_MAX)
		return -ENOSPC;
	memmove(&space->range[at + 1], &space->range[at],
		(space->count - at) * sizeof(space->range[0]));
	space->range[at] = (struct bus_range){first, last, dev};
	space->count++;
	return 0;
}

int bus_add_pio(struct bus *bus, uint64_t port, uint64_t count, struct bus_device *dev)
{
	if (port > UINT16_MAX || count > UINT16_MAX + 1 - port)
		return -EINVAL;
	return add(&bus->pio, port, count, dev);
}

int bus_add_mmio(struct bus *bus, uint64_t gpa, uint64_t bytes, struct bus_device *dev)
{
	return add(&bus->mmio, gpa, bytes, dev);
}

const struct bus_range *bus_find(const struct bus_space *space, uint64_t address)
{
	unsigned at = lower_bound(space, address);

	if (at == space->count || space->range[at].first > address)
		return NULL;
	return &space->range[at];
}

static uint64_t ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;
}

/* The whole access to one device. Return: false when it must be split, or has no taker. */
static bool access_whole(const struct bus_space *space, uint64_t address, unsigned size, bool write,
			 uint64_t *value, uint64_t now)
{
	const struct bus_range *range = bus_find(space, address);
	struct bus_device *dev;

	if (!range || size > range->dev->ops->size_max || size - 1 > range->last - address)
		return false;
	dev = range->dev;
	if (write)
		dev->ops->write(dev, address - range->first, size, *value & ones(size), now);
	else
		*value = dev->ops->read(dev, address - range->first, size, now) & ones(size);
	return true;
}

static bool access_space(const struct bus_space *space, uint64_t address, unsigned size, bool write,
			 uint64_t *value, uint64_t now)
{
	bool claimed = false;

	if (size < 1 || size > 8) {
		*value = UINT64_MAX;
		return false;
	}
	if (access_whole(space, address, size, write, value, now))
		return true;
	if (!write)
		*value = ones(size);
	for (unsigned i = 0; size > 1 && i < size; i++) {
		uint64_t byte = *value >> (i * 8) & 0xff;

		if (!access_whole(space, address + i, 1, write, &byte, now))
			continue;
		claimed = true;
		if (!write)
			*value = (*value & ~(UINT64_C(0xff) << (i * 8))) | byte << (i * 8);
	}
	return claimed;
}

bool bus_pio(struct bus *bus, uint16_t port, unsigned size, bool write, uint64_t *value,
	     uint64_t now)
{
	return access_space(&bus->pio, port, size, write, value, now);
}

bool bus_mmio(struct bus *bus, uint64_t gpa, unsigned size, bool write, uint64_t *value,
	      uint64_t now)
{
	return access_space(&bus->mmio, gpa, size, write, value, now);
}
