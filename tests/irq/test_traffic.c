/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile guests: long runs of random accesses under the sanitizers. Besides not crashing, the
 * invariants that irq/lapic.c and irq/ioapic.c state must hold after every step.
 */
#include "tests/check.h"

#include "irq/ioapic.h"
#include "irq/lapic.h"
#include "irq/route.h"
#include "tests/irq/random.h"

#define STEPS 300000
#define VCPUS 70

static void lapic_step(struct lapic *l, uint64_t *seed, struct lapic_clock now,
		       struct lapic_effects *fx)
{
	uint64_t r = random_next(seed), value = random_value(seed), ignored;
	uint32_t msr = MSR_X2APIC_FIRST - 2 + (uint32_t)(r % 68);
	uint64_t modes = (r >> 32 & 3) << 10;

	*fx = (struct lapic_effects){0};
	switch (r >> 16 & 15) {
	case 0:
		/* Seldom, or no mode would last long enough to get anywhere. */
		if (r >> 20 & 31)
			lapic_msr_write(l, 0x830, value & ~UINT64_C(0xfff33000), now, fx);
		else
			lapic_apic_base_write(l, LAPIC_BASE_DEFAULT | modes, fx);
		break;
	case 1:
		lapic_apic_base_write(l, value | (l->apic_base & 0xc00), fx);
		break;
	case 2:
		lapic_tsc_deadline_write(l, value, now, fx);
		break;
	case 3:
	case 4:
		lapic_accept(l, (uint8_t)r, r >> 8 & 1);
		break;
	case 5:
		lapic_ack(l);
		break;
	case 6:
		lapic_cr8_write(l, value);
		break;
	case 7:
		lapic_timer_expire(l, now);
		break;
	case 8:
		lapic_mmio_read(l, (uint32_t)r % 0x1010, r >> 48 & 15, now);
		break;
	case 9:
	case 10:
		lapic_mmio_write(l, (uint32_t)(r % 0x42) * 16, r & 1 ? 4 : r >> 48 & 15,
				 (uint32_t)value, now, fx);
		break;
	case 11:
		if (!lapic_msr_read(l, msr, now, &ignored))
			assert_true(msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST);
		break;
	default:
		lapic_msr_write(l, r & 1 ? msr : 0x80f, r & 1 ? value : 0x1ff, now, fx);
		break;
	}
}

static void check_lapic(const struct lapic *l)
{
	bool enabled = l->svr & 0x100;
	uint64_t next;

	assert_int_equal((l->irr[0] | l->isr[0]) & 0xffff, 0);
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		assert_true(enabled || (l->lvt[i] & 1 << 16));
	assert_false(l->tsc_deadline && l->timer_counting);
	assert_true(!l->timer_counting || l->timer_initial);
	assert_int_equal(l->apic_base & l->base_reserved, 0);
	assert_in_range(lapic_pending(l) + 1, 0, 256);
	assert_true(lapic_pending(l) < 0 || lapic_pending(l) / 16 > lapic_ppr(l) / 16);
	if (lapic_timer_next(l, &next) == LAPIC_DEADLINE_TSC)
		assert_int_equal(next, l->tsc_deadline);
}

static void lapic_survives(void **state)
{
	uint64_t seed = 0x5eed1;
	unsigned sent = 0, ended = 0;
	struct lapic l;

	assert_int_equal(lapic_reset(&l, 3, true, 48), 0);
	for (unsigned i = 0; i < STEPS; i++) {
		struct lapic_clock now = {.ns = i * 37, .tsc = i * UINT64_C(111)};
		struct lapic_effects fx;

		if (i % 64 == 0)
			now.ns = now.tsc = random_next(&seed);
		lapic_step(&l, &seed, now, &fx);
		check_lapic(&l);
		sent += fx.send;
		ended += fx.eoi;
		if (i % 5000 == 0)
			lapic_init_signal(&l);
	}
	/* The traffic went past the first check of each path. */
	assert_true(sent > 100);
	assert_true(ended > 100);
}

static void ioapic_survives(void **state)
{
	uint64_t seed = 0x5eed2;
	struct ioapic_output out;
	unsigned sent = 0;
	struct ioapic io;

	ioapic_reset(&io, 0);
	for (unsigned i = 0; i < STEPS; i++) {
		uint64_t r = random_next(&seed), value = random_value(&seed);

		out.count = 0;
		if (r >> 60 < 4)
			ioapic_set_line(&io, (unsigned)(r % 26), r >> 32 & 1, &out);
		else if (r >> 60 < 6)
			ioapic_eoi(&io, (uint8_t)io.entry[r % IOAPIC_PINS], &out);
		else if (r >> 60 < 8)
			ioapic_read(&io, r % 0x30, r >> 32 & 15);
		else if (r >> 60 < 12)
			ioapic_write(&io, 0, 4, r % 0x48, &out);
		else
			ioapic_write(&io, r & 1 ? r >> 8 & 0xffff : 0x10, 4, value, &out);
		assert_true(out.count <= IOAPIC_PINS);
		sent += out.count;
		for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
			assert_true(!(io.entry[pin] & 1 << 14) || (io.entry[pin] & 1 << 15));
	}
	assert_true(sent > 100);
}

static void route_survives(void **state)
{
	struct irq_identity cpus[VCPUS];
	uint64_t seed = 0x5eed3;

	for (unsigned i = 0; i < STEPS; i++) {
		uint64_t r = random_next(&seed);
		struct irq_message m;
		struct route_set set;
		int found = 0, expected;

		if (i % 100 == 0)
			for (unsigned c = 0; c < VCPUS; c++)
				cpus[c] = (struct irq_identity){
					.apic_id = (uint32_t)random_value(&seed),
					.format = random_next(&seed) & 3,
					.ldr = (uint8_t)random_next(&seed),
				};
		if (msi_decode(0xfee00000 | (r & 0xfffef), (uint32_t)random_value(&seed), &m))
			m = (struct irq_message){.dest = (uint32_t)random_value(&seed)};
		m.shorthand = r >> 40 & 7;
		expected = route_message(&m, (uint32_t)(r >> 32 & 0xff), cpus, VCPUS, &set);
		if (expected < 0)
			continue;
		for (int c = -1; (c = route_set_next(&set, (unsigned)(c + 1))) >= 0; found++)
			assert_true(c < VCPUS && cpus[c].format != IRQ_FORMAT_NONE);
		assert_int_equal(found, expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lapic_survives),
		cmocka_unit_test(ioapic_survives),
		cmocka_unit_test(route_survives),
	};

	return cmocka_run_group_tests_name("irq traffic", tests, NULL, NULL);
}
