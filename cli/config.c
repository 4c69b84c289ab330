/* SPDX-License-Identifier: Apache-2.0 */
/* ssihv config: what a cluster file may hold, and whether one is right. */
#include <stdio.h>

#include "base/size.h"
#include "cli/cli.h"
#include "config/cluster.h"

static int check(const char *path)
{
	_cleanup_(cluster_freep) struct cluster_config *cfg = NULL;
	struct err err;
	uint64_t memory = 0;
	unsigned vcpus = 0;
	char size[32];

	if (cluster_load(path, &cfg, &err) < 0)
		return failure(&err);
	for (unsigned i = 0; i < cfg->nodes_count; i++) {
		memory += cfg->nodes[i].memory;
		vcpus += cfg->nodes[i].vcpus;
	}
	printf("%s: cluster '%s': %u nodes, %u vCPUs, %s\n", path, cfg->name, cfg->nodes_count,
	       vcpus, size_format(memory, size, sizeof(size)));
	return STATUS_OK;
}

static int keys(void)
{
	const struct cluster_key *k;

	for (size_t i = 0; (k = cluster_key(i)); i++)
		printf("%-22s %s (%s)\n%-22s %s\n", k->path, k->form, k->fallback, "", k->help);
	return STATUS_OK;
}

static int run(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "check") == 0)
		return check(argv[2]);
	if (argc == 2 && strcmp(argv[1], "keys") == 0)
		return keys();
	return usage_error("config wants `check FILE` or `keys`");
}

const struct verb verb_config = {
	.name = "config",
	.arguments = "check FILE | keys",
	.help = "check a cluster file, or list the keys that it may hold",
	.run = run,
};
