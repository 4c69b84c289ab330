/* SPDX-License-Identifier: Apache-2.0 */
/* Destination matching and MSI decoding: SDM vol 3, 10.6.2, 10.11 and 10.12.10. */
#include "tests/check.h"

#include "irq/route.h"

#define COUNT 40

static void table(uint32_t ids[COUNT])
{
	for (unsigned i = 0; i < COUNT; i++)
		ids[i] = i;
}

static void assert_targets(const struct route_set *set, const int *expected, unsigned count)
{
	int at = -1;

	for (unsigned i = 0; i < count; i++) {
		at = route_set_next(set, (unsigned)(at + 1));
		assert_int_equal(at, expected[i]);
	}
	assert_int_equal(route_set_next(set, (unsigned)(at + 1)), -1);
}

#define ASSERT_TARGETS(set, ...)                                                                   \
	assert_targets(set, (const int[]){__VA_ARGS__}, ARRAY_SIZE(((const int[]){__VA_ARGS__})))

static void physical_id_is_one_vcpu(void **state)
{
	uint32_t ids[COUNT];
	struct irq_message m = {.dest = 37, .vector = 0x41};
	struct route_set set;

	table(ids);
	assert_int_equal(route_message(&m, ROUTE_DEVICE, ids, COUNT, &set), 1);
	ASSERT_TARGETS(&set, 37);
	m.dest = COUNT;
	assert_int_equal(route_message(&m, ROUTE_DEVICE, ids, COUNT, &set), 0);
	assert_int_equal(route_set_next(&set, 0), -1);
}

static void ids_need_not_be_indexes(void **state)
{
	uint32_t ids[COUNT];
	struct irq_message m = {.dest = 0x10001};
	struct route_set set;

	table(ids);
	ids[3] = 0x10001;
	ids[4] = 3;
	assert_int_equal(route_message(&m, ROUTE_DEVICE, ids, COUNT, &set), 1);
	ASSERT_TARGETS(&set, 3);
	m.dest = 3;
	assert_int_equal(route_message(&m, ROUTE_DEVICE, ids, COUNT, &set), 1);
	ASSERT_TARGETS(&set, 4);
}

static void shorthands(void **state)
{
	const uint32_t ids[4] = {0, 1, 2, 3};
	struct irq_message m = {.dest = 3, .shorthand = IRQ_TO_SELF};
	struct route_set set;

	assert_int_equal(route_message(&m, 1, ids, 4, &set), 1);
	ASSERT_TARGETS(&set, 1);
	m.shorthand = IRQ_TO_ALL;
	assert_int_equal(route_message(&m, 1, ids, 4, &set), 4);
	ASSERT_TARGETS(&set, 0, 1, 2, 3);
	m.shorthand = IRQ_TO_OTHERS;
	assert_int_equal(route_message(&m, 1, ids, 4, &set), 3);
	ASSERT_TARGETS(&set, 0, 2, 3);
	assert_int_equal(route_message(&m, ROUTE_DEVICE, ids, 4, &set), -EINVAL);
	assert_int_equal(route_message(&m, 4, ids, 4, &set), -EINVAL);
	m.shorthand = 4;
	assert_int_equal(route_message(&m, 1, ids, 4, &set), -EINVAL);
}

static void broadcast_reaches_all_in_both_modes(void **state)
{
	uint32_t ids[COUNT];
	struct irq_message m = {.dest = IRQ_BROADCAST};
	struct route_set set;

	table(ids);
	assert_int_equal(route_message(&m, ROUTE_DEVICE, ids, COUNT, &set), COUNT);
	assert_true(route_set_has(&set, 9));
	m.logical = true;
	assert_int_equal(route_message(&m, 0, ids, COUNT, &set), COUNT);
	assert_true(route_set_has(&set, 0));
}

static void x2apic_logical_cluster(void **state)
{
	uint32_t ids[COUNT];
	struct irq_message m = {.dest = 1 << 16 | 1 << 0 | 1 << 15, .logical = true};
	struct route_set set;

	table(ids);
	assert_int_equal(route_message(&m, ROUTE_DEVICE, ids, COUNT, &set), 2);
	ASSERT_TARGETS(&set, 16, 31);
	m.dest = 2 << 16 | 0xffff;
	assert_int_equal(route_message(&m, ROUTE_DEVICE, ids, COUNT, &set), 8);
	m.dest = 3 << 16 | 0xffff;
	assert_int_equal(route_message(&m, ROUTE_DEVICE, ids, COUNT, &set), 0);
}

