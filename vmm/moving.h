/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPUs on their way from node to node: what cpu/vcpu_move.h asks of the machine; vmm/policy.h
 * decides.
 *
 * THE WAY. The old place sends the vCPU's state with the generation of its new place (irq/place.h),
 * and whatever it has for the vCPU from then on behind it, on the same connection. The new place
 * tells all others that it is there. An image is larger than a message and travels in parts; the
 * receiver has one under way for each vCPU at most.
 *
 * REFUSAL. A node whose KVM does not take the state sends no image back but REFUSED, with the next
 * generation: a move back. The old place still has all of it and lets the vCPU go on.
 *
 * INVARIANTS. The place that others are told of knows it first: so it is noted here before it
 * is announced, and after the state was sent when it is another node. `sent` is noted before the
 * state leaves: an answer may come before our own place is up to date.
 *
 * Threads: moving_leave(), moving_refuse() and interrupts_pass_on() the vCPU's, the rest the main
 * thread.
 */
#ifndef SSIHV_VMM_MOVING_H
#define SSIHV_VMM_MOVING_H

#include "cpu/vcpu_move.h"
#include "vmm/interrupts.h"

/* An image as far as it has come, then where it came from. */
struct arrival {
	struct wire_vcpu *image;
	size_t len;
	struct where here; /* the place that it comes to */
	unsigned from;
};

struct moving {
	struct interrupts *irq;
	bool anywhere; /* else a vCPU is on node 0 or on its own; tests explore what is beyond */
	struct arrival arriving[MAX_VCPUS];
	struct place sent[MAX_VCPUS];		  /* where to, at last; generation 0: never */
	_Atomic unsigned here;			  /* vCPUs that are on this node */
	_Atomic unsigned left, arrived, returned; /* vCPUs, ever */
};

void moving_init(struct moving *m, struct interrupts *irq);
void moving_free(struct moving *m);

/**
 * moving_leave() - @v is @image now, on node @to
 *
 * Return: 0; -EOVERFLOW: it has moved as often as can be counted, and stays.
 */
int moving_leave(struct moving *m, struct vcpu *v, unsigned to, const struct wire_vcpu *image);

/** moving_refuse() - @v, which has arrived, cannot run here (@error, negative). */
void moving_refuse(struct moving *m, struct vcpu *v, int error);

/**
 * moving_state() - a WIRE_VCPU_STATE came from node @from
 *
 * With the last part the vCPU goes on here, and all other nodes are told.
 *
 * Return: 1 with the last part, 0 with another one; -EPROTO for what no peer may send; -ENOMEM.
 */
int moving_state(struct moving *m, unsigned from, const struct wire_hdr *h, const void *payload);

/** moving_at() - a WIRE_VCPU_AT came from node @from. Return: 0; -EPROTO. */
int moving_at(struct moving *m, unsigned from, const struct wire_hdr *h, const void *payload);

/** moving_refused() - a WIRE_VCPU_REFUSED came: the vCPU goes on here. Return: 0; -EPROTO. */
int moving_refused(struct moving *m, unsigned from, const struct wire_hdr *h, const void *payload);

#endif
