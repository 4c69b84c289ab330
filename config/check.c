/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that a configuration obeys, each with the line that a user reads when it does not. */
#include <ctype.h>
#include <stdio.h>

#include "base/address.h"
#include "base/size.h"
#include "config/cluster.h"

static bool name_valid(const char *name)
{
	if (!isalnum((unsigned char)name[0]))
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("-_.", *name))
			return false;
	return true;
}

/* It becomes one argument of ssh: no option, no white space, nothing a shell would read. */
static bool ssh_valid(const char *target)
{
	if (target[0] == '-')
		return false;
	for (; *target; target++)
		if (!isalnum((unsigned char)*target) && !strchr("@-_.:[]%", *target))
			return false;
	return true;
}

static int check_memory(const struct cluster_node *n, const char *at, struct err *err)
{
	char size[32];

	size_format(n->memory, size, sizeof(size));
	if (n->memory < MIN_NODE_MEMORY || n->memory > MAX_NODE_MEMORY)
		return err_set(err, -EINVAL, "%s.memory: %s is out of range; give 64M to 4T", at,
			       size);
	if (n->memory % REGION_BYTES)
		return err_set(err, -EINVAL, "%s.memory: %s is not a multiple of 2M; round it", at,
			       size);
	return 0;
}

static int check_limit(const struct cluster_node *n, const char *at, struct err *err)
{
	char limit[32], least[32];

	if (!n->limit || n->limit >= n->memory + MIN_NODE_COPIES)
		return 0;
	return err_set(err, -EINVAL,
		       "%s.limit: %s is too little: its own memory and room for copies are %s", at,
		       size_format(n->limit, limit, sizeof(limit)),
		       size_format(n->memory + MIN_NODE_COPIES, least, sizeof(least)));
}

/* The first node has the devices, and the guest boots there. */
static int check_vcpus(const struct cluster_node *n, const char *at, bool first, struct err *err)
{
	if (n->vcpus > MAX_NODE_VCPUS)
		return err_set(err, -EINVAL, "%s.vcpus: %u is out of range; give 0 to %d", at,
			       n->vcpus, MAX_NODE_VCPUS);
	if (first && !n->vcpus)
		return err_set(
			err, -EINVAL,
			"%s.vcpus: 0: the guest boots on the first node; give it one, or put "
			"another node first",
			at);
	return 0;
}

static int check_address(const struct cluster_config *cfg, const struct cluster_node *n,
			 const char *at, struct err *err)
{
	char host[sizeof(n->address)];
	uint16_t port;

	if (!n->address[0]) {
		if (cfg->placement != CLUSTER_HOSTS)
			return 0;
		return err_set(err, -EINVAL,
			       "%s.address: missing; give host:port, or set placement: local", at);
	}
	if (address_split(n->address, host, sizeof(host), &port) < 0 || port == 0)
		return err_set(err, -EINVAL,
			       "%s.address: '%s' is no address; give host:port, port 1..65535", at,
			       n->address);
	return 0;
}

static int check_node(const struct cluster_config *cfg, unsigned i, const char *origin,
		      struct err *err)
{
	const struct cluster_node *n = &cfg->nodes[i];
	char at[320];
	int r;

	snprintf(at, sizeof(at), "%.280s: nodes[%u]", origin, i);
	if (!name_valid(n->name))
		return err_set(err, -EINVAL,
			       "%s.name: '%s': use letters, digits, '-', '_' and '.' only", at,
			       n->name);
	r = check_memory(n, at, err) ?: check_limit(n, at, err) ?: check_vcpus(n, at, i == 0, err);
	if (r < 0)
		return r;
	if (n->cpus_count && n->cpus_count != n->vcpus)
		return err_set(err, -EINVAL,
			       "%s.cpus: %u CPUs for %u vCPUs; list one for every vCPU, or none",
			       at, n->cpus_count, n->vcpus);
	for (unsigned c = 0; c < n->cpus_count; c++)
		if (n->cpus[c] >= 8192) /* Linux's largest NR_CPUS */
			return err_set(err, -EINVAL, "%s.cpus: no host has a CPU %u", at,
				       n->cpus[c]);
	if (n->ssh[0] && cfg->placement != CLUSTER_HOSTS)
		return err_set(err, -EINVAL, "%s.ssh: only with placement: hosts; remove one", at);
	if (!ssh_valid(n->ssh))
		return err_set(err, -EINVAL, "%s.ssh: '%s' is no target; give user@host", at,
			       n->ssh);
	return check_address(cfg, n, at, err);
}

