/* SPDX-License-Identifier: Apache-2.0 */
/* From what the file says to a configuration: defaults, units, ranges. The rules are check.c. */
#include "config/cluster.h"

#include <stdio.h>

#include "base/file.h"
#include "base/size.h"
#include "base/text.h"
#include "config/schema.h"

#define FILE_MAX MIB /* 64 nodes with all keys need some 40 KiB */

/* A path of the file is relative to the file, so that a cluster file can be used from anywhere. */
static int resolve_path(const char *origin, const char *path, char **ret)
{
	const char *slash = strrchr(origin, '/');
	_cleanup_free_ char *cwd = NULL;

	if (path[0] == '/') {
		*ret = strdup(path);
		return *ret ? 0 : -ENOMEM;
	}
	if (origin[0] != '/') {
		cwd = getcwd(NULL, 0);
		if (!cwd)
			return -errno;
	}
	*ret = text_printf("%s%s%.*s%s", cwd ?: "", cwd ? "/" : "",
			   slash ? (int)(slash + 1 - origin) : 0, origin, path);
	return *ret ? 0 : -ENOMEM;
}

static int take_guest(const char *origin, const struct cluster_file *file,
		      struct cluster_config *cfg, struct err *err)
{
	int r = 0;

	if (file->guest.kernel)
		r = resolve_path(origin, file->guest.kernel, &cfg->kernel);
	if (r == 0 && file->guest.initrd)
		r = resolve_path(origin, file->guest.initrd, &cfg->initrd);
	if (r == 0 && file->guest.append) {
		cfg->append = strdup(file->guest.append);
		r = cfg->append ? 0 : -ENOMEM;
	}
	return r < 0 ? err_set(err, r, "%s: guest: %s", origin, strerror(-r)) : 0;
}

static int take_size(const char *origin, const char *key, const char *text, uint64_t *ret,
		     struct err *err)
{
	if (size_parse(text, ret) < 0)
		return err_set(err, -EINVAL, "%s: %s: '%s' is no size; write it like 512M or 4G",
			       origin, key, text);
	return 0;
}

static int take_trace(const char *origin, const struct cluster_file *file,
		      struct cluster_config *cfg, struct err *err)
{
	int r = 0;

	cfg->trace.size = TRACE_BYTES;
	if (file->pager.trace_size)
		r = take_size(origin, "pager.trace_size", file->pager.trace_size, &cfg->trace.size,
			      err);
	if (r < 0 || !file->pager.trace)
		return r;
	r = resolve_path(origin, file->pager.trace, &cfg->trace.dir);
	return r < 0 ? err_set(err, r, "%s: pager.trace: %s", origin, strerror(-r)) : 0;
}

static void fill_distances(struct cluster_config *cfg, uint8_t remote)
{
	for (unsigned i = 0; i < cfg->nodes_count; i++)
		for (unsigned j = 0; j < cfg->nodes_count; j++)
			cfg->distance[i][j] = i == j ? 10 : remote;
}

static unsigned number_of(const struct cluster_file *file, const struct key *k)
{
	const unsigned *given;

	memcpy(&given, (const char *)file + k->file_offset, sizeof(given));
	return given ? *given : k->fallback;
}

/*
 * The numbers of the key table. One without a place in the configuration is only checked, but for
 * the remote distance: it fills the matrix, which numa.distances then may overwrite.
 */
static int take_numbers(const char *origin, const struct cluster_file *file,
			struct cluster_config *cfg, struct err *err)
{
	const struct key *k;

	for (size_t i = 0; (k = key_at(i)); i++) {
		unsigned value = k->number ? number_of(file, k) : 0;

		if (!k->number)
			continue;
		if (value < k->min || value > k->max)
			return err_set(err, -EINVAL, "%s: %s: %u is out of range; give %s", origin,
				       k->doc.path, value, k->doc.form);
		if (k->config_offset != SIZE_MAX)
			memcpy((char *)cfg + k->config_offset, &value, sizeof(value));
		if (k->file_offset == offsetof(struct cluster_file, numa.remote_distance))
			fill_distances(cfg, (uint8_t)value);
	}
	return 0;
}

static int take_node(const char *origin, unsigned index, const struct file_node *in,
		     struct cluster_node *node, struct err *err)
{
	char key[32];
	int r;

	/* The schema bounds the lengths. */
	strcpy(node->name, in->name);
	strcpy(node->address, in->address ?: "");
	strcpy(node->ssh, in->ssh ?: "");
	node->vcpus = *in->vcpus;
	node->cpus_count = in->cpus_count;
	if (in->cpus_count)
		memcpy(node->cpus, in->cpus, in->cpus_count * sizeof(node->cpus[0]));
	snprintf(key, sizeof(key), "nodes[%u].memory", index);
	r = take_size(origin, key, in->memory, &node->memory, err);
	if (r < 0 || !in->limit)
		return r;
	snprintf(key, sizeof(key), "nodes[%u].limit", index);
	return take_size(origin, key, in->limit, &node->limit, err);
}

static void distances_freep(struct file_distances **d)
{
	/* Freed with the number of nodes that it was read for: numa.distances_count, if any. */
	if (*d)
		schema_free_distances(*d, (*d)->numa.distances_count ?: 1);
}

