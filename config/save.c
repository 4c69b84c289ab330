/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical text of a configuration. It is YAML that cluster_load() reads back to the same
 * configuration, and without the parts that only one host uses it is what the digest covers.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "config/cluster.h"

enum scope { WHOLE, SHARED };

/* A double-quoted YAML scalar (YAML 1.2, 7.3.1): any byte string survives. */
static void put_string(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(f, "\\x%02x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void put_key(FILE *f, const char *key, const char *text)
{
	if (!text || !text[0])
		return;
	fprintf(f, "%s: ", key);
	put_string(f, text);
	fputc('\n', f);
}

static void put_node(FILE *f, const struct cluster_node *n, enum scope scope)
{
	put_key(f, "  - name", n->name);
	put_key(f, "    address", n->address);
	fprintf(f, "    memory: \"%llu\"\n", (unsigned long long)n->memory);
	fprintf(f, "    vcpus: %u\n", n->vcpus);
	if (scope == SHARED)
		return;
	if (n->limit)
		fprintf(f, "    limit: \"%llu\"\n", (unsigned long long)n->limit);
	put_key(f, "    ssh", n->ssh);
	if (n->cpus_count) {
		fputs("    cpus: [", f);
		for (unsigned i = 0; i < n->cpus_count; i++)
			fprintf(f, "%s%u", i ? ", " : "", n->cpus[i]);
		fputs("]\n", f);
	}
}

static void put_distances(FILE *f, const struct cluster_config *cfg)
{
	fputs("numa:\n  distances:\n", f);
	for (unsigned i = 0; i < cfg->nodes_count; i++) {
		fputs("    - [", f);
		for (unsigned j = 0; j < cfg->nodes_count; j++)
			fprintf(f, "%s%u", j ? ", " : "", cfg->distance[i][j]);
		fputs("]\n", f);
	}
}

static void put(FILE *f, const struct cluster_config *cfg, enum scope scope)
{
	static const char *const placement[] = {"hosts", "local", "lab"};
	static const char *const transport[] = {"tcp"};

	fputs("cluster:\n", f);
	put_key(f, "  name", cfg->name);
	if (scope == WHOLE && (cfg->kernel || cfg->initrd || cfg->append)) {
		fputs("guest:\n", f);
		put_key(f, "  kernel", cfg->kernel);
		put_key(f, "  initrd", cfg->initrd);
		put_key(f, "  append", cfg->append);
	}
	fprintf(f, "placement: %s\nnodes:\n", placement[cfg->placement]);
	for (unsigned i = 0; i < cfg->nodes_count; i++)
		put_node(f, &cfg->nodes[i], scope);
	fprintf(f, "transport:\n  kind: %s\n", transport[cfg->transport]);
	put_distances(f, cfg);
	fprintf(f, "pager:\n  shards: %u\n  hold_us: %u\n  spin_us: %u\n  homes: %u\n",
		cfg->pager.shards, cfg->pager.hold_us, cfg->pager.spin_us, cfg->pager.homes);
	if (scope == WHOLE) {
		put_key(f, "  trace", cfg->trace.dir);
		fprintf(f, "  trace_size: \"%llu\"\n", (unsigned long long)cfg->trace.size);
	}
	fprintf(f, "boot:\n  together: %u\n", cfg->boot.together);
	fprintf(f,
		"lab:\n  slow_motion: %u\n  skew_ppm: %u\n  unlike_cpus: %u\n  free_clocks: %u\n",
		cfg->lab.slow_motion, cfg->lab.skew_ppm, cfg->lab.unlike_cpus,
		cfg->lab.free_clocks);
	if (scope == WHOLE && cfg->lab.host_memory)
		fprintf(f, "  host_memory: \"%llu\"\n", (unsigned long long)cfg->lab.host_memory);
}

int cluster_save(const struct cluster_config *cfg, const char *path, struct err *err)
{
	FILE *f = fopen(path, "we");
	bool failed;

	if (!f)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	put(f, cfg, WHOLE);
	failed = ferror(f);
	if (fclose(f) || failed)
		return err_set(err, -EIO, "%s: could not be written: %s", path, strerror(errno));
	return 0;
}

int cluster_digest(const struct cluster_config *cfg, uint64_t *ret)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -ENOMEM;
	put(f, cfg, SHARED);
	if (fclose(f))
		return -ENOMEM;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	*ret = hash;
	return 0;
}