static void lowest_priority_takes_one(void **state)
{
	uint32_t ids[COUNT];
	struct irq_message m = {.dest = 0xf0, .mode = IRQ_LOWEST, .logical = true};
	struct route_set set;
	bool seen[COUNT] = {false};

	table(ids);
	for (unsigned vector = 0x40; vector < 0x48; vector++) {
		m.vector = (uint8_t)vector;
		assert_int_equal(route_message(&m, ROUTE_DEVICE, ids, COUNT, &set), 1);
		seen[route_set_next(&set, 0)] = true;
	}
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(seen[i], i >= 4 && i < 8);
	m.dest = 9 << 16 | 1;
	assert_int_equal(route_message(&m, ROUTE_DEVICE, ids, COUNT, &set), 0);
}

static void table_of_1024(void **state)
{
	uint32_t *ids = calloc(MAX_VCPUS + 1, sizeof(*ids));
	struct irq_message m = {.dest = 1023};
	struct route_set set;

	assert_non_null(ids);
	for (unsigned i = 0; i < MAX_VCPUS; i++)
		ids[i] = i;
	assert_int_equal(route_message(&m, ROUTE_DEVICE, ids, MAX_VCPUS, &set), 1);
	assert_int_equal(route_set_next(&set, 0), 1023);
	assert_int_equal(route_set_next(&set, 1024), -1);
	assert_false(route_set_has(&set, 1024));
	assert_int_equal(route_message(&m, ROUTE_DEVICE, ids, MAX_VCPUS + 1, &set), -EINVAL);
	free(ids);
}

static void msi_fields(void **state)
{
	struct irq_message m;

	assert_int_equal(msi_decode(0xfee07000, 0x0041, &m), 0);
	assert_int_equal(m.dest, 7);
	assert_int_equal(m.vector, 0x41);
	assert_int_equal(m.mode, IRQ_FIXED);
	assert_int_equal(m.shorthand, IRQ_TO_DEST);
	assert_false(m.logical || m.level);
	assert_int_equal(msi_decode(0xfee0f004, 0xc141, &m), 0);
	assert_int_equal(m.dest, 15);
	assert_int_equal(m.mode, IRQ_LOWEST);
	assert_true(m.logical && m.level);
	assert_int_equal(msi_decode(0xfee0f00c, 0x0041, &m), 0);
	assert_int_equal(m.mode, IRQ_LOWEST);
	assert_int_equal(msi_decode(0xfee0f008, 0x0400, &m), 0);
	assert_int_equal(m.mode, IRQ_NMI);
}

static void msi_wide_destinations(void **state)
{
	struct irq_message m;

	assert_int_equal(msi_decode(0xfee00000 | 0x34 << 12 | 0x12 << 5, 0x41, &m), 0);
	assert_int_equal(m.dest, 0x1234);
	assert_int_equal(msi_decode(0xfee00000 | 0xff << 12, 0x41, &m), 0);
	assert_int_equal(m.dest, IRQ_BROADCAST);
	assert_int_equal(msi_decode(0xfee00000 | 0xff << 12 | 1 << 5, 0x41, &m), 0);
	assert_int_equal(m.dest, 0x1ff);
}

static void msi_refusals(void **state)
{
	struct irq_message m;

	assert_int_equal(msi_decode(0xfed00000, 0x41, &m), -EINVAL);
	assert_int_equal(msi_decode(0xfef00000, 0x41, &m), -EINVAL);
	assert_int_equal(msi_decode(UINT64_C(0x1fee00000), 0x41, &m), -EINVAL);
	assert_int_equal(msi_decode(0xfee00010, 0x41, &m), -EINVAL);
	assert_int_equal(msi_decode(0xfee00000, 0x0341, &m), -ENOMSG);
	assert_int_equal(msi_decode(0xfee00000, 0x0641, &m), -ENOMSG);
	assert_int_equal(msi_decode(0xfee00000, 0x8041, &m), -ENOMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(physical_id_is_one_vcpu),
		cmocka_unit_test(ids_need_not_be_indexes),
		cmocka_unit_test(shorthands),
		cmocka_unit_test(broadcast_reaches_all_in_both_modes),
		cmocka_unit_test(x2apic_logical_cluster),
		cmocka_unit_test(lowest_priority_takes_one),
		cmocka_unit_test(table_of_1024),
		cmocka_unit_test(msi_fields),
		cmocka_unit_test(msi_wide_destinations),
		cmocka_unit_test(msi_refusals),
	};

	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
