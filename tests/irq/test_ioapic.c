/* SPDX-License-Identifier: Apache-2.0 */
/* I/O APIC against the 82093AA data sheet, section 3. */
#include "tests/check.h"

#include "irq/ioapic.h"

#define PIN    4
#define LEVEL  (1u << 15)
#define MASKED (1u << 16)
#define REMOTE (1u << 14)

static struct ioapic_output out;

static struct ioapic fresh(void)
{
	struct ioapic io;

	ioapic_reset(&io, 0);
	return io;
}

static uint32_t get(struct ioapic *io, uint8_t reg)
{
	ioapic_write(io, 0, 4, reg, &out);
	return (uint32_t)ioapic_read(io, 0x10, 4);
}

static void put(struct ioapic *io, uint8_t reg, uint32_t value)
{
	ioapic_write(io, 0, 4, reg, &out);
	ioapic_write(io, 0x10, 4, value, &out);
}

static uint32_t entry_low(struct ioapic *io)
{
	return get(io, 0x10 + 2 * PIN);
}

static void set_entry(struct ioapic *io, uint32_t high, uint32_t low)
{
	put(io, 0x11 + 2 * PIN, high);
	put(io, 0x10 + 2 * PIN, low);
}

static unsigned line(struct ioapic *io, bool asserted)
{
	assert_int_equal(ioapic_set_line(io, PIN, asserted, &out), 0);
	return out.count;
}

static unsigned eoi(struct ioapic *io, uint8_t vector)
{
	ioapic_eoi(io, vector, &out);
	return out.count;
}

static void registers_after_reset(void **state)
{
	struct ioapic io = fresh();

	assert_int_equal(get(&io, 1), 0x00170011);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		assert_int_equal(get(&io, (uint8_t)(0x10 + 2 * pin)), MASKED);
		assert_int_equal(get(&io, (uint8_t)(0x11 + 2 * pin)), 0);
	}
	put(&io, 0, 0xff000000);
	assert_int_equal(get(&io, 0), 0x0f000000);
	assert_int_equal(get(&io, 2), 0x0f000000);
	put(&io, 1, 0xffffffff);
	assert_int_equal(get(&io, 1), 0x00170011);
	put(&io, 0x40, 0xffffffff);
	assert_int_equal(get(&io, 0x40), 0);
	assert_int_equal(get(&io, 0xff), 0);
	assert_int_equal(get(&io, 3), 0);
}

static void window_accesses(void **state)
{
	struct ioapic io = fresh();

	ioapic_write(&io, 0, 1, 0x101, &out); /* the select register has 8 bits */
	assert_int_equal(ioapic_read(&io, 0, 4), 1);
	assert_int_equal(ioapic_read(&io, 0x10, 4), 0x00170011);
	assert_int_equal(ioapic_read(&io, 0x10, 2), 0);
	assert_int_equal(ioapic_read(&io, 0x20, 4), 0);
	ioapic_write(&io, 0, 4, 0x10, &out);
	ioapic_write(&io, 0x10, 1, 0x41, &out);
	ioapic_write(&io, 0x14, 4, 0x41, &out);
	assert_int_equal(ioapic_read(&io, 0x10, 4), MASKED);
}

static void read_only_bits_stay(void **state)
{
	struct ioapic io = fresh();

	set_entry(&io, 0xffffffff, 0xffffffff);
	assert_int_equal(entry_low(&io), 0x1afff);
	assert_int_equal(get(&io, 0x11 + 2 * PIN), 0xfffe0000);
}

static void edge_sends_on_rising_only(void **state)
{
	struct ioapic io = fresh();

	set_entry(&io, 0x03000000, 0x0041);
	assert_int_equal(line(&io, true), 1);
	assert_int_equal(out.message[0].dest, 3);
	assert_int_equal(out.message[0].vector, 0x41);
	assert_int_equal(out.message[0].mode, IRQ_FIXED);
	assert_false(out.message[0].logical);
	assert_false(out.message[0].level);
	assert_int_equal(line(&io, true), 0);
	assert_int_equal(line(&io, false), 0);
	assert_int_equal(line(&io, true), 1);
	assert_int_equal(eoi(&io, 0x41), 0);
}

static void edge_on_a_masked_pin_is_lost(void **state)
{
	struct ioapic io = fresh();

	assert_int_equal(line(&io, true), 0);
	set_entry(&io, 0, 0x41);
	assert_int_equal(out.count, 0);
	assert_int_equal(line(&io, false), 0);
	assert_int_equal(line(&io, true), 1);
}

