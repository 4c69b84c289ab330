/* SPDX-License-Identifier: Apache-2.0 */
/* 16550A against its data sheet and against what Linux's 8250 driver asks of it. */
#include "tests/dev/access.h"

#include "dev/ports.h"
#include "dev/serial.h"

enum reg { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH };

#define FCR  IIR
#define OUT2 8

struct fixture {
	struct bus bus;
	struct serial serial;
	char sent[64];
	unsigned sent_count, rises;
	bool line;
};

static void transmit(void *ctx, uint8_t byte)
{
	struct fixture *f = ctx;

	assert_true(f->sent_count < sizeof(f->sent));
	f->sent[f->sent_count++] = (char)byte;
}

static void set_line(void *ctx, bool asserted)
{
	struct fixture *f = ctx;

	assert_true(asserted != f->line);
	f->line = asserted;
	f->rises += asserted;
}

static const struct serial_ops ops = {transmit, set_line};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	serial_init(&f->serial, &ops, f);
	assert_int_equal(bus_add_pio(&f->bus, SERIAL_PORT, SERIAL_PORTS, &f->serial.dev), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static uint8_t get(struct fixture *f, enum reg reg)
{
	return (uint8_t)in(&f->bus, (uint16_t)(SERIAL_PORT + reg), 1, 0);
}

static void put(struct fixture *f, enum reg reg, uint8_t value)
{
	out(&f->bus, (uint16_t)(SERIAL_PORT + reg), 1, value, 0);
}

static size_t receive(struct fixture *f, const char *text)
{
	return serial_receive(&f->serial, (const uint8_t *)text, strlen(text));
}

static void registers_after_reset(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, IER), 0);
	assert_int_equal(get(f, IIR), 1);
	assert_int_equal(get(f, LCR), 0);
	assert_int_equal(get(f, MCR), 0);
	assert_int_equal(get(f, LSR), 0x60);
	assert_int_equal(get(f, MSR), 0xb0);
	assert_false(f->line);
}

static void bytes_go_to_the_sink(void **state)
{
	struct fixture *f = *state;

	for (const char *c = "hello"; *c; c++) {
		assert_int_equal(get(f, LSR) & 0x60, 0x60);
		put(f, DATA, (uint8_t)*c);
	}
	assert_int_equal(f->sent_count, 5);
	assert_memory_equal(f->sent, "hello", 5);
}

static void divisor_latch_hides_data_and_ier(void **state)
{
	struct fixture *f = *state;

	put(f, IER, 5);
	put(f, LCR, 0x83);
	put(f, DATA, 0x01);
	put(f, IER, 0x02);
	assert_int_equal(get(f, DATA), 0x01);
	assert_int_equal(get(f, IER), 0x02);
	put(f, LCR, 0x03);
	assert_int_equal(get(f, IER), 5);
	assert_int_equal(f->sent_count, 0);
}

static void scratch_and_masks(void **state)
{
	struct fixture *f = *state;

	put(f, SCRATCH, 0xa5);
	assert_int_equal(get(f, SCRATCH), 0xa5);
	put(f, IER, 0xff);
	assert_int_equal(get(f, IER), 0x0f);
	put(f, MCR, 0xff);
	assert_int_equal(get(f, MCR), 0x1f);
	put(f, LSR, 0);
	assert_int_equal(get(f, LSR), 0x60);
}

