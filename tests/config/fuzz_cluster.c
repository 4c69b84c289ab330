/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster file. What is refused has a reason that names the file; what is taken obeys every rule,
 * and is the same again after it was saved and read back.
 */
#include <sys/mman.h>

#include "config/cluster.h"
#include "tests/fuzz/fuzz.h"

/* Neither in a file system nor in the way of another process. */
struct memory_file {
	int fd;
	char path[32];
};

static void open_file(struct memory_file *f, const void *data, size_t len)
{
	f->fd = memfd_create("cluster", MFD_CLOEXEC);
	fuzz_check(f->fd >= 0);
	fuzz_check(write(f->fd, data, len) == (ssize_t)len);
	snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->fd);
}

static void check_text(const char *text, size_t room)
{
	size_t len = strnlen(text, room);

	fuzz_check(len > 0 && len < room);
}

static void check_same_again(const struct cluster_config *cfg)
{
	struct cluster_config *copy = NULL;
	struct memory_file f;
	uint64_t before, after;
	struct err err = {0};

	open_file(&f, "", 0);
	fuzz_check(cluster_save(cfg, f.path, &err) == 0);
	int r = cluster_load(f.path, &copy, &err);
	if (r < 0)
		fprintf(stderr, "%s\n", err.text);
	fuzz_check(r == 0);
	fuzz_check(cluster_digest(cfg, &before) == 0);
	fuzz_check(cluster_digest(copy, &after) == 0);
	fuzz_check(before == after);
	fuzz_check(!cfg->append == !copy->append);
	fuzz_check(!cfg->append || strcmp(cfg->append, copy->append) == 0);
	cluster_free(copy);
	close(f.fd);
}

static void check_taken(const struct cluster_config *cfg)
{
	struct err err;

	fuzz_check(cluster_check(cfg, "again", &err) == 0);
	check_text(cfg->name, sizeof(cfg->name));
	fuzz_check(cfg->nodes_count >= 1 && cfg->nodes_count <= MAX_NODES);
	for (unsigned i = 0; i < cfg->nodes_count; i++) {
		const struct cluster_node *n = &cfg->nodes[i];

		check_text(n->name, sizeof(n->name));
		fuzz_check(cluster_find(cfg, n->name) == (int)i);
		fuzz_check(n->vcpus <= MAX_NODE_VCPUS && (i || n->vcpus));
		fuzz_check(!n->limit || n->limit >= n->memory + MIN_NODE_COPIES);
		fuzz_check(n->memory % REGION_BYTES == 0 && n->memory);
		fuzz_check(cfg->distance[i][i] == 10);
	}
	check_same_again(cfg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cluster_config *cfg = NULL;
	struct memory_file f;
	struct err err = {0};

	open_file(&f, data, len);
	int r = cluster_load(f.path, &cfg, &err);
	close(f.fd);
	if (r == 0) {
		check_taken(cfg);
		cluster_free(cfg);
	} else {
		fuzz_check(!cfg);
		fuzz_check(strnlen(err.text, sizeof(err.text)) < sizeof(err.text));
		fuzz_check(strstr(err.text, f.path));
	}
	return 0;
}

static size_t seed_nodes(uint64_t *random, FILE *f)
{
	static const char *const placement[] = {"hosts", "local", "lab"};
	uint64_t nodes = 1 + fuzz_random(random) % 3, where = fuzz_random(random) % 3;

	fprintf(f, "cluster: {name: f}\nplacement: %s\nnodes:\n", placement[where]);
	for (uint64_t i = 0; i < nodes; i++) {
		uint64_t dice = fuzz_random(random);

		fprintf(f, "  - name: n%u\n    memory: %uM\n    vcpus: 2\n", (unsigned)i,
			64u << dice % 3);
		if (where == 0)
			fprintf(f, "    address: \"[::%u]:5000%u\"\n", (unsigned)i, (unsigned)i);
		if (dice >> 8 & 1)
			fputs("    cpus: [0, 1]\n", f);
		if (dice >> 9 & 1)
			fputs("    ssh: me@there\n", f);
	}
	return nodes;
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	FILE *f = fmemopen(data, room, "w");

	fuzz_check(f);
	size_t nodes = seed_nodes(random, f);
	uint64_t dice = fuzz_random(random);
	if (dice & 1)
		fputs("guest: {kernel: k, initrd: /i, append: \"a \\\"b\\\" c\"}\n", f);
	if (dice & 2)
		fputs("pager: {shards: 2, hold_us: 100, homes: 9, trace: t, trace_size: 9M}\n", f);
	if (dice & 4)
		fputs("lab: {slow_motion: 3, host_memory: 1G}\n", f);
	if (dice & 8) {
		fputs("numa:\n  distances:\n", f);
		for (size_t i = 0; i < nodes; i++)
			fprintf(f, "    - [%d%s%s]\n", i ? 20 : 10,
				nodes > 1 ? i == 1 ? ", 10" : ", 30" : "",
				nodes > 2 ? i == 2 ? ", 10" : ", 40" : "");
	}
	long len = ftell(f);
	fclose(f);
	return (size_t)len;
}
