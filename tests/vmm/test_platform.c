/* SPDX-License-Identifier: Apache-2.0 */
/* The devices of node 0 as a vCPU and the main thread see them; no KVM, nobody to interrupt. */
#include "tests/check.h"

#include <sys/eventfd.h>

#include "dev/ports.h"
#include "vmm/platform.h"

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

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(output_keeps_its_order),
		CASE(output_that_nobody_takes_is_bounded_and_counted),
		CASE(a_full_buffer_moves_nothing),
		CASE(the_guest_powers_off_and_resets),
		CASE(every_node_knows_who_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
