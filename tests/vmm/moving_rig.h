/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three nodes of two vCPUs in this process, with real connections and without KVM. A vCPU is its
 * inbox; nothing runs but what the test does.
 */
#ifndef SSIHV_TESTS_VMM_MOVING_RIG_H
#define SSIHV_TESTS_VMM_MOVING_RIG_H

#include "vmm/moving.h"

#define NODES 3
#define VCPUS 6 /* 2k and 2k + 1 are node k's */

struct half {
	struct interrupts irq;
	struct moving moving;
	struct link link[NODES];
	struct vcpu *vcpu[VCPUS];
};

struct world {
	struct topology topology;
	struct half node[NODES];
	int wake;
};

/** world_new() - all vCPUs are on node 0. @everywhere: each node may have each of them. Asserts. */
struct world *world_new(bool everywhere);
void world_free(struct world *w);

/** pump() - node @to takes what @from has sent. Return: 0, or how a wrong message was answered. */
int pump(struct world *w, unsigned from, unsigned to);

/** pump_all() - until nothing is under way. Asserts that nothing of it is wrong. */
void pump_all(struct world *w);

#endif
