/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPUs on their way from node 0 to their own nodes: what cpu/vcpu_move.h asks of the machine.
 *
 * A vCPU's image is larger than a message, so it travels in parts, in order, on the event
 * connection; only then does node 0 send interrupts for the vCPU the same way. The receiver has one
 * image under way for each of its vCPUs at most.
 *
 * Threads: moving_leave() and moving_pass_on() the lodger's, the rest the main thread.
 */
#ifndef SSIHV_VMM_MOVING_H
#define SSIHV_VMM_MOVING_H

#include "cpu/vcpu_move.h"
#include "vmm/interrupts.h"

struct moving {
	struct interrupts *irq;
	struct {
		struct vcpu_image *image; /* as far as it has come */
		size_t len;
	} arriving[MAX_NODE_VCPUS];	/* by number on this node */
	_Atomic unsigned left, arrived; /* vCPUs, ever */
};

void moving_init(struct moving *m, struct interrupts *irq);
void moving_free(struct moving *m);

/** moving_leave() - node 0: @v is @image now, on its own node. */
void moving_leave(struct moving *m, struct vcpu *v, const struct vcpu_image *image);

/**
 * moving_state() - a WIRE_VCPU_STATE came from node @from
 *
 * With the last part the vCPU goes on here, and all other nodes are told.
 *
 * Return: 1 with the last part, 0 with another one; -EPROTO for what no peer may send; -ENOMEM.
 */
int moving_state(struct moving *m, unsigned from, const struct wire_hdr *h, const void *payload);

/** moving_home() - a WIRE_VCPU_HOME came from node @from. Return: 0; -EPROTO. */
int moving_home(struct moving *m, unsigned from, const struct wire_hdr *h);

#endif