static int take_distances(const char *origin, const char *text, size_t len,
			  const struct cluster_file *file, struct cluster_config *cfg,
			  struct err *err)
{
	_cleanup_(distances_freep) struct file_distances *d = NULL;
	const unsigned n = cfg->nodes_count;
	int r;

	r = schema_read_distances(origin, text, len, n, &d, err);
	if (r < 0)
		return r;
	if (!d->numa.distances_count)
		return 0;
	if (file->numa.remote_distance)
		return err_set(err, -EINVAL,
			       "%s: numa: remote_distance and distances contradict; keep one",
			       origin);
	for (unsigned i = 0; i < n * n; i++) {
		unsigned value = d->numa.distances[i];

		cfg->distance[i / n][i % n] = (uint8_t)MIN(value, 255u);
	}
	return 0;
}

static void file_freep(struct cluster_file **file)
{
	if (*file)
		schema_free(*file);
}

static int convert(const char *origin, const char *text, size_t len, struct cluster_config *cfg,
		   struct err *err)
{
	_cleanup_(file_freep) struct cluster_file *file = NULL;
	int r;

	r = schema_read(origin, text, len, &file, err);
	if (r < 0)
		return r;
	strcpy(cfg->name, file->cluster.name);
	cfg->placement = file->placement;
	cfg->transport = file->transport.kind;
	cfg->nodes_count = file->nodes_count;
	for (unsigned i = 0; r == 0 && i < file->nodes_count; i++)
		r = take_node(origin, i, &file->nodes[i], &cfg->nodes[i], err);
	if (r == 0 && file->lab.host_memory)
		r = take_size(origin, "lab.host_memory", file->lab.host_memory,
			      &cfg->lab.host_memory, err);
	if (r == 0)
		r = take_numbers(origin, file, cfg, err);
	if (r == 0)
		r = take_distances(origin, text, len, file, cfg, err);
	if (r == 0)
		r = take_trace(origin, file, cfg, err);
	return r ?: take_guest(origin, file, cfg, err);
}

int cluster_load(const char *path, struct cluster_config **ret, struct err *err)
{
	_cleanup_(cluster_freep) struct cluster_config *cfg = calloc(1, sizeof(*cfg));
	_cleanup_(file_free) struct file file = {0};
	int r;

	if (!cfg)
		return err_set(err, -ENOMEM, "%s: out of memory", path);
	r = file_read("cluster file", path, FILE_MAX, &file, err);
	if (r == 0)
		r = convert(path, (const char *)file.data, file.len, cfg, err);
	if (r == 0)
		r = cluster_check(cfg, path, err);
	if (r == 0)
		*ret = TAKE_PTR(cfg);
	return r;
}

/*
 * An emulated CPU is 20 times slower than a real one: clocks that are slowed as well keep timer
 * ticks and network in proportion. Fetching a page costs 1 ms and more of emulation, so what was
 * fetched is kept for longer. Polling would take the CPU from the very host that is to answer.
 */
static void suit_the_lab(struct cluster_config *cfg)
{
	cfg->lab.slow_motion = 10;
	cfg->pager.hold_us = 8000;
	cfg->pager.spin_us = 0;
}

int cluster_default(enum cluster_placement placement, unsigned nodes, uint64_t memory,
		    unsigned vcpus, struct cluster_config **ret, struct err *err)
{
	static const struct cluster_file nothing_given;
	_cleanup_(cluster_freep) struct cluster_config *cfg = calloc(1, sizeof(*cfg));
	int r;

	if (!cfg)
		return err_set(err, -ENOMEM, "out of memory");
	if (nodes < 1 || nodes > MAX_NODES)
		return err_set(err, -EINVAL, "%u nodes: give 1 to %d", nodes, MAX_NODES);
	strcpy(cfg->name, placement == CLUSTER_LAB ? "lab" : "local");
	cfg->placement = placement;
	cfg->nodes_count = nodes;
	for (unsigned i = 0; i < nodes; i++) {
		snprintf(cfg->nodes[i].name, sizeof(cfg->nodes[i].name), "node%u", i);
		cfg->nodes[i].memory = memory;
		cfg->nodes[i].vcpus = vcpus;
	}
	r = take_numbers("defaults", &nothing_given, cfg, err);
	if (r == 0)
		r = take_trace("defaults", &nothing_given, cfg, err);
	if (r == 0 && placement == CLUSTER_LAB)
		suit_the_lab(cfg);
	if (r == 0)
		r = cluster_check(cfg, "command line", err);
	if (r == 0)
		*ret = TAKE_PTR(cfg);
	return r;
}

int cluster_find(const struct cluster_config *cfg, const char *name)
{
	for (unsigned i = 0; i < cfg->nodes_count; i++)
		if (strcmp(cfg->nodes[i].name, name) == 0)
			return (int)i;
	return -ENOENT;
}

void cluster_free(struct cluster_config *cfg)
{
	if (!cfg)
		return;
	free(cfg->kernel);
	free(cfg->initrd);
	free(cfg->append);
	free(cfg->trace.dir);
	free(cfg);
}