/* The questions of drivers/tty/serial/8250's autoconfig() in its order. */
static void linux_autoconfig_finds_a_16550a(void **state)
{
	struct fixture *f = *state;
	uint8_t mcr, excr;

	put(f, IER, 0);
	assert_int_equal(get(f, IER) & 0x0f, 0);
	put(f, IER, 0x0f);
	assert_int_equal(get(f, IER) & 0x0f, 0x0f);
	put(f, IER, 0);
	put(f, MCR, 0x1a); /* loopback, OUT2, RTS: DCD and CTS come back */
	assert_int_equal(get(f, MSR) & 0xf0, 0x90);
	put(f, MCR, 0);
	put(f, LCR, 0xbf); /* no extended features behind this */
	put(f, FCR, 0);
	put(f, LCR, 0);
	put(f, FCR, 1);
	assert_int_equal(get(f, IIR) & 0xc0, 0xc0);
	/* Not a 16650: its feature register reads as zero, ours is the IIR. */
	put(f, LCR, 0x80);
	assert_int_not_equal(get(f, FCR), 0);
	put(f, LCR, 0xbf);
	assert_int_not_equal(get(f, FCR), 0);
	/* Not a National Super-I/O: no second bank that mirrors the loopback bit. */
	put(f, LCR, 0);
	mcr = get(f, MCR);
	put(f, LCR, 0xe0);
	excr = get(f, IIR);
	assert_false((excr ^ mcr) & 0x10);
	put(f, LCR, 0);
	put(f, MCR, mcr ^ 0x10);
	put(f, LCR, 0xe0);
	excr = get(f, IIR);
	put(f, LCR, 0);
	put(f, MCR, mcr);
	assert_false((excr ^ mcr) & 0x10);
	/* Not a 16750: no 64-byte FIFO. */
	put(f, FCR, 0x21);
	assert_int_equal(get(f, IIR) >> 5, 6);
	put(f, LCR, 0x80);
	put(f, FCR, 0x21);
	assert_int_equal(get(f, IIR) >> 5, 6);
	put(f, LCR, 0);
	/* Not an XScale: no UART unit enable. */
	put(f, IER, 0x40);
	assert_int_equal(get(f, IER) & 0x40, 0);
	put(f, IER, 0);
	assert_false(f->line);
	assert_int_equal(f->sent_count, 0);
}

/* serial8250_do_startup(): no TXEN bug, and THRE asserts again when it is enabled again. */
static void linux_startup_sees_no_bugs(void **state)
{
	struct fixture *f = *state;

	put(f, IER, 2);
	assert_int_equal(get(f, LSR) & 0x40, 0x40);
	assert_int_equal(get(f, IIR) & 0x0f, 2);
	put(f, IER, 0);
	put(f, IER, 2);
	assert_int_equal(get(f, IIR) & 0x0f, 2);
}

static void thre_is_cleared_by_iir_and_by_thr(void **state)
{
	struct fixture *f = *state;

	put(f, MCR, OUT2);
	put(f, IER, 2);
	assert_true(f->line);
	assert_int_equal(get(f, IIR), 2);
	assert_false(f->line);
	assert_int_equal(get(f, IIR), 1);
	put(f, DATA, 'a');
	assert_true(f->line);
	/* An edge for each byte, even if nobody read the IIR in between. */
	f->rises = 0;
	put(f, DATA, 'b');
	put(f, DATA, 'c');
	assert_int_equal(f->rises, 2);
	put(f, IER, 0);
	assert_false(f->line);
	/* Rewriting a set enable bit is no new event. */
	put(f, IER, 2);
	get(f, IIR);
	put(f, IER, 2);
	assert_int_equal(get(f, IIR), 1);
}

static void iir_of_another_source_keeps_thre(void **state)
{
	struct fixture *f = *state;

	put(f, IER, 3);
	assert_int_equal(receive(f, "x"), 1);
	assert_int_equal(get(f, IIR), 4);
	assert_int_equal(get(f, IIR), 4);
	assert_int_equal(get(f, DATA), 'x');
	assert_int_equal(get(f, IIR), 2);
	assert_int_equal(get(f, IIR), 1);
}

static void receive_without_fifo(void **state)
{
	struct fixture *f = *state;

	put(f, MCR, OUT2);
	put(f, IER, 1);
	assert_int_equal(receive(f, "ab"), 1);
	assert_true(f->line);
	assert_int_equal(get(f, LSR), 0x61);
	assert_int_equal(receive(f, "b"), 0);
	assert_int_equal(get(f, DATA), 'a');
	assert_false(f->line);
	assert_int_equal(get(f, LSR), 0x60);
	assert_int_equal(get(f, DATA), 0);
}

