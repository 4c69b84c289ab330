/* SPDX-License-Identifier: Apache-2.0 */
/* The devices of node 0 as a vCPU and the main thread see them; no KVM, nobody to interrupt. */
#include "tests/check.h"

#include <sys/eventfd.h>

#include "dev/ports.h"
#include "vmm/platform_image.h"

struct rig {
	struct platform p;
	struct topology topology;
	struct interrupts irq;
	int power; /* 0: nothing yet, 1: off, 2: reset */
};

static void on_power(void *ctx, bool reset)
{
	struct rig *r = ctx;

	r->power = reset ? 2 : 1;
}

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct err err;

	assert_non_null(r);
	r->topology.nodes = 1;
	interrupts_init(&r->irq, 0, &r->topology, NULL, NULL, false);
	assert_int_equal(platform_init(&r->p, &r->irq, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), 0,
				       on_power, r, &err),
			 0);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	close(r->p.wake);
	platform_free(&r->p);
	free(r);
	return 0;
}

static void out(struct rig *r, uint16_t port, unsigned size, uint32_t value)
{
	struct vcpu_io io = {
		.addr = port, .count = 1, .size = (uint8_t)size, .write = true, .data = &value};

	platform_access(&r->p, &io, 0);
}

static void print(struct rig *r, size_t count, uint8_t *next)
{
	while (count--)
		out(r, SERIAL_PORT, 1, (*next)++);
}

/* Takes up to @count bytes and checks that they go on from *@next. Return: how many. */
static size_t take(struct rig *r, size_t count, uint8_t *next)
{
	char data[8192];
	size_t got = platform_output(&r->p, data, MIN(count, sizeof(data)));

	for (size_t i = 0; i < got; i++)
		assert_int_equal((uint8_t)data[i], (*next)++);
	return got;
}

static void output_keeps_its_order(void **state)
{
	struct rig *r = *state;
	uint8_t printed = 0, taken = 0;

	/* A reader that lags: the buffer grows, has a gap in front, closes it, is empty again. */
	for (unsigned round = 0; round < 200; round++) {
		print(r, 100 + round * 7, &printed);
		assert_int_equal(take(r, 90 + round * 6, &taken), 90 + round * 6);
	}
	while (take(r, 1000, &taken))
		;
	assert_int_equal(taken, printed);
	assert_int_equal(r->p.printed.lost, 0);
}

static void output_that_nobody_takes_is_bounded_and_counted(void **state)
{
	struct rig *r = *state;
	uint8_t printed = 0, taken = 0;

	print(r, CONSOLE_OUTPUT_MAX + 5, &printed);
	assert_int_equal(r->p.printed.lost, 5);
	size_t all = 0, got;
	while ((got = take(r, 8192, &taken)))
		all += got;
	assert_int_equal(all, CONSOLE_OUTPUT_MAX);
	printed = taken;
	print(r, 10, &printed);
	assert_int_equal(take(r, 100, &taken), 10);
}

/* A gap that is shorter than what has to move is left: nobody moves 16 MiB for each byte. */
static void a_full_buffer_moves_nothing(void **state)
{
	struct rig *r = *state;
	uint8_t printed = 0, taken = 0;

	print(r, CONSOLE_OUTPUT_MAX, &printed);
	const char *oldest = r->p.printed.data + r->p.printed.start;
	assert_int_equal(take(r, 4096, &taken), 4096);
	assert_ptr_equal(r->p.printed.data + r->p.printed.start, oldest + 4096);
	print(r, 1, &printed);
	assert_int_equal(r->p.printed.lost, 1);
}

static void the_guest_powers_off_and_resets(void **state)
{
	struct rig *r = *state;

	out(r, ACPI_PM1_CNT_PORT, 2, 1u << 13 | ACPI_SLP_TYP_S5 << 10);
	assert_int_equal(r->power, 1);
	out(r, RESET_PORT, 1, RESET_VALUE);
	assert_int_equal(r->power, 2);
}

static enum platform_where where(struct rig *r, uint64_t addr, unsigned size, bool mmio)
{
	const struct vcpu_io io = {.addr = addr, .count = 1, .size = (uint8_t)size, .mmio = mmio};

	return platform_where(&r->p, &io);
}

static void every_node_knows_who_answers(void **state)
{
	struct rig *r = *state;

	assert_int_equal(where(r, SERIAL_PORT, 1, false), PLATFORM_DEVICE_NODE);
	assert_int_equal(where(r, ACPI_PM_TMR_PORT, 4, false), PLATFORM_ANY_NODE);
	assert_int_equal(where(r, 0x80, 1, false), PLATFORM_NOWHERE);
	assert_int_equal(where(r, IOAPIC_BASE, 4, true), PLATFORM_DEVICE_NODE);
	/* An access that begins before a device and reaches it. */
	assert_int_equal(where(r, IOAPIC_BASE - 3, 7, true), PLATFORM_DEVICE_NODE);
	assert_int_equal(where(r, IOAPIC_BASE - 3, 3, true), PLATFORM_NOWHERE);
	assert_int_equal(where(r, UINT64_MAX, 8, true), PLATFORM_NOWHERE);
}

