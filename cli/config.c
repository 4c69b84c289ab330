/* SPDX-License-Identifier: Apache-2.0 */
/* ssihv config: what a cluster file may hold, and whether one is right. */
#include <jansson.h>
#include <stdio.h>

#include "base/size.h"
#include "cli/cli.h"
#include "config/cluster.h"

enum { OPT_OUTPUT };

static const struct option_spec options[] = {
	[OPT_OUTPUT] = {"output", 'o', "json", "print a JSON object, or an array of keys"},
	{NULL},
};

static int print_json(json_t *value)
{
	if (!value)
		return failure(&(struct err){"out of memory"});
	json_dumpf(value, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(value);
	return STATUS_OK;
}

static json_t *sum_json(const struct cluster_config *cfg, unsigned vcpus, uint64_t memory)
{
	json_t *nodes = json_array();

	for (unsigned i = 0; i < cfg->nodes_count; i++) {
		const struct cluster_node *n = &cfg->nodes[i];

		json_array_append_new(nodes,
				      json_pack("{s:s, s:s, s:s, s:i, s:I}", "name", n->name,
						"address", n->address, "ssh", n->ssh, "vcpus",
						n->vcpus, "memory", (json_int_t)n->memory));
	}
	return json_pack("{s:s, s:i, s:I, s:o}", "cluster", cfg->name, "vcpus", vcpus, "memory",
			 (json_int_t)memory, "nodes", nodes);
}

static int check(const char *path, bool json)
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
	if (json)
		return print_json(sum_json(cfg, vcpus, memory));
	printf("%s: cluster '%s': %u nodes, %u vCPUs, %s\n", path, cfg->name, cfg->nodes_count,
	       vcpus, size_format(memory, size, sizeof(size)));
	return STATUS_OK;
}

static int keys(bool json)
{
	json_t *all = json ? json_array() : NULL;
	const struct cluster_key *k;

	for (size_t i = 0; (k = cluster_key(i)); i++)
		if (json)
			json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s}", "key", k->path,
							     "form", k->form, "default",
							     k->fallback, "help", k->help));
		else
			printf("%-22s %s (%s)\n%-22s %s\n", k->path, k->form, k->fallback, "",
			       k->help);
	return json ? print_json(all) : STATUS_OK;
}

static int run(int argc, char **argv)
{
	struct options o = {argc, argv, 1};
	const char *value, *words[2];
	bool json = false;
	int which, count = 0;

	while ((which = options_next(&o, &verb_config, &value)) != OPTIONS_END) {
		if (which == OPTIONS_STOP)
			return o.status;
		if (which == OPT_OUTPUT && !option_is_json(&verb_config, value))
			return STATUS_USAGE;
		json |= which == OPT_OUTPUT;
		if (which == OPTIONS_POSITIONAL && count < 2)
			words[count] = value;
		count += which == OPTIONS_POSITIONAL;
	}
	if (count == 2 && strcmp(words[0], "check") == 0)
		return check(words[1], json);
	if (count == 1 && strcmp(words[0], "keys") == 0)
		return keys(json);
	return usage_error("config wants `check FILE` or `keys`");
}

const struct verb verb_config = {
	.name = "config",
	.arguments = "(check FILE | keys) [-o json]",
	.help = "check a cluster file, or list the keys that it may hold",
	.options = options,
	.run = run,
};
