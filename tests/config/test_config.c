/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster file: what it means, what is refused and with which words. Argument: the example. */
#include "tests/check.h"

#include <stdio.h>

#include "config/cluster.h"

static const char *example;

#define NODE(name) "  - {name: " name ", memory: 64M, vcpus: 1}\n"
#define LOCAL	   "cluster: {name: t}\nplacement: local\nnodes:\n"
#define HOSTS	   "cluster: {name: t}\nnodes:\n"

/* A file with @text; the caller unlinks it. */
static void write_file(char *path, const char *text, size_t len)
{
	int fd;

	strcpy(path, "/tmp/ssihv-config.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static int load_text(const char *text, size_t len, struct cluster_config **ret, struct err *err)
{
	char path[32];
	int r;

	write_file(path, text, len);
	r = cluster_load(path, ret, err);
	unlink(path);
	return r;
}

static struct cluster_config *accept(const char *text)
{
	struct cluster_config *cfg = NULL;
	struct err err = {0};
	int r = load_text(text, strlen(text), &cfg, &err);

	if (r < 0)
		fail_msg("refused: %s", err.text);
	return cfg;
}

static void the_example_loads(void **state)
{
	struct cluster_config *cfg;
	struct err err = {0};

	assert_int_equal(cluster_load(example, &cfg, &err), 0);
	assert_string_equal(cfg->name, "example");
	assert_int_equal(cfg->placement, CLUSTER_HOSTS);
	assert_int_equal(cfg->nodes_count, 2);
	assert_string_equal(cfg->nodes[1].name, "beta");
	assert_int_equal(cfg->nodes[1].memory, 8 * GIB);
	assert_int_equal(cfg->nodes[0].cpus_count, 4);
	assert_int_equal(cfg->nodes[0].cpus[3], 3);
	assert_string_equal(cfg->nodes[1].ssh, "operator@beta.example.net");
	assert_int_equal(cfg->distance[0][1], 21);
	assert_int_equal(cfg->lab.host_memory, 8 * GIB);
	assert_string_equal(cfg->append, "console=ttyS0 quiet");
	/* Relative paths are relative to the file. */
	assert_int_equal(cfg->kernel[0], '/');
	assert_non_null(strstr(cfg->kernel, "docs/vmlinuz"));
	cluster_free(cfg);
}

static void missing_keys_have_defaults(void **state)
{
	struct cluster_config *cfg = accept(LOCAL NODE("a") NODE("b") NODE("c"));

	assert_int_equal(cfg->pager.shards, 1);
	assert_int_equal(cfg->pager.hold_us, 2000);
	assert_int_equal(cfg->pager.spin_us, 50);
	assert_int_equal(cfg->pager.homes, 1024);
	assert_null(cfg->trace.dir);
	assert_int_equal(cfg->trace.size, 128 * MIB);
	assert_int_equal(cfg->boot.together, 1);
	assert_int_equal(cfg->lab.slow_motion, 1);
	assert_int_equal(cfg->lab.skew_ppm, 0);
	assert_int_equal(cfg->lab.unlike_cpus, 0);
	assert_int_equal(cfg->distance[2][2], 10);
	assert_int_equal(cfg->distance[0][2], 100);
	assert_null(cfg->kernel);
	assert_int_equal(cluster_find(cfg, "c"), 2);
	assert_int_equal(cluster_find(cfg, "d"), -ENOENT);
	cluster_free(cfg);
}

static void a_node_may_give_memory_only_and_have_a_limit(void **state)
{
	struct cluster_config *cfg =
		accept(LOCAL "  - {name: a, memory: 64M, vcpus: 2, limit: 80M}\n"
			     "  - {name: b, memory: 1G, vcpus: 0}\n");
	uint64_t one, other;

	assert_int_equal(cfg->nodes[0].limit, 80 * MIB);
	assert_int_equal(cfg->nodes[1].limit, 0);
	assert_int_equal(cfg->nodes[1].vcpus, 0);
	/* A host's own affair: nodes need not agree on it. */
	assert_int_equal(cluster_digest(cfg, &one), 0);
	cfg->nodes[0].limit += MIB;
	assert_int_equal(cluster_digest(cfg, &other), 0);
	assert_true(one == other);
	cluster_free(cfg);
}

static void zero_is_not_missing(void **state)
{
	struct cluster_config *cfg =
		accept(LOCAL NODE("a") "pager: {hold_us: 0}\nnuma: {remote_distance: 31}\n");

	assert_int_equal(cfg->pager.hold_us, 0);
	cluster_free(cfg);
	cfg = accept(LOCAL NODE("a") NODE("b") "numa: {remote_distance: 31}\n");
	assert_int_equal(cfg->distance[1][0], 31);
	cluster_free(cfg);
}

static void distances_may_be_asymmetric(void **state)
{
	struct cluster_config *cfg =
		accept(LOCAL NODE("a") NODE("b") "numa: {distances: [[10, 20], [30, 10]]}\n");

	assert_int_equal(cfg->distance[0][1], 20);
	assert_int_equal(cfg->distance[1][0], 30);
	cluster_free(cfg);
}

static void what_is_saved_loads_the_same(void **state)
{
	struct cluster_config *cfg, *again;
	struct err err = {0};
	uint64_t a, b, c;
	char path[32];

	assert_int_equal(cluster_load(example, &cfg, &err), 0);
	cfg->nodes[1].limit = cfg->nodes[1].memory + MIN_NODE_COPIES;
	free(cfg->append);
	cfg->append = strdup("quote=\" back=\\ tab=\t colon: # \303\244");
	cfg->trace.dir = strdup("/some/where");
	cfg->trace.size = 5 * MIB;
	write_file(path, "", 0);
	assert_int_equal(cluster_save(cfg, path, &err), 0);
	assert_int_equal(cluster_load(path, &again, &err), 0);
	unlink(path);
	assert_string_equal(again->append, cfg->append);
	assert_string_equal(again->kernel, cfg->kernel);
	assert_memory_equal(again->nodes, cfg->nodes, sizeof(cfg->nodes));
	assert_memory_equal(again->distance, cfg->distance, sizeof(cfg->distance));
	assert_memory_equal(&again->pager, &cfg->pager, sizeof(cfg->pager));
	assert_memory_equal(&again->lab, &cfg->lab, sizeof(cfg->lab));
	assert_string_equal(again->trace.dir, cfg->trace.dir);
	assert_int_equal(again->trace.size, cfg->trace.size);

	/* The digest covers what all nodes must agree on, and nothing else. */
	assert_int_equal(cluster_digest(cfg, &a), 0);
	assert_int_equal(cluster_digest(again, &b), 0);
	assert_true(a == b);
	strcpy(again->append, "x");
	again->trace.dir[1] = 'x';
	again->nodes[0].cpus[0] = 7;
	again->nodes[1].ssh[0] = 'q';
	assert_int_equal(cluster_digest(again, &b), 0);
	assert_true(a == b);
	again->nodes[1].memory += REGION_BYTES;
	assert_int_equal(cluster_digest(again, &b), 0);
	again->nodes[1].memory -= REGION_BYTES;
	again->pager.homes++;
	assert_int_equal(cluster_digest(again, &c), 0);
	assert_true(a != c);
	again->pager.homes--;
	again->distance[1][0]++;
	assert_int_equal(cluster_digest(again, &c), 0);
	assert_true(a != b && a != c && b != c);
	cluster_free(cfg);
	cluster_free(again);
}

static void defaults_for_equal_nodes(void **state)
{
	struct cluster_config *cfg = NULL;
	struct err err = {0};

	assert_int_equal(cluster_default(CLUSTER_LAB, 64, 512 * MIB, 2, &cfg, &err), 0);
	assert_int_equal(cfg->nodes_count, 64);
	assert_string_equal(cfg->nodes[63].name, "node63");
	assert_int_equal(cfg->distance[63][0], 100);
	assert_int_equal(cfg->pager.shards, 1);
	cluster_free(cfg);
	assert_int_equal(cluster_default(CLUSTER_LOCAL, 65, GIB, 1, &cfg, &err), -EINVAL);
	assert_int_equal(cluster_default(CLUSTER_LOCAL, 0, GIB, 1, &cfg, &err), -EINVAL);
	assert_int_equal(cluster_default(CLUSTER_LOCAL, 2, 32 * MIB, 1, &cfg, &err), -EINVAL);
	assert_int_equal(cluster_default(CLUSTER_LOCAL, 2, GIB, 65, &cfg, &err), -EINVAL);
	assert_non_null(strstr(err.text, "command line: nodes[0].vcpus: 65"));
}

/* Each is refused, in one line that holds the words. */
static const struct {
	const char *text, *words;
} refused[] = {
	{"# nothing\n", "empty"},
	{"[1, 2]", "MAPPING"},
	{"\tcluster: 3", "syntax"},
	{"cluster: {name: t", "syntax"},
	{"cluster: {name: t}\n", "nodes"},
	{"cluster: {name: t}\nnodes: []\n", "nodes"},
	{"nodes: [{name: a, memory: 64M, vcpus: 1}]\n", "cluster"},
	{"cluster: {name: ''}\nplacement: local\nnodes:\n" NODE("a"), "cluster.name"},
	{LOCAL NODE("a") "wings: 2\n", ": Unexpected key: wings; remove it"},
	{LOCAL NODE("a") "pager: {wings: 2}\n", "pager: Unexpected key: wings"},
	{LOCAL "  - {name: a, memory: 64M, vcpus: two}\n", ":4: nodes[0].vcpus"},
	{LOCAL "  - {name: a, memory: 64M, vcpus: -1}\n", "nodes[0].vcpus"},
	{LOCAL "  - {name: a, memory: 64M, vcpus: 0}\n", "nodes[0].vcpus: 0"},
	{LOCAL "  - {name: a, memory: 64M, vcpus: 1, limit: 79M}\n", "nodes[0].limit: 79 MiB"},
	{LOCAL "  - {name: a, memory: 64M, vcpus: 1, limit: much}\n", "nodes[0].limit: 'much'"},
	{LOCAL "  - {name: a, memory: 64M, vcpus: 65}\n", "nodes[0].vcpus: 65"},
	{LOCAL "  - {name: a, memory: 64M}\n", "vcpus"},
	{LOCAL "  - {name: a, vcpus: 1}\n", "memory"},
	{LOCAL "  - {name: a, memory: 62M, vcpus: 1}\n", "nodes[0].memory: 62 MiB"},
	{LOCAL "  - {name: a, memory: 65M, vcpus: 1}\n", "multiple of 2M"},
	{LOCAL "  - {name: a, memory: lots, vcpus: 1}\n", "nodes[0].memory: 'lots'"},
	{LOCAL "  - {name: a, memory: 5T, vcpus: 1}\n", "out of range"},
	{LOCAL "  - {name: '/', memory: 64M, vcpus: 1}\n", "nodes[0].name"},
	{LOCAL "  - {name: a123456789012345678901234567890b, memory: 64M, vcpus: 1}\n", "name"},
	{LOCAL "  - {name: a, memory: 64M, vcpus: 2, cpus: [1]}\n", "1 CPUs for 2 vCPUs"},
	{LOCAL "  - {name: a, memory: 64M, vcpus: 1, cpus: [8192]}\n", "8192"},
	{LOCAL "  - {name: a, memory: 64M, vcpus: 1, ssh: h}\n", "nodes[0].ssh"},
	{HOSTS "  - {name: a, memory: 64M, vcpus: 1, address: 'h:1', ssh: -oX}\n", "ssh: '-oX'"},
	{HOSTS "  - {name: a, memory: 64M, vcpus: 1, address: 'h:1', ssh: 'a;b'}\n", "ssh"},
	{HOSTS NODE("a"), "nodes[0].address: missing"},
	{HOSTS "  - {name: a, memory: 64M, vcpus: 1, address: 'h:0'}\n", "'h:0'"},
	{LOCAL "  - {name: a, memory: 64M, vcpus: 1, address: 'h:1'}\n"
	       "  - {name: b, memory: 64M, vcpus: 1, address: 'h:1'}\n",
	 "nodes[1].address: h:1 is already nodes[0]"},
	{LOCAL NODE("a") NODE("a"), "nodes[1].name: 'a' is already nodes[0]"},
	{LOCAL NODE("a") "placement: moon\n", "already seen"},
	{"cluster: {name: t}\nplacement: moon\nnodes:\n" NODE("a"), ":2: placement"},
	{LOCAL NODE("a") "transport: {kind: pigeon}\n", "transport.kind"},
	{LOCAL NODE("a") "pager: {shards: 0}\n", "pager.shards: 0 is out of range; give 1..16"},
	{LOCAL NODE("a") "boot: {together: 2}\n", "boot.together"},
	{LOCAL NODE("a") "pager: {hold_us: 1000001}\n", "pager.hold_us"},
	{LOCAL NODE("a") "pager: {homes: 10001}\n", "pager.homes"},
	{LOCAL NODE("a") "pager: {trace_size: 1000K}\n", "pager.trace_size: 1000 KiB"},
	{LOCAL NODE("a") "pager: {trace_size: x}\n", "pager.trace_size: 'x'"},
	{LOCAL NODE("a") "lab: {slow_motion: 0}\n", "lab.slow_motion"},
	{LOCAL NODE("a") "lab: {skew_ppm: 100001}\n", "lab.skew_ppm"},
	{LOCAL NODE("a") "lab: {unlike_cpus: 2}\n", "lab.unlike_cpus"},
	{LOCAL NODE("a") "lab: {host_memory: x}\n", "lab.host_memory: 'x'"},
	{LOCAL NODE("a") "numa: {local_distance: 11}\n", "numa.local_distance: 11"},
	{LOCAL NODE("a") "numa: {remote_distance: 10}\n", "numa.remote_distance: 10"},
	{LOCAL NODE("a") NODE("b") "numa: {distances: [[10, 20]]}\n", ":6: numa.distances"},
	{LOCAL NODE("a") NODE("b") "numa: {distances: [[10, 20], [20]]}\n", "numa.distances[1]"},
	{LOCAL NODE("a") NODE("b") "numa: {distances: [[10, 20, 3], [20, 10]]}\n", "distances[0]"},
	{LOCAL NODE("a") NODE("b") "numa: {distances: 3}\n", "numa.distances"},
	{LOCAL NODE("a") NODE("b") "numa: {distances: [[10, 20], [20, 11]]}\n", "[1][1]: 11"},
	{LOCAL NODE("a") NODE("b") "numa: {distances: [[10, 9], [20, 10]]}\n", "[0][1]: 9"},
	{LOCAL NODE("a") NODE("b") "numa: {distances: [[10, 255], [20, 10]]}\n", "[0][1]: 255"},
	{LOCAL NODE("a") NODE("b") "numa: {distances: [[10, 276], [20, 10]]}\n", "out of range"},
	{LOCAL NODE("a") NODE("b") "numa: {remote_distance: 20, distances: [[10, 20], [20, 10]]}\n",
	 "contradict"},
	{"cluster: {name: &x t}\nplacement: local\nnodes:\n  - {name: *x, memory: 64M, vcpus: 1}\n",
	 "alias"},
	{LOCAL NODE("a") "---\n" LOCAL NODE("a"), "more than one YAML document"},
};

static void bad_files_are_refused_in_one_line(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct cluster_config *cfg = NULL;
		struct err err = {0};
		int r = load_text(refused[i].text, strlen(refused[i].text), &cfg, &err);

		if (r != -EINVAL || cfg)
			fail_msg("accepted (%d):\n%s", r, refused[i].text);
		if (!strstr(err.text, refused[i].words) || strchr(err.text, '\n') ||
		    strncmp(err.text, "/tmp/ssihv-config.", 18))
			fail_msg("'%s' not in: %s", refused[i].words, err.text);
	}
}

static void too_many_nodes_are_refused(void **state)
{
	_cleanup_free_ char *text = calloc(1, 8192);
	struct cluster_config *cfg = NULL;
	struct err err = {0};
	size_t len = 0;

	for (unsigned n = 0; n <= MAX_NODES; n++)
		len += sprintf(text + len, "%s  - {name: n%u, memory: 64M, vcpus: 1}\n",
			       n ? "" : LOCAL, n);
	assert_int_equal(load_text(text, len, &cfg, &err), -EINVAL);
	assert_non_null(strstr(err.text, "64 max"));
	/* One less is fine. */
	text[strlen(text) - strlen("  - {name: n64, memory: 64M, vcpus: 1}\n")] = '\0';
	cluster_free(accept(text));
}

/* What each node may have, and all together may not: the largest cluster and one step beyond. */
static void totals_are_bounded(void **state)
{
	const uint64_t largest = ALIGN_DOWN(MAX_MEMORY / 32, REGION_BYTES);
	struct cluster_config *cfg = NULL;
	struct err err = {0};

	assert_int_equal(cluster_default(CLUSTER_LOCAL, 16, MIN_NODE_MEMORY, 64, &cfg, &err), 0);
	cfg->nodes[15].vcpus++;
	cfg->nodes[0].vcpus--;
	assert_int_equal(cluster_check(cfg, "c", &err), -EINVAL); /* 65 on one node */
	cluster_free(cfg);
	assert_int_equal(cluster_default(CLUSTER_LOCAL, 17, MIN_NODE_MEMORY, 61, &cfg, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "1037 vCPUs in all"));

	assert_int_equal(cluster_default(CLUSTER_LOCAL, 32, largest, 1, &cfg, &err), 0);
	cluster_free(cfg);
	assert_int_equal(cluster_default(CLUSTER_LOCAL, 32, largest + REGION_BYTES, 1, &cfg, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "of memory in all"));
}

static void what_is_no_file_is_refused(void **state)
{
	_cleanup_free_ char *big = malloc(2 * MIB);
	struct cluster_config *cfg;
	struct err err = {0};

	assert_int_equal(cluster_load("/nonexistent.yaml", &cfg, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent.yaml: No such file"));
	assert_int_equal(cluster_load("/tmp", &cfg, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is a directory"));
	assert_int_equal(load_text("", 0, &cfg, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is empty"));
	memset(big, '#', 2 * MIB);
	assert_int_equal(load_text(big, 2 * MIB, &cfg, &err), -E2BIG);
	assert_non_null(strstr(err.text, "more than 1 MiB"));
}

/* Whatever a damaged file holds: an error in one line or a configuration that obeys the rules. */
static void damaged_files_do_no_harm(void **state)
{
	char text[4096];
	FILE *f = fopen(example, "r");
	size_t len = fread(text, 1, sizeof(text), f);
	unsigned accepted = 0;

	fclose(f);
	srandom(1);
	for (unsigned round = 0; round < 2000; round++) {
		struct cluster_config *cfg = NULL;
		char damaged[sizeof(text)];
		struct err err = {0};

		memcpy(damaged, text, len);
		for (unsigned i = 0; i <= round % 4; i++)
			damaged[(size_t)random() % len] = (char)random();
		if (load_text(damaged, len - (size_t)random() % (round % 8 ? 1 : len), &cfg,
			      &err)) {
			assert_true(err.text[0] && !strchr(err.text, '\n'));
			assert_null(cfg);
			continue;
		}
		assert_int_equal(cluster_check(cfg, "again", &err), 0);
		cluster_free(cfg);
		accepted++;
	}
	assert_in_range(accepted, 1, 1999);
}

static void every_key_is_described(void **state)
{
	const struct cluster_key *k;
	size_t n = 0;

	for (; (k = cluster_key(n)); n++)
		assert_true(k->path[0] && k->form[0] && k->fallback[0] && k->help[0]);
	assert_true(n >= 20);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_loads),
		cmocka_unit_test(missing_keys_have_defaults),
		cmocka_unit_test(a_node_may_give_memory_only_and_have_a_limit),
		cmocka_unit_test(zero_is_not_missing),
		cmocka_unit_test(distances_may_be_asymmetric),
		cmocka_unit_test(what_is_saved_loads_the_same),
		cmocka_unit_test(defaults_for_equal_nodes),
		cmocka_unit_test(bad_files_are_refused_in_one_line),
		cmocka_unit_test(too_many_nodes_are_refused),
		cmocka_unit_test(totals_are_bounded),
		cmocka_unit_test(what_is_no_file_is_refused),
		cmocka_unit_test(damaged_files_do_no_harm),
		cmocka_unit_test(every_key_is_described),
	};

	example = argc > 1 ? argv[1] : "docs/cluster.example.yaml";
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
