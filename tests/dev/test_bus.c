/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "bus/bus.h"

/* A device that is its own memory, and remembers how it was last accessed. */
struct memory {
	struct bus_device dev;
	uint8_t byte[64];
	unsigned last_size;
	uint64_t last_now;
};

static uint64_t memory_read(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t now)
{
	struct memory *m = container_of(dev, struct memory, dev);
	uint64_t value = UINT64_MAX; /* the bus drops what is above size */

	assert_true(offset + size <= sizeof(m->byte));
	memcpy(&value, m->byte + offset, size);
	m->last_size = size;
	m->last_now = now;
	return value;
}

static void memory_write(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t value,
			 uint64_t now)
{
	struct memory *m = container_of(dev, struct memory, dev);

	assert_true(offset + size <= sizeof(m->byte));
	assert_true(size == 8 || value >> (size * 8) == 0);
	memcpy(m->byte + offset, &value, size);
	m->last_size = size;
	m->last_now = now;
}

static const struct bus_ops wide = {memory_read, memory_write, 8};
static const struct bus_ops narrow = {memory_read, memory_write, 1};

static void unclaimed_reads_ones(void **state)
{
	struct bus bus = {0};
	uint64_t value = 0;

	assert_false(bus_pio(&bus, 0x80, 1, false, &value, 0));
	assert_int_equal(value, 0xff);
	assert_false(bus_pio(&bus, 0x80, 4, false, &value, 0));
	assert_int_equal(value, 0xffffffff);
	assert_false(bus_mmio(&bus, 0xfed00000, 8, false, &value, 0));
	assert_int_equal(value, UINT64_MAX);
	value = 5;
	assert_false(bus_pio(&bus, 0x80, 1, true, &value, 0));
}

static void access_reaches_its_device(void **state)
{
	struct memory m = {.dev = {&wide, "wide"}};
	struct bus bus = {0};
	uint64_t value = 0x1122334455667788;

	assert_int_equal(bus_add_mmio(&bus, 0xd0000000, 64, &m.dev), 0);
	assert_true(bus_mmio(&bus, 0xd0000008, 8, true, &value, 77));
	assert_int_equal(m.last_size, 8);
	assert_int_equal(m.last_now, 77);
	assert_true(bus_mmio(&bus, 0xd000000a, 2, false, &value, 0));
	assert_int_equal(value, 0x5566);
	value = UINT64_MAX;
	assert_true(bus_mmio(&bus, 0xd0000000, 2, true, &value, 0));
	assert_int_equal(m.byte[2], 0);
	assert_false(bus_mmio(&bus, 0xd0000040, 4, false, &value, 0));
	assert_false(bus_mmio(&bus, 0xcfffffff, 1, false, &value, 0));
	assert_false(bus_pio(&bus, 0, 1, false, &value, 0));
}

static void overlap_is_refused(void **state)
{
	struct memory m = {.dev = {&wide, "wide"}};
	struct bus bus = {0};

	assert_int_equal(bus_add_pio(&bus, 0x100, 8, &m.dev), 0);
	assert_int_equal(bus_add_pio(&bus, 0x107, 1, &m.dev), -EEXIST);
	assert_int_equal(bus_add_pio(&bus, 0x0ff, 2, &m.dev), -EEXIST);
	assert_int_equal(bus_add_pio(&bus, 0x0f0, 0x100, &m.dev), -EEXIST);
	assert_int_equal(bus_add_pio(&bus, 0x103, 1, &m.dev), -EEXIST);
	assert_int_equal(bus_add_pio(&bus, 0x0ff, 1, &m.dev), 0);
	assert_int_equal(bus_add_pio(&bus, 0x108, 1, &m.dev), 0);
	assert_int_equal(bus.pio.count, 3);
	assert_int_equal(bus_add_mmio(&bus, 0x100, 8, &m.dev), 0);
}

