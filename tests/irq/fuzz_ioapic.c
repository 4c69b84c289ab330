/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An I/O APIC in the hands of a hostile guest, and where its messages, those of an MSI write and
 * any others go among vCPUs of any APIC id.
 */
#include "irq/ioapic.h"
#include "irq/route.h"
#include "tests/fuzz/fuzz.h"

#define VCPUS 70

static void check_route(const struct irq_message *m, uint32_t sender, const uint32_t *ids)
{
	struct route_set set;
	int expected = route_message(m, sender, ids, VCPUS, &set), found = 0;

	fuzz_check(expected >= 0 || expected == -EINVAL);
	if (expected < 0)
		return;
	for (int c = -1; (c = route_set_next(&set, (unsigned)(c + 1))) >= 0; found++)
		fuzz_check(c < VCPUS);
	fuzz_check(found == expected);
	fuzz_check(m->mode != IRQ_LOWEST || found <= 1);
}

static void any_message(struct fuzz_input *in, const uint32_t *ids)
{
	uint64_t address = 0xfee00000 | (fuzz_take(in, 3) & 0xfffef);
	struct irq_message m;

	if (msi_decode(address, (uint32_t)fuzz_value(in), &m) < 0)
		m = (struct irq_message){.dest = (uint32_t)fuzz_value(in), .logical = address & 1};
	m.shorthand = fuzz_take(in, 1) & 7;
	check_route(&m, (uint32_t)fuzz_value(in), ids);
}

static void step(struct ioapic *io, struct fuzz_input *in, const uint32_t *ids)
{
	struct ioapic_output out = {0};
	uint64_t op = fuzz_take(in, 1), rest = op / 8;

	switch (op % 8) {
	case 0:
		fuzz_check(ioapic_set_line(io, (unsigned)rest, op >> 7, &out) ==
			   (rest < IOAPIC_PINS ? 0 : -EINVAL));
		break;
	case 1:
		ioapic_eoi(io, (uint8_t)io->entry[rest % IOAPIC_PINS], &out);
		break;
	case 2:
		fuzz_check(ioapic_read(io, fuzz_take(in, 1), rest & 15) <= UINT32_MAX);
		break;
	case 3:
	case 4:
		ioapic_write(io, 0, 4, fuzz_take(in, 1), &out);
		break;
	case 5:
	case 6:
		ioapic_write(io, 0x10, 4, fuzz_value(in), &out);
		break;
	default:
		if (rest & 1)
			ioapic_write(io, fuzz_take(in, 2), rest >> 1 & 15, fuzz_value(in), &out);
		else
			any_message(in, ids);
	}
	fuzz_check(out.count <= IOAPIC_PINS);
	for (unsigned i = 0; i < out.count; i++)
		check_route(&out.message[i], ROUTE_DEVICE, ids);
	/* Remote IRR is a level-triggered pin's. */
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		fuzz_check(!(io->entry[pin] & 1 << 14) || (io->entry[pin] & 1 << 15));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_input in = fuzz_input(data, len);
	uint32_t ids[VCPUS];
	struct ioapic io;

	for (unsigned i = 0; i < VCPUS; i++)
		ids[i] = i;
	for (uint64_t changed = fuzz_take(&in, 1); changed; changed--) {
		uint64_t at = fuzz_take(&in, 1) % VCPUS;
		ids[at] = (uint32_t)fuzz_value(&in);
	}
	ioapic_reset(&io, 0);
	while (fuzz_left(&in))
		step(&io, &in, ids);
	return 0;
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	size_t len = fuzz_noise(random, data, 50 + fuzz_random(random) % 900);

	data[0] &= 7;
	return len;
}