/* ---- save and load ---- */

static uint32_t in(struct rig *r, uint16_t port, unsigned size, uint64_t now)
{
	uint32_t value = 0;
	struct vcpu_io io = {.addr = port, .count = 1, .size = (uint8_t)size, .data = &value};

	platform_access(&r->p, &io, now);
	return value;
}

static void mmio_out(struct rig *r, uint64_t addr, uint32_t value)
{
	struct vcpu_io io = {
		.addr = addr, .count = 1, .size = 4, .write = true, .mmio = true, .data = &value};

	platform_access(&r->p, &io, 0);
}

static uint32_t mmio_in(struct rig *r, uint64_t addr)
{
	uint32_t value = 0;
	struct vcpu_io io = {.addr = addr, .count = 1, .size = 4, .mmio = true, .data = &value};

	platform_access(&r->p, &io, 0);
	return value;
}

/* Each device in a state that no reset leaves, some in the middle of something. */
static void use_all(struct rig *r)
{
	out(r, SERIAL_PORT + 3, 1, 0x83); /* the divisor is open */
	out(r, SERIAL_PORT, 1, 0x0c);
	out(r, SERIAL_PORT + 3, 1, 3);
	out(r, SERIAL_PORT + 2, 1, 1); /* FIFO on */
	out(r, SERIAL_PORT + 7, 1, 0x5a);
	assert_int_equal(platform_input(&r->p, "xyz", 3), 3);
	out(r, RTC_PORT, 1, 0x40);
	out(r, RTC_PORT + 1, 1, 0x77);
	out(r, PIT_PORT + 3, 1, 0x34); /* channel 0, low then high byte */
	out(r, PIT_PORT, 1, 0x9c);
	out(r, PIT_PORT, 1, 0x2e);
	out(r, PIT_PORT + 3, 1, 0); /* latched, and one of its two bytes read */
	in(r, PIT_PORT, 1, 1000000);
	out(r, ACPI_PM1_EVT_PORT + 2, 2, 0x100);
	out(r, ACPI_PM1_CNT_PORT, 2, 0x0400);
	mmio_out(r, IOAPIC_BASE, 0x1a);
	mmio_out(r, IOAPIC_BASE + 0x10, 0x18031); /* masked */
}

/* What a guest sees of the devices from there on, in the order that it looks. */
static void look(struct rig *r, uint32_t seen[16])
{
	unsigned n = 0;

	for (unsigned i = 0; i < 3; i++)
		seen[n++] = in(r, SERIAL_PORT, 1, 0);
	seen[n++] = in(r, SERIAL_PORT + 5, 1, 0);
	seen[n++] = in(r, SERIAL_PORT + 7, 1, 0);
	seen[n++] = in(r, RTC_PORT + 1, 1, 2 * NSEC_PER_SEC);
	seen[n++] = in(r, PIT_PORT, 1, 1000000);
	seen[n++] = in(r, PIT_PORT, 1, 2000000);
	seen[n++] = in(r, PIT_PORT, 1, 2000000);
	seen[n++] = in(r, ACPI_PM1_EVT_PORT + 2, 2, 0);
	seen[n++] = in(r, ACPI_PM1_CNT_PORT, 2, 0);
	seen[n++] = mmio_in(r, IOAPIC_BASE);
	seen[n++] = mmio_in(r, IOAPIC_BASE + 0x10);
	while (n < 16)
		seen[n++] = 0;
}

static void devices_go_on_as_they_were_saved(void **state)
{
	struct rig *r = *state, *other, *fresh;
	uint32_t before[16], after[16], never[16];
	struct platform_image image;

	use_all(r);
	platform_save(&r->p, &image);
	look(r, before);
	assert_int_equal(set_up((void **)&other), 0);
	platform_load(&other->p, &image);
	look(other, after);
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(set_up((void **)&fresh), 0);
	look(fresh, never);
	assert_memory_not_equal(before, never, sizeof(before));
	/* They belong to the node where they are now. */
	out(other, ACPI_PM1_CNT_PORT, 2, 1u << 13 | ACPI_SLP_TYP_S5 << 10);
	assert_int_equal(other->power, 1);
	assert_int_equal(r->power, 0);
	out(other, SERIAL_PORT, 1, 'p');
	assert_int_equal(other->p.printed.len, 1);
	assert_int_equal(r->p.printed.len, 0);
	tear_down((void **)&other);
	tear_down((void **)&fresh);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(output_keeps_its_order),
		CASE(output_that_nobody_takes_is_bounded_and_counted),
		CASE(a_full_buffer_moves_nothing),
		CASE(the_guest_powers_off_and_resets),
		CASE(every_node_knows_who_answers),
		CASE(devices_go_on_as_they_were_saved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
