/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A local APIC in the hands of a hostile guest, after it may have come from a hostile node: what
 * irq/lapic.c states of its state holds after every step.
 *
 * Input: one byte that says whether the state of another node follows, then steps.
 */
#include "irq/lapic.h"
#include "tests/fuzz/fuzz.h"

#define APIC_ID 3

static void access_msr(struct lapic *l, struct fuzz_input *in, struct lapic_clock now,
		       struct lapic_effects *fx)
{
	uint64_t number = fuzz_take(in, 1), ignored;
	uint32_t msr = MSR_X2APIC_FIRST - 2 + (uint32_t)number % 68;
	const struct lapic before = *l;

	if (number < 128) {
		if (lapic_msr_write(l, msr, fuzz_value(in), now, fx) < 0)
			fuzz_check(memcmp(&before, l, sizeof(before)) == 0);
	} else if (lapic_msr_read(l, msr, now, &ignored) == 0) {
		fuzz_check(msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST);
	}
}

static void access_page(struct lapic *l, struct fuzz_input *in, struct lapic_clock now,
			struct lapic_effects *fx)
{
	uint32_t offset = (uint32_t)fuzz_take(in, 2);
	unsigned size = offset & 0x8000 ? offset >> 12 & 7 : 4;

	offset = size == 4 ? (offset & 0xff) * 16 : offset & 0xfff;
	if (fuzz_take(in, 1) & 1)
		lapic_mmio_write(l, offset, size, (uint32_t)fuzz_value(in), now, fx);
	else
		fuzz_check(size >= 8 || lapic_mmio_read(l, offset, size, now) >> (size * 8) == 0);
}

static void step(struct lapic *l, struct fuzz_input *in, struct lapic_clock now,
		 struct lapic_effects *fx)
{
	uint64_t op = fuzz_take(in, 1);

	switch (op % 11) {
	case 0:
		lapic_apic_base_write(l, LAPIC_BASE_DEFAULT | (op / 11 & 3) << 10);
		break;
	case 1:
		lapic_apic_base_write(l, fuzz_value(in) | (l->apic_base & 0xc00));
		break;
	case 2:
		lapic_tsc_deadline_write(l, fuzz_value(in), now);
		break;
	case 3:
		lapic_accept(l, (uint8_t)fuzz_take(in, 1), op & 1);
		break;
	case 4:
		fuzz_check(lapic_pending(l) == lapic_ack(l));
		break;
	case 5:
		lapic_cr8_write(l, op / 11);
		fuzz_check(lapic_cr8_read(l) == (op / 11 & 15));
		break;
	case 6:
		lapic_timer_expire(l, now);
		break;
	case 7:
		if (op / 11 == 0)
			lapic_init_signal(l);
		else
			lapic_eoi(l, fx);
		break;
	case 8:
		access_page(l, in, now, fx);
		break;
	default:
		access_msr(l, in, now, fx);
	}
}

static void check(const struct lapic *l)
{
	bool enabled = l->svr & 0x100;
	int pending = lapic_pending(l);
	uint64_t next;

	fuzz_check(((l->irr[0] | l->isr[0]) & 0xffff) == 0);
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		fuzz_check(enabled || (l->lvt[i] & 1 << 16));
	fuzz_check(!(l->tsc_deadline && l->timer_counting));
	fuzz_check(!l->timer_counting || l->timer_initial);
	fuzz_check((l->apic_base & l->base_reserved) == 0);
	fuzz_check(pending >= -1 && pending <= 255);
	fuzz_check(pending < 0 || pending / 16 > lapic_ppr(l) / 16);
	if (lapic_timer_next(l, &next) == LAPIC_DEADLINE_TSC)
		fuzz_check(next == l->tsc_deadline);
}

static void come_from_another_node(struct lapic *l, struct fuzz_input *in)
{
	const struct lapic before = *l;
	struct lapic from = {0};

	for (size_t i = 0; i < sizeof(from); i++)
		((uint8_t *)&from)[i] = (uint8_t)fuzz_take(in, 1);
	if (lapic_load(l, &from) < 0)
		fuzz_check(memcmp(&before, l, sizeof(before)) == 0);
	else
		fuzz_check(memcmp(&from, l, sizeof(from)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_input in = fuzz_input(data, len);
	struct lapic_clock now = {.ns = 1, .tsc = 3};
	struct lapic l;

	fuzz_check(lapic_reset(&l, APIC_ID, true, 48) == 0);
	if (fuzz_take(&in, 1) & 1)
		come_from_another_node(&l, &in);
	check(&l);
	while (fuzz_left(&in)) {
		struct lapic_effects fx = {0};
		uint64_t passes = fuzz_take(&in, 1);

		/* Mostly a little, now and then so much that the clocks wrap. */
		passes = passes < 250 ? passes * passes * 100 : UINT64_C(1) << (passes % 8 * 8 + 7);
		now.ns += passes;
		now.tsc += 3 * passes;
		step(&l, &in, now, &fx);
		check(&l);
	}
	return 0;
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	struct lapic l;
	size_t len = 1;

	lapic_reset(&l, APIC_ID, true, 48);
	data[0] = (uint8_t)(fuzz_random(random) & 1);
	if (data[0]) {
		lapic_apic_base_write(&l,
				      LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC);
		l.svr = 0x1ff;
		l.irr[2] = (uint32_t)fuzz_random(random);
		l.isr[1] = (uint32_t)fuzz_random(random);
		memcpy(data + len, &l, sizeof(l));
		len += sizeof(l);
	}
	return len + fuzz_noise(random, data + len, 100 + fuzz_random(random) % 900);
}
