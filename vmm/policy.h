/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which node a vCPU runs on, and how it is run there: decisions, nothing else. vmm/vcpu_glue.c
 * tells what happens and carries out what is decided here; cpu/ offers the means (cpu/vcpu.h).
 *
 * GOAL. A guest's kernel boots as if on one host. Until user code runs, nearly all that the other
 * CPUs do is answer interrupts of the boot CPU, on memory that it uses: each such answer, given on
 * another host, takes the boot CPU's pages away (docs/architecture.md, "Where a vCPU starts"). So
 * every vCPU starts on node 0, as a lodger there, and goes home as soon as it has work of its own:
 * it was seen to run user code, or has used POLICY_LODGES_NS of a host CPU. One that could not go
 * does not try again.
 *
 * CROWDING. Lodgers share the first node's CPUs with its own vCPUs, and kernels that start wait for
 * each other's CPUs in loops. A host's scheduler that does not know that would let each loop run
 * for milliseconds. So while a lodger is awake every vCPU of the node comes out of the guest after
 * POLICY_SLICE_NS and lets others go first; who sends an interrupt on a node with lodgers does so,
 * too. On hosts with a CPU for each that costs next to nothing. And the timer of a lodger that
 * sleeps fires late: on each tick of an idle CPU Linux looks for a task to take from a busy one,
 * which would then allocate the memory of the lodger's own node, from here a remote one.
 *
 * Threads: policy_slice() and policy_yields() any; what has a vCPU's index that vCPU's own.
 */
#ifndef SSIHV_VMM_POLICY_H
#define SSIHV_VMM_POLICY_H

#include <stdatomic.h>

#include "cpu/vcpu.h"
#include "vmm/topology.h"

/* A kernel's own work on a CPU while it boots is less than this, a load is soon more. */
#define POLICY_LODGES_NS (500 * NSEC_PER_MSEC)

/* How long a vCPU of a crowded node runs before it is looked at; any exit is such a look, too. */
#define POLICY_SLICE_NS (250 * NSEC_PER_USEC)

/* How much later than its timer a sleeping lodger wakes: some ticks become one. */
#define POLICY_SLACK_NS (10 * NSEC_PER_MSEC)

struct policy {
	unsigned self;
	const struct topology *topology;
	_Atomic unsigned lodgers; /* vCPUs of other nodes that are here */
	_Atomic unsigned awake;	  /* those of them that do not sleep */
	struct policy_vcpu {
		bool here, asleep;
		bool settled; /* could not go, and does not try again */
	} vcpu[MAX_VCPUS];
};

/** policy_init() - of node @self; @together: all vCPUs are on node 0 at first, and awake. */
void policy_init(struct policy *p, unsigned self, const struct topology *topology, bool together);

/* What happens to a vCPU: it goes elsewhere or comes; falls asleep or wakes; could not go. */
void policy_is_here(struct policy *p, unsigned index, bool here);
void policy_is_asleep(struct policy *p, unsigned index, bool asleep);
void policy_has_stayed(struct policy *p, unsigned index);

/** policy_slice() - how long vCPUs run before they let others go first; 0: for ever. */
uint64_t policy_slice(const struct policy *p);

/** policy_yields() - does a vCPU that has sent an interrupt let others go first? */
bool policy_yields(const struct policy *p);

/** policy_slack() - how much later than its timer may a sleeping vCPU be woken? */
uint64_t policy_slack(const struct policy *p, unsigned index);

/** policy_looks() - can what this vCPU does change where it is to run? Else do not look. */
bool policy_looks(const struct policy *p, unsigned index);

/** policy_where() - the node on which a vCPU that is here, and has done @usage, is to run. */
unsigned policy_where(const struct policy *p, unsigned index, const struct vcpu_usage *usage);

#endif