static int check_unique(const struct cluster_config *cfg, unsigned i, const char *origin,
			struct err *err)
{
	for (unsigned j = 0; j < i; j++) {
		if (strcmp(cfg->nodes[i].name, cfg->nodes[j].name) == 0)
			return err_set(err, -EINVAL,
				       "%s: nodes[%u].name: '%s' is already nodes[%u]; rename one",
				       origin, i, cfg->nodes[i].name, j);
		if (cfg->nodes[i].address[0] &&
		    strcmp(cfg->nodes[i].address, cfg->nodes[j].address) == 0)
			return err_set(err, -EINVAL,
				       "%s: nodes[%u].address: %s is already nodes[%u]; change one",
				       origin, i, cfg->nodes[i].address, j);
	}
	return 0;
}

static int check_distances(const struct cluster_config *cfg, const char *origin, struct err *err)
{
	for (unsigned i = 0; i < cfg->nodes_count; i++)
		for (unsigned j = 0; j < cfg->nodes_count; j++) {
			unsigned d = cfg->distance[i][j];

			if (i == j && d != 10)
				return err_set(err, -EINVAL,
					       "%s: numa.distances[%u][%u]: %u; a node's distance "
					       "to itself is 10",
					       origin, i, j, d);
			if (i != j && (d < 11 || d > 254))
				return err_set(err, -EINVAL,
					       "%s: numa.distances[%u][%u]: %u%s is out of range; "
					       "give 11 to 254",
					       origin, i, j, d, d == 255 ? " or more" : "");
		}
	return 0;
}

/* Each node may be right and all together too much for one guest. */
static int check_totals(const struct cluster_config *cfg, const char *origin, struct err *err)
{
	uint64_t memory = 0;
	unsigned vcpus = 0;
	char size[32];

	for (unsigned i = 0; i < cfg->nodes_count; i++) {
		memory += cfg->nodes[i].memory;
		vcpus += cfg->nodes[i].vcpus;
	}
	if (vcpus > MAX_VCPUS)
		return err_set(err, -EINVAL,
			       "%s: nodes: %u vCPUs in all; a guest has at most %d, give less",
			       origin, vcpus, MAX_VCPUS);
	if (memory > MAX_MEMORY)
		return err_set(err, -EINVAL,
			       "%s: nodes: %s of memory in all; a guest has less than 64T", origin,
			       size_format(memory, size, sizeof(size)));
	return 0;
}

static int check_trace(const struct cluster_config *cfg, const char *origin, struct err *err)
{
	char size[32];

	if (cfg->trace.size >= MIN_TRACE_BYTES)
		return 0;
	return err_set(err, -EINVAL, "%s: pager.trace_size: %s is too little; give at least 1M",
		       origin, size_format(cfg->trace.size, size, sizeof(size)));
}

int cluster_check(const struct cluster_config *cfg, const char *origin, struct err *err)
{
	int r = 0;

	if (cfg->nodes_count < 1 || cfg->nodes_count > MAX_NODES)
		return err_set(err, -EINVAL, "%s: nodes: %u; give 1 to %d", origin,
			       cfg->nodes_count, MAX_NODES);
	for (unsigned i = 0; r == 0 && i < cfg->nodes_count; i++)
		r = check_node(cfg, i, origin, err) ?: check_unique(cfg, i, origin, err);
	return r ?: check_totals(cfg, origin, err) ?: check_distances(cfg, origin, err)
		?: check_trace(cfg, origin, err);
}
