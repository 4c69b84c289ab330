/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/limit.h"

#include "base/address.h"
#include "dsm/pager_config.h"

/*
 * What a node has besides: its program, and tables of some bytes a page; its shards, and the
 * connections of each to all peers. Not what the kernel's sockets hold.
 */
#define OWN_BYTES (32 * MIB)
#define OWN_SHARE 32

static uint64_t pager_bytes(const struct cluster_config *cfg)
{
	uint64_t trace = cfg->trace.dir ? TRACE_RING_BYTES : 0;

	return cfg->pager.shards *
	       (PAGER_SHARD_BYTES + (cfg->nodes_count - 1) * CONN_BYTES + trace);
}

static bool same_host(const struct cluster_config *cfg, unsigned a, unsigned b)
{
	char host[2][sizeof(cfg->nodes[a].address)];
	uint16_t port;

	if (a == b || cfg->placement == CLUSTER_LOCAL)
		return true;
	if (cfg->placement != CLUSTER_HOSTS)
		return false;
	return address_split(cfg->nodes[a].address, host[0], sizeof(host[0]), &port) == 0 &&
	       address_split(cfg->nodes[b].address, host[1], sizeof(host[1]), &port) == 0 &&
	       strcmp(host[0], host[1]) == 0;
}

/* Of what is free on the node's host. */
static uint64_t share_of(const struct cluster_config *cfg, unsigned self, uint64_t free)
{
	unsigned nodes = 0;

	for (unsigned i = 0; i < cfg->nodes_count; i++)
		nodes += same_host(cfg, self, i);
	uint64_t share = free / nodes;
	uint64_t own = OWN_BYTES + pager_bytes(cfg) + share / OWN_SHARE;

	return share > own ? share - own : 0;
}

void limit_choose(const struct cluster_config *cfg, unsigned self, uint64_t free, struct limit *ret)
{
	const struct cluster_node *n = &cfg->nodes[self];
	const uint64_t least = n->memory + MIN_NODE_COPIES;
	uint64_t guest = 0, bytes = n->limit ?: share_of(cfg, self, free);

	for (unsigned i = 0; i < cfg->nodes_count; i++)
		guest += cfg->nodes[i].memory;
	*ret = (struct limit){.bytes = MIN(MAX(bytes, least), guest)};
	ret->copies = ret->bytes < guest ? ret->bytes - n->memory : 0;
	ret->tight = cfg->nodes_count > 1 && bytes < least;
}
