/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU that moves to another node while the guest runs. When and where to is its user's decision
 * (ops->look), this is how.
 *
 * HOW. Both nodes have a struct vcpu for it, with a thread. The thread of the one that it leaves
 * asks between two entries into the guest, reads the state (cpu/vcpu_image.h) and gives it to
 * ops->leave, which sends it; there vcpu_arrive() hands it to the thread that waits. Nothing of the
 * guest's memory is sent: the vCPU faults on it like on any other.
 *
 * INTERRUPTS. What is posted while the vCPU leaves lands in the old inbox after its image was
 * taken. So the thread there stays and passes on what comes (ops->pass_on), on the connection that
 * the image went on: it arrives behind it. A fixed interrupt has no order against others; INIT and
 * SIPI are milliseconds apart.
 *
 * FAILURE. A vCPU that cannot be saved, or that the other node refuses, goes on here (ops->stays).
 * What was put into the other node's KVM is overwritten when it does come.
 *
 * Threads: vcpu_arrive() and vcpu_return() any, all else the vCPU's own.
 */
#ifndef SSIHV_CPU_VCPU_MOVE_H
#define SSIHV_CPU_VCPU_MOVE_H

#include "cpu/vcpu.h"

/** vcpu_usage() - what @v has done; for ops->look. Costs two system calls. */
void vcpu_usage(const struct vcpu *v, struct vcpu_usage *ret);

/** vcpu_arrive() - the image of a vCPU that is away is here; takes @image, which free() releases.
 */
void vcpu_arrive(struct vcpu *v, struct wire_vcpu *image);

/** vcpu_return() - the node that it went to has refused it: go on here. */
void vcpu_return(struct vcpu *v);

#endif