static void receive_fifo_and_trigger_level(void **state)
{
	struct fixture *f = *state;

	put(f, FCR, 0x81); /* trigger at 8 */
	put(f, IER, 1);
	assert_int_equal(receive(f, "1234567"), 7);
	assert_int_equal(get(f, IIR), 0xcc); /* timeout */
	assert_int_equal(receive(f, "8"), 1);
	assert_int_equal(get(f, IIR), 0xc4);
	assert_int_equal(receive(f, "90abcdefgh"), 8);
	for (const char *c = "1234567890abcdef"; *c; c++) {
		assert_int_equal(get(f, LSR) & 1, 1);
		assert_int_equal(get(f, DATA), *c);
	}
	assert_int_equal(get(f, IIR), 0xc1);
	assert_int_equal(get(f, LSR), 0x60);
}

static void fifo_control_empties(void **state)
{
	struct fixture *f = *state;

	put(f, FCR, 1);
	receive(f, "abc");
	put(f, FCR, 3); /* clear the receiver */
	assert_int_equal(get(f, LSR) & 1, 0);
	receive(f, "abc");
	put(f, FCR, 5); /* clear the transmitter only */
	assert_int_equal(get(f, LSR) & 1, 1);
	put(f, FCR, 0);
	assert_int_equal(get(f, LSR) & 1, 0);
	assert_int_equal(get(f, IIR), 1);
}

static void out2_gates_the_line(void **state)
{
	struct fixture *f = *state;

	put(f, IER, 1);
	receive(f, "a");
	assert_false(f->line);
	put(f, MCR, OUT2);
	assert_true(f->line);
	put(f, MCR, OUT2 | 0x10);
	assert_false(f->line);
}

static void loopback_returns_bytes_and_overruns(void **state)
{
	struct fixture *f = *state;

	put(f, MCR, 0x10);
	assert_int_equal(receive(f, "x"), 0);
	put(f, DATA, 'a');
	put(f, DATA, 'b');
	assert_int_equal(f->sent_count, 0);
	put(f, IER, 4);
	assert_int_equal(get(f, IIR), 6);
	assert_int_equal(get(f, LSR), 0x63);
	assert_int_equal(get(f, LSR), 0x61);
	assert_int_equal(get(f, DATA), 'a');
}

static void modem_changes_are_reported_once(void **state)
{
	struct fixture *f = *state;

	put(f, IER, 8);
	put(f, MCR, 0x10); /* CTS, DSR and DCD fall */
	assert_int_equal(get(f, IIR), 0);
	assert_int_equal(get(f, MSR), 0x0b);
	assert_int_equal(get(f, IIR), 1);
	put(f, MCR, 0x14); /* ring on: no event */
	assert_int_equal(get(f, MSR), 0x40);
	put(f, MCR, 0x10); /* ring off */
	assert_int_equal(get(f, MSR), 0x04);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(registers_after_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes_go_to_the_sink, setup, teardown),
		cmocka_unit_test_setup_teardown(divisor_latch_hides_data_and_ier, setup, teardown),
		cmocka_unit_test_setup_teardown(scratch_and_masks, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_autoconfig_finds_a_16550a, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_startup_sees_no_bugs, setup, teardown),
		cmocka_unit_test_setup_teardown(thre_is_cleared_by_iir_and_by_thr, setup, teardown),
		cmocka_unit_test_setup_teardown(iir_of_another_source_keeps_thre, setup, teardown),
		cmocka_unit_test_setup_teardown(receive_without_fifo, setup, teardown),
		cmocka_unit_test_setup_teardown(receive_fifo_and_trigger_level, setup, teardown),
		cmocka_unit_test_setup_teardown(fifo_control_empties, setup, teardown),
		cmocka_unit_test_setup_teardown(out2_gates_the_line, setup, teardown),
		cmocka_unit_test_setup_teardown(loopback_returns_bytes_and_overruns, setup,
						teardown),
		cmocka_unit_test_setup_teardown(modem_changes_are_reported_once, setup, teardown),
	};

	return cmocka_run_group_tests_name("serial", tests, NULL, NULL);
}
