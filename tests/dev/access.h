/* SPDX-License-Identifier: Apache-2.0 */
/* Port accesses through a real bus, as a guest makes them. */
#ifndef SSIHV_TESTS_ACCESS_H
#define SSIHV_TESTS_ACCESS_H

#include "tests/check.h"

#include "bus/bus.h"

static inline uint32_t in(struct bus *bus, uint16_t port, unsigned size, uint64_t now)
{
	uint64_t value = 0;

	assert_true(bus_pio(bus, port, size, false, &value, now));
	return (uint32_t)value;
}

static inline void out(struct bus *bus, uint16_t port, unsigned size, uint64_t value, uint64_t now)
{
	assert_true(bus_pio(bus, port, size, true, &value, now));
}

#endif
