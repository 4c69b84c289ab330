/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/interrupts.h"

void interrupts_init(struct interrupts *irq, unsigned self, const struct topology *topology,
		     struct link *links, struct vcpu *const *vcpus)
{
	irq->self = self;
	irq->topology = topology;
	irq->links = links;
	irq->vcpus = vcpus;
	for (unsigned i = 0; i < topology->vcpus; i++)
		irq->identity[i] = (struct irq_identity){
			.apic_id = topology->apic_id[i],
			.format = IRQ_FORMAT_X2APIC,
		};
}

static void deliver(struct interrupts *irq, unsigned number, const struct wire_ipi *ipi)
{
	struct vcpu *v = irq->vcpus[number];

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

static void deliver_all(struct interrupts *irq, const struct wire_ipi *ipi)
{
	for (uint64_t left = ipi->vcpus; left; left &= left - 1)
		deliver(irq, (unsigned)__builtin_ctzll(left), ipi);
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

bool interrupts_send(struct interrupts *irq, uint32_t sender, const struct irq_message *m)
{
	struct wire_ipi ipi = {.vector = m->vector, .mode = m->mode, .level = m->level};
	struct route_set set;
	bool left = false;

	/* A message to nobody vanishes, as on the bus. */
	if (route_message(m, sender, irq->identity, irq->topology->vcpus, &set) <= 0)
		return false;
	if (m->mode == IRQ_LOWEST)
		ipi.mode = IRQ_FIXED;
	for (unsigned node = 0; node < irq->topology->nodes; node++) {
		ipi.vcpus = targets_of(irq, &set, node);
		if (!ipi.vcpus)
			continue;
		if (node == irq->self) {
			deliver_all(irq, &ipi);
			continue;
		}
		left = true;
		atomic_fetch_add_explicit(&irq->sent_remote, 1, memory_order_relaxed);
		link_send(&irq->links[node], (struct wire_hdr){.type = WIRE_IPI}, &ipi,
			  sizeof(ipi));
	}
	return left;
}

int interrupts_receive(struct interrupts *irq, const struct wire_ipi *ipi)
{
	unsigned count = irq->topology->first[irq->self + 1] - irq->topology->first[irq->self];

	if (count < 64 && ipi->vcpus >> count)
		return -EPROTO;
	deliver_all(irq, ipi);
	return 0;
}
