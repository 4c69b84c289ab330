/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which vCPU is where: vCPUs are numbered through the nodes in order; the APIC id is the node's
 * number followed by the vCPU's number on its node, so that a node is a package (socket).
 * Pure, immutable once made.
 */
#ifndef SSIHV_VMM_TOPOLOGY_H
#define SSIHV_VMM_TOPOLOGY_H

#include "config/cluster.h"
#include "mem/layout.h"

struct topology {
	unsigned nodes, vcpus;
	unsigned node_shift;	       /* bits of an APIC id below the node's number */
	unsigned first[MAX_NODES + 1]; /* index of a node's first vCPU; [nodes] = vcpus */
	uint32_t apic_id[MAX_VCPUS];
	uint16_t node[MAX_VCPUS];
};

/** topology_init() - Return: 0; -E2BIG with @err for more than MAX_VCPUS vCPUs. */
int topology_init(const struct cluster_config *cfg, struct topology *ret, struct err *err);

/** cluster_layout() - where each node's memory is. Return: as mem_layout_init(). */
int cluster_layout(const struct cluster_config *cfg, struct mem_layout *ret, struct err *err);

#endif
