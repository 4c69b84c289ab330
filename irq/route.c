/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destination matching. A message is compared with every vCPU of the table in turn; a unicast to a
 * physical id first tries the table index equal to the id, which is how ids are normally given.
 */
#include "irq/route.h"

static void add(struct route_set *set, unsigned vcpu)
{
	set->word[vcpu / 64] |= UINT64_C(1) << (vcpu % 64);
}

int route_set_next(const struct route_set *set, unsigned from)
{
	for (unsigned w = from / 64; w < ARRAY_SIZE(set->word); w++) {
		uint64_t rest = set->word[w];

		if (w == from / 64)
			rest &= ~UINT64_C(0) << (from % 64);
		if (rest)
			return (int)(w * 64) + __builtin_ctzll(rest);
	}
	return -1;
}

/* SDM vol 3, 10.12.10. */
static bool matches_logical(uint32_t id, uint32_t dest)
{
	return (id >> 4 & 0xffff) == dest >> 16 && (dest >> (id & 15) & 1);
}

static bool matches(const struct irq_message *m, uint32_t id)
{
	if (m->shorthand != IRQ_TO_DEST || m->dest == IRQ_BROADCAST)
		return true;
	return m->logical ? matches_logical(id, m->dest) : id == m->dest;
}

static int keep_one(struct route_set *set, unsigned matched, uint8_t vector)
{
	int vcpu = route_set_next(set, 0);

	for (unsigned skip = vector % matched; skip > 0; skip--)
		vcpu = route_set_next(set, (unsigned)vcpu + 1);
	*set = (struct route_set){0};
	add(set, (unsigned)vcpu);
	return 1;
}

int route_message(const struct irq_message *m, uint32_t sender, const uint32_t *ids, unsigned count,
		  struct route_set *ret)
{
	unsigned matched = 0, first = 0, last = count;
	bool unicast = m->shorthand == IRQ_TO_DEST && !m->logical && m->dest < count &&
		       ids[m->dest] == m->dest;

	if (count > MAX_VCPUS || m->shorthand > IRQ_TO_OTHERS)
		return -EINVAL;
	if (m->shorthand != IRQ_TO_DEST && sender >= count)
		return -EINVAL;
	if (unicast) {
		first = m->dest;
		last = first + 1;
	} else if (m->shorthand == IRQ_TO_SELF) {
		first = sender;
		last = first + 1;
	}
	*ret = (struct route_set){0};
	for (unsigned i = first; i < last; i++) {
		if (!matches(m, ids[i]) || (m->shorthand == IRQ_TO_OTHERS && i == sender))
			continue;
		add(ret, i);
		matched++;
	}
	return m->mode == IRQ_LOWEST && matched ? keep_one(ret, matched, m->vector) : (int)matched;
}

uint32_t route_widen_dest(uint8_t dest8, uint8_t extended)
{
	if (dest8 == 0xff && !(extended & 0x7f))
		return IRQ_BROADCAST;
	return (uint32_t)(extended & 0x7f) << 8 | dest8;
}

int msi_decode(uint64_t address, uint32_t data, struct irq_message *ret)
{
	const uint64_t fixed_bits = ~UINT64_C(0xfffff), remappable = 1 << 4;
	uint8_t mode = data >> 8 & 7;
	bool level = data >> 15 & 1, assert_level = data >> 14 & 1;

	if ((address & fixed_bits) != 0xfee00000 || (address & remappable))
		return -EINVAL;
	if (mode == 3 || mode == IRQ_SIPI || (level && !assert_level))
		return -ENOMSG;
	if (mode == IRQ_FIXED && (address >> 3 & 1))
		mode = IRQ_LOWEST;
	*ret = (struct irq_message){
		.dest = route_widen_dest((uint8_t)(address >> 12), address >> 5 & 0x7f),
		.vector = (uint8_t)data,
		.mode = mode,
		.logical = address >> 2 & 1,
		.level = level,
	};
	return 0;
}