static void impossible_ranges_are_refused(void **state)
{
	struct memory m = {.dev = {&wide, "wide"}};
	struct bus bus = {0};

	assert_int_equal(bus_add_pio(&bus, 0x100, 0, &m.dev), -EINVAL);
	assert_int_equal(bus_add_pio(&bus, 0xffff, 2, &m.dev), -EINVAL);
	assert_int_equal(bus_add_pio(&bus, 0x10000, 1, &m.dev), -EINVAL);
	assert_int_equal(bus_add_pio(&bus, 1, UINT64_MAX, &m.dev), -EINVAL);
	assert_int_equal(bus_add_mmio(&bus, UINT64_MAX, 2, &m.dev), -EINVAL);
	assert_int_equal(bus_add_mmio(&bus, 0, 0, &m.dev), -EINVAL);
	assert_int_equal(bus_add_pio(&bus, 0xffff, 1, &m.dev), 0);
	assert_int_equal(bus_add_mmio(&bus, UINT64_MAX, 1, &m.dev), 0);
	assert_ptr_equal(bus_find(&bus.mmio, UINT64_MAX)->dev, &m.dev);
}

static void ranges_are_found_in_any_order_of_adding(void **state)
{
	struct memory m[BUS_RANGES_MAX];
	struct bus bus = {0};

	for (unsigned i = 0; i < BUS_RANGES_MAX; i++) {
		unsigned at = i * 37 % BUS_RANGES_MAX;

		m[at].dev = (struct bus_device){&wide, "wide"};
		assert_int_equal(bus_add_pio(&bus, at * 16, 8, &m[at].dev), 0);
	}
	assert_int_equal(bus_add_pio(&bus, 0xf000, 1, &m[0].dev), -ENOSPC);
	for (unsigned i = 0; i < BUS_RANGES_MAX; i++) {
		assert_ptr_equal(bus_find(&bus.pio, i * 16)->dev, &m[i].dev);
		assert_ptr_equal(bus_find(&bus.pio, i * 16 + 7)->dev, &m[i].dev);
		assert_null(bus_find(&bus.pio, i * 16 + 8));
	}
}

static void wide_access_to_a_narrow_device_is_split(void **state)
{
	struct memory m = {.dev = {&narrow, "narrow"}, .byte = {1, 2, 3, 4}};
	struct bus bus = {0};
	uint64_t value = 0;

	assert_int_equal(bus_add_pio(&bus, 0x70, 64, &m.dev), 0);
	assert_true(bus_pio(&bus, 0x70, 4, false, &value, 0));
	assert_int_equal(value, 0x04030201);
	assert_int_equal(m.last_size, 1);
	value = 0xbbaa;
	assert_true(bus_pio(&bus, 0x71, 2, true, &value, 0));
	assert_int_equal(m.byte[1], 0xaa);
	assert_int_equal(m.byte[2], 0xbb);
	assert_int_equal(m.byte[3], 4);
}

static void access_over_an_edge_is_split(void **state)
{
	struct memory a = {.dev = {&wide, "a"}, .byte = {1, 2}};
	struct memory b = {.dev = {&wide, "b"}, .byte = {3, 4}};
	struct bus bus = {0};
	uint64_t value = 0;

	assert_int_equal(bus_add_pio(&bus, 0xfffe, 1, &a.dev), 0);
	assert_int_equal(bus_add_pio(&bus, 0xffff, 1, &b.dev), 0);
	assert_true(bus_pio(&bus, 0xfffd, 4, false, &value, 0));
	assert_int_equal(value, 0xff0301ff | 0xff000000 | 0xff);
	/* The last port does not wrap to the first. */
	assert_true(bus_pio(&bus, 0xffff, 2, false, &value, 0));
	assert_int_equal(value, 0xff03);
	assert_int_equal(bus_add_mmio(&bus, UINT64_MAX, 1, &a.dev), 0);
	assert_true(bus_mmio(&bus, UINT64_MAX, 2, false, &value, 0));
	assert_int_equal(value, 0xff01);
}

static void impossible_sizes_are_not_claimed(void **state)
{
	struct memory m = {.dev = {&wide, "wide"}};
	struct bus bus = {0};
	uint64_t value = 0;

	assert_int_equal(bus_add_pio(&bus, 0, 64, &m.dev), 0);
	assert_false(bus_pio(&bus, 0, 0, false, &value, 0));
	assert_false(bus_pio(&bus, 0, 9, false, &value, 0));
	assert_int_equal(value, UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unclaimed_reads_ones),
		cmocka_unit_test(access_reaches_its_device),
		cmocka_unit_test(overlap_is_refused),
		cmocka_unit_test(impossible_ranges_are_refused),
		cmocka_unit_test(ranges_are_found_in_any_order_of_adding),
		cmocka_unit_test(wide_access_to_a_narrow_device_is_split),
		cmocka_unit_test(access_over_an_edge_is_split),
		cmocka_unit_test(impossible_sizes_are_not_claimed),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
