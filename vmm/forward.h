/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exits for a device on another node: the vCPU's thread sends the access, sleeps, and takes the
 * answer; the main thread of the device's node carries it out.
 *
 * A vCPU has one access under way at most, so the vCPU's number on its node is the request's place
 * and a sequence number makes the cookie unique: a late or forged answer finds nobody.
 *
 * The end of the VM ends a wait by the same word as an answer does, and under the same lock, so
 * that no vCPU can begin to wait behind it.
 */
#ifndef SSIHV_VMM_FORWARD_H
#define SSIHV_VMM_FORWARD_H

#include "config/cluster.h"
#include "cpu/vcpu.h"
#include "vmm/link.h"

enum forward_state { FORWARD_WAITS, FORWARD_ANSWERED, FORWARD_CANCELLED };

struct forward_slot {
	_Atomic uint32_t state; /* enum forward_state; the futex that the vCPU waits on */
	uint64_t cookie;	/* 0: no access is under way. Written under `lock` */
	struct vcpu_io *io;
};

struct forward {
	pthread_mutex_t
		lock; /* of `cancelled`, `sequence` and all slots, but for reading a state */
	struct link *links;
	struct forward_slot slot[MAX_NODE_VCPUS];
	uint64_t sequence;
	bool cancelled;
};

void forward_init(struct forward *f, struct link *links);

/**
 * forward_io() - carry out @io on @node; called by the thread of this node's vCPU @number
 *
 * Return: 0; -ECANCELED when the VM stops meanwhile; -EINVAL for a @number that no vCPU of a node
 * has.
 */
int forward_io(struct forward *f, unsigned node, unsigned number, struct vcpu_io *io);

/** forward_answer() - a WIRE_IO_REPLY arrived. Return: 0; -EPROTO for an answer to nothing. */
int forward_answer(struct forward *f, const struct wire_hdr *h, const void *payload);

/** forward_cancel() - release every vCPU that waits; no access is forwarded any more. */
void forward_cancel(struct forward *f);

/**
 * forward_decode() - check a WIRE_IO_REQUEST and turn it into an access
 * @data: room for WIRE_IO_DATA_MAX bytes, which @ret->data will point to
 *
 * Return: 0; -EPROTO.
 */
int forward_decode(const struct wire_hdr *h, const void *payload, void *data, struct vcpu_io *ret);

/** forward_reply() - send the answer to the request in @payload. */
void forward_reply(struct link *to, const void *payload, const struct vcpu_io *io);

#endif
