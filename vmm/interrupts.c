/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/interrupts.h"

void interrupts_init(struct interrupts *irq, unsigned self, const struct topology *topology,
		     struct link *links, struct vcpu *const *vcpus, bool together)
{
	irq->self = self;
	irq->topology = topology;
	irq->links = links;
	irq->vcpus = vcpus;
	for (unsigned i = 0; i < topology->vcpus; i++)
		place_start(&irq->at[i], together ? 0 : topology->node[i]);
}

static void deliver(struct vcpu *v, const struct wire_ipi *ipi)
{
	switch (ipi->mode) {
	case IRQ_FIXED:
	case IRQ_LOWEST:
		vcpu_post(v, ipi->vector, ipi->level);
		break;
	case IRQ_NMI:
		vcpu_signal(v, VCPU_EVENT_NMI, 0);
		break;
	case IRQ_INIT:
		vcpu_signal(v, VCPU_EVENT_INIT, 0);
		break;
	case IRQ_SIPI:
		vcpu_signal(v, VCPU_EVENT_SIPI, ipi->vector);
		break;
	}
}

/* To the vCPUs of @node in @ipi that are here. */
static void deliver_all(struct interrupts *irq, unsigned node, const struct wire_ipi *ipi)
{
	for (uint64_t left = ipi->vcpus; left; left &= left - 1)
		deliver(irq->vcpus[irq->topology->first[node] + (unsigned)__builtin_ctzll(left)],
			ipi);
}

/* The members of @set that belong to @node, as bits of their number there. */
static uint64_t targets_of(const struct interrupts *irq, const struct route_set *set, unsigned node)
{
	unsigned first = irq->topology->first[node], end = irq->topology->first[node + 1];
	uint64_t bits = 0;

	for (unsigned i = first; i < end; i++)
		if (route_set_has(set, i))
			bits |= UINT64_C(1) << (i - first);
	return bits;
}

/* Of the vCPUs @bits of @node: those that have come to the same place as the first of them. */
static uint64_t neighbours(const struct interrupts *irq, unsigned node, uint64_t bits,
			   struct where *at)
{
	const struct place *places = &irq->at[irq->topology->first[node]];
	uint64_t same = 0;

	*at = place_get(&places[__builtin_ctzll(bits)]);
	for (uint64_t left = bits; left; left &= left - 1) {
		int k = __builtin_ctzll(left);
		if (place_word(place_get(&places[k])) == place_word(*at))
			same |= UINT64_C(1) << k;
	}
	/* Who moved meanwhile is no neighbour, and may be the first. */
	return same ? same : bits & -bits;
}

static void send_to(struct interrupts *irq, unsigned at, unsigned node, const struct wire_ipi *ipi)
{
	const struct wire_hdr hdr = {.type = WIRE_IPI, .node = (uint8_t)node};

	atomic_fetch_add_explicit(&irq->sent_remote, 1, memory_order_relaxed);
	link_send(&irq->links[at], hdr, ipi, sizeof(*ipi));
}

/* Return: does it go to another node, too? */
static bool distribute(struct interrupts *irq, unsigned node, struct wire_ipi ipi)
{
	uint64_t left = ipi.vcpus;
	bool remote = false;

	while (left) {
		struct where at;
		ipi.vcpus = neighbours(irq, node, left, &at);
		ipi.generation = at.generation;
		left &= ~ipi.vcpus;
		if (at.node == irq->self) {
			deliver_all(irq, node, &ipi);
			continue;
		}
		remote = true;
		send_to(irq, at.node, node, &ipi);
	}
	return remote;
}

bool interrupts_send(struct interrupts *irq, uint32_t sender, const struct irq_message *m)
{
	struct wire_ipi ipi = {.vector = m->vector, .mode = m->mode, .level = m->level};
	struct route_set set;
	bool remote = false;

	/* A message to nobody vanishes, as on the bus. */
	if (route_message(m, sender, irq->topology->apic_id, irq->topology->vcpus, &set) <= 0)
		return false;
	if (m->mode == IRQ_LOWEST)
		ipi.mode = IRQ_FIXED;
	for (unsigned node = 0; node < irq->topology->nodes; node++) {
		ipi.vcpus = targets_of(irq, &set, node);
		if (ipi.vcpus && distribute(irq, node, ipi))
			remote = true;
	}
	return remote;
}

/* Does it hold what a node may ask for? Lowest priority was resolved where it was sent. */
static bool is_ipi(const struct wire_ipi *ipi)
{
	if (ipi->reserved || ipi->level > 1)
		return false;
	return ipi->mode == IRQ_FIXED || ipi->mode == IRQ_NMI || ipi->mode == IRQ_INIT ||
	       ipi->mode == IRQ_SIPI;
}

int interrupts_receive(struct interrupts *irq, unsigned node, const struct wire_ipi *ipi)
{
	if (node >= irq->topology->nodes || !is_ipi(ipi))
		return -EPROTO;

	unsigned first = irq->topology->first[node], count = irq->topology->first[node + 1] - first;
	if (count < 64 && ipi->vcpus >> count)
		return -EPROTO;
	for (uint64_t left = ipi->vcpus; left; left &= left - 1) {
		const struct place *at = &irq->at[first + (unsigned)__builtin_ctzll(left)];
		if (!place_may_pass_on(place_get(at), irq->self, ipi->generation))
			return -EPROTO;
	}
	distribute(irq, node, *ipi);
	return 0;
}

void interrupts_pass_on(struct interrupts *irq, unsigned index, enum irq_mode mode, uint8_t vector,
			bool level)
{
	unsigned node = irq->topology->node[index];
	const struct wire_ipi ipi = {
		.vector = vector,
		.mode = (uint8_t)mode,
		.level = level,
		.vcpus = UINT64_C(1) << (index - irq->topology->first[node]),
	};

	distribute(irq, node, ipi);
}
