/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/topology.h"

int topology_init(const struct cluster_config *cfg, struct topology *ret, struct err *err)
{
	unsigned most = 1, total = 0;

	for (unsigned n = 0; n < cfg->nodes_count; n++) {
		most = MAX(most, cfg->nodes[n].vcpus);
		total += cfg->nodes[n].vcpus;
	}
	if (total > MAX_VCPUS)
		return err_set(err, -E2BIG,
			       "cluster: %u vCPUs are more than the %d that are possible", total,
			       MAX_VCPUS);

	*ret = (struct topology){.nodes = cfg->nodes_count, .vcpus = total};
	while (1u << ret->node_shift < most)
		ret->node_shift++;
	unsigned index = 0;
	for (unsigned n = 0; n < cfg->nodes_count; n++) {
		ret->first[n] = index;
		for (unsigned k = 0; k < cfg->nodes[n].vcpus; k++, index++) {
			ret->apic_id[index] = n << ret->node_shift | k;
			ret->node[index] = (uint16_t)n;
		}
	}
	ret->first[cfg->nodes_count] = index;
	return 0;
}

int cluster_layout(const struct cluster_config *cfg, struct mem_layout *ret, struct err *err)
{
	uint64_t size[MAX_NODES];

	for (unsigned i = 0; i < cfg->nodes_count; i++)
		size[i] = cfg->nodes[i].memory;
	return mem_layout_init(size, cfg->nodes_count, ret, err);
}
