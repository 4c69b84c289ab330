/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries interrupt messages to vCPUs, here or on another node.
 *
 * Every node has the whole cluster's table of APIC ids and routes for itself: targets that
 * are here get the vector in their inbox, those on another node travel as one WIRE_IPI a node.
 *
 * WHERE a vCPU is may change at any time (vmm/moving.h). Who sends goes by its own belief; what
 * reaches a node that is not the place any more is passed on from there (irq/place.h).
 *
 * Threads: any; the table of ids is constant, places are atomic.
 */
#ifndef SSIHV_VMM_INTERRUPTS_H
#define SSIHV_VMM_INTERRUPTS_H

#include "cpu/vcpu.h"
#include "irq/place.h"
#include "irq/route.h"
#include "vmm/link.h"
#include "vmm/topology.h"

struct interrupts {
	unsigned self;
	const struct topology *topology;
	struct link *links;	   /* by node */
	struct vcpu *const *vcpus; /* by index in the cluster; NULL: never here */
	struct place at[MAX_VCPUS];
	_Atomic uint64_t sent_remote; /* IPIs that left this node */
};

/** interrupts_init() - @together: all vCPUs are on node 0 at first, else each on its own. */
void interrupts_init(struct interrupts *irq, unsigned self, const struct topology *topology,
		     struct link *links, struct vcpu *const *vcpus, bool together);

/**
 * interrupts_send() - @sender: vCPU index in the cluster, or ROUTE_DEVICE
 *
 * Return: does it go to another node, too?
 */
bool interrupts_send(struct interrupts *irq, uint32_t sender, const struct irq_message *m);

/**
 * interrupts_receive() - a WIRE_IPI for vCPUs of @node came; those that are elsewhere get it there
 *
 * Return: 0; -EPROTO for what no peer may ask.
 */
int interrupts_receive(struct interrupts *irq, unsigned node, const struct wire_ipi *ipi);

/** interrupts_pass_on() - an interrupt reached the inbox of vCPU @index after it had left. */
void interrupts_pass_on(struct interrupts *irq, unsigned index, enum irq_mode mode, uint8_t vector,
			bool level);

#endif
