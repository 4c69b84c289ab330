/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU that moves to its own node while the guest runs.
 *
 * GOAL. A guest's kernel boots as if on one host. Until user code runs, nearly all that the other
 * CPUs do is answer interrupts of the boot CPU, on memory that it uses: each such answer, given on
 * another host, takes the boot CPU's pages away (docs/architecture.md, "Where a vCPU starts"). So
 * every vCPU starts on node 0, as a lodger there, and goes home as soon as it has work of its own:
 * it was seen to run user code, or has used VCPU_LODGES_NS of a host CPU.
 *
 * HOW. Both nodes have a struct vcpu for it, with a thread. The lodger's thread decides between two
 * entries into the guest, reads the state (cpu/vcpu_image.h) and gives it to ops->leave, which
 * sends it home; there vcpu_arrive() hands it to the thread that waits. Nothing of the guest's
 * memory is sent: the vCPU faults on it like on any other.
 *
 * INTERRUPTS. What is posted while the vCPU leaves lands in the lodger's inbox after its image was
 * taken. So its thread stays and passes on what comes (ops->pass_on), on the connection that the
 * image went on: it arrives behind it. A fixed interrupt has no order against others; INIT and SIPI
 * are milliseconds apart.
 *
 * CROWDING. Lodgers share the first node's CPUs with its own vCPUs, and kernels that start wait for
 * each other's CPUs in loops. A host's scheduler that does not know that would let each loop run
 * for milliseconds. So while a lodger is awake every vCPU of the node comes out of the guest after
 * VCPU_LOOK_NS and lets others go first; who sends an interrupt to a lodger does so, too
 * (vmm/vcpu_glue.c). On hosts with a CPU for each that costs next to nothing. And the timer of a
 * lodger that sleeps fires late: on each tick of an idle CPU Linux looks for a task to take from a
 * busy one, which would then allocate the memory of the lodger's own node, from here a remote one.
 *
 * FAILURE. A vCPU that cannot be saved, or that the other node refuses, stays and goes on here; it
 * does not try again. What was put into the other node's KVM is overwritten when it does come.
 *
 * Threads: vcpu_arrive() and vcpu_return() any, all else the vCPU's own.
 */
#ifndef SSIHV_CPU_VCPU_MOVE_H
#define SSIHV_CPU_VCPU_MOVE_H

#include "cpu/vcpu.h"

/* A kernel's own work on a CPU while it boots is less than this, a load is soon more. */
#define VCPU_LODGES_NS (500 * NSEC_PER_MSEC)

/** vcpu_arrive() - the image of an awaited vCPU is here; takes @image, which free() releases. */
void vcpu_arrive(struct vcpu *v, struct wire_vcpu *image);

/** vcpu_return() - the node that it went to has refused it: go on here. */
void vcpu_return(struct vcpu *v);

#endif