static void level_waits_for_eoi(void **state)
{
	struct ioapic io = fresh();

	set_entry(&io, 0x01000000, LEVEL | 0x51);
	assert_int_equal(line(&io, true), 1);
	assert_true(out.message[0].level);
	assert_int_equal(entry_low(&io), LEVEL | REMOTE | 0x51);
	assert_int_equal(line(&io, false), 0);
	assert_int_equal(line(&io, true), 0);
	assert_int_equal(eoi(&io, 0x50), 0);
	assert_int_equal(entry_low(&io) & REMOTE, REMOTE);
	/* Still asserted: the EOI sends it again. */
	assert_int_equal(eoi(&io, 0x51), 1);
	assert_int_equal(line(&io, false), 0);
	assert_int_equal(eoi(&io, 0x51), 0);
	assert_int_equal(entry_low(&io), LEVEL | 0x51);
}

static void level_is_sent_when_unmasked(void **state)
{
	struct ioapic io = fresh();

	set_entry(&io, 0, MASKED | LEVEL | 0x51);
	assert_int_equal(line(&io, true), 0);
	set_entry(&io, 0, LEVEL | 0x51);
	assert_int_equal(out.count, 1);
	/* Masked between message and EOI: nothing more is sent until it is unmasked. */
	set_entry(&io, 0, MASKED | LEVEL | 0x51);
	assert_int_equal(entry_low(&io) & REMOTE, REMOTE);
	assert_int_equal(eoi(&io, 0x51), 0);
	set_entry(&io, 0, LEVEL | 0x51);
	assert_int_equal(out.count, 1);
}

static void switching_to_edge_clears_remote_irr(void **state)
{
	struct ioapic io = fresh();

	set_entry(&io, 0, LEVEL | 0x51);
	assert_int_equal(line(&io, true), 1);
	set_entry(&io, 0, MASKED | 0x51);
	set_entry(&io, 0, MASKED | LEVEL | 0x51);
	assert_int_equal(entry_low(&io), MASKED | LEVEL | 0x51);
	set_entry(&io, 0, LEVEL | 0x51);
	assert_int_equal(out.count, 1);
}

static void eoi_frees_every_pin_of_the_vector(void **state)
{
	struct ioapic io = fresh();

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		put(&io, (uint8_t)(0x10 + 2 * pin), LEVEL | 0x51);
		assert_int_equal(ioapic_set_line(&io, pin, true, &out), 0);
		assert_int_equal(out.count, 1);
	}
	assert_int_equal(eoi(&io, 0x51), IOAPIC_PINS);
}

static void delivery_modes(void **state)
{
	struct ioapic io = fresh();

	set_entry(&io, 0x80000000, LEVEL | 1 << 11 | IRQ_LOWEST << 8 | 0x61);
	assert_int_equal(line(&io, true), 1);
	assert_int_equal(out.message[0].mode, IRQ_LOWEST);
	assert_true(out.message[0].logical);
	assert_int_equal(out.message[0].dest, 0x80);
	line(&io, false);
	/* NMI is edge-triggered even if the entry says level. */
	set_entry(&io, 0, LEVEL | IRQ_NMI << 8);
	assert_int_equal(line(&io, true), 1);
	assert_false(out.message[0].level);
	assert_int_equal(entry_low(&io) & REMOTE, 0);
	line(&io, false);
	set_entry(&io, 0, 3 << 8 | 0x61);
	assert_int_equal(line(&io, true), 0);
	line(&io, false);
	set_entry(&io, 0, 6 << 8 | 0x61);
	assert_int_equal(line(&io, true), 0);
}

static void wide_destinations(void **state)
{
	struct ioapic io = fresh();

	set_entry(&io, 0x34000000 | 0x12 << 17, 0x41);
	assert_int_equal(line(&io, true), 1);
	assert_int_equal(out.message[0].dest, 0x1234);
	line(&io, false);
	set_entry(&io, 0xff000000, 0x41);
	assert_int_equal(line(&io, true), 1);
	assert_int_equal(out.message[0].dest, IRQ_BROADCAST);
}

static void no_such_pin(void **state)
{
	struct ioapic io = fresh();

	assert_int_equal(ioapic_set_line(&io, IOAPIC_PINS, true, &out), -EINVAL);
	assert_int_equal(ioapic_set_line(&io, UINT32_MAX, true, &out), -EINVAL);
	assert_int_equal(io.asserted, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_after_reset),
		cmocka_unit_test(window_accesses),
		cmocka_unit_test(read_only_bits_stay),
		cmocka_unit_test(edge_sends_on_rising_only),
		cmocka_unit_test(edge_on_a_masked_pin_is_lost),
		cmocka_unit_test(level_waits_for_eoi),
		cmocka_unit_test(level_is_sent_when_unmasked),
		cmocka_unit_test(switching_to_edge_clears_remote_irr),
		cmocka_unit_test(eoi_frees_every_pin_of_the_vector),
		cmocka_unit_test(delivery_modes),
		cmocka_unit_test(wide_destinations),
		cmocka_unit_test(no_such_pin),
	};

	return cmocka_run_group_tests_name("ioapic", tests, NULL, NULL);
}
