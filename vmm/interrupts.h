/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries interrupt messages to vCPUs, here or on another node.
 *
 * Every node has the whole cluster's table of APIC identities and routes for itself: targets of
 * this node get the vector in their inbox, those of another node travel as one WIRE_IPI a node.
 *
 * LIMIT. The table is fixed at start: every APIC is in x2APIC mode, as firmware hands it over. A
 * guest that turns a vCPU back to xAPIC mode reaches it by its physical id only.
 *
 * Threads: any; the table is constant.
 */
#ifndef SSIHV_VMM_INTERRUPTS_H
#define SSIHV_VMM_INTERRUPTS_H

#include "cpu/vcpu.h"
#include "irq/route.h"
#include "vmm/link.h"
#include "vmm/topology.h"

struct interrupts {
	unsigned self;
	const struct topology *topology;
	struct link *links;	   /* by node */
	struct vcpu *const *vcpus; /* of this node, by their number here */
	struct irq_identity identity[TOPOLOGY_MAX_VCPUS];
	_Atomic uint64_t sent_remote; /* IPIs that left this node */
};

void interrupts_init(struct interrupts *irq, unsigned self, const struct topology *topology,
		     struct link *links, struct vcpu *const *vcpus);

/**
 * interrupts_send() - @sender: vCPU index in the cluster, or ROUTE_DEVICE
 *
 * Return: does it go to another node, too?
 */
bool interrupts_send(struct interrupts *irq, uint32_t sender, const struct irq_message *m);

/** interrupts_receive() - a WIRE_IPI arrived. Return: 0; -EPROTO for what no peer may ask. */
int interrupts_receive(struct interrupts *irq, const struct wire_ipi *ipi);

#endif
