/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topology: what the kernel made of the tables, against what the command line says was configured.
 *
 * Read from /sys/devices/system/{cpu,node}: the online CPUs, each node's CPUs, memory and row of
 * distances. Then a thread pinned on every CPU asks the processor where it is (getcpu), which also
 * shows that every CPU really runs. A node without CPUs or memory is a failure: this VM has none.
 * Where no expectation is given, only consistency is proved, and the line says so.
 */
#include <sched.h>

#include "tests/guest/proof.h"

#define NODES "/sys/devices/system/node"

/* "0-2,5" to a list of numbers; returns how many, at most @max. */
static unsigned range_list(const char *text, unsigned max, unsigned *numbers)
{
	unsigned n = 0;

	while (*text >= '0' && *text <= '9') {
		char *end;
		unsigned first = (unsigned)strtoul(text, &end, 10);
		unsigned last = first;

		if (*end == '-')
			last = (unsigned)strtoul(end + 1, &end, 10);
		for (unsigned i = first; i <= last && n < max; i++)
			numbers[n++] = i;
		text = *end == ',' ? end + 1 : end;
	}
	return n;
}

static unsigned read_ranges(const char *path, unsigned max, unsigned *numbers)
{
	char text[4096];

	return read_file(path, text, sizeof(text)) < 0 ? 0 : range_list(text, max, numbers);
}

static unsigned read_node(unsigned node, const char *what, char *text, size_t size)
{
	char path[128];
	int got;

	snprintf(path, sizeof(path), NODES "/node%u/%s", node, what);
	got = read_file(path, text, size);
	return got < 0 ? 0 : (unsigned)got;
}

static unsigned node_cpus(unsigned node, unsigned *cpus)
{
	char text[1024];

	return read_node(node, "cpulist", text, sizeof(text))
		       ? range_list(text, PROOF_MAX_CPUS, cpus)
		       : 0;
}

/* Deals the CPUs out round the nodes: first CPU of every node, then second of every node... */
int topology_read(struct topology *topo)
{
	unsigned nodes[PROOF_MAX_NODES], cpus[PROOF_MAX_NODES][PROOF_MAX_CPUS];
	unsigned count[PROOF_MAX_NODES], n_nodes;

	*topo = (struct topology){0};
	n_nodes = read_ranges(NODES "/online", PROOF_MAX_NODES, nodes);
	for (unsigned i = 0; i < n_nodes; i++)
		count[i] = node_cpus(nodes[i], cpus[i]);
	if (!n_nodes) { /* a kernel without NUMA */
		n_nodes = 1;
		nodes[0] = 0;
		count[0] = read_ranges("/sys/devices/system/cpu/online", PROOF_MAX_CPUS, cpus[0]);
	}
	for (unsigned rank = 0; rank < PROOF_MAX_CPUS; rank++)
		for (unsigned i = 0; i < n_nodes; i++)
			if (rank < count[i] && topo->n_cpus < PROOF_MAX_CPUS) {
				topo->cpu[topo->n_cpus].id = cpus[i][rank];
				topo->cpu[topo->n_cpus++].node = nodes[i];
			}
	for (unsigned i = 0; i < n_nodes; i++)
		topo->n_parties += count[i] > 0;
	topo->n_nodes = n_nodes;
	if (topo->n_parties == 1 && topo->n_cpus > 1)
		topo->n_parties = 2;
	return topo->n_cpus ? 0 : -ENOENT;
}

static void ask_processor(struct worker *w)
{
	unsigned *seen = w->shared, cpu, node;

	if (!getcpu(&cpu, &node) && cpu == w->c->topo->cpu[w->slot].id)
		seen[w->slot] = node + 1;
}

static void check_cpus(struct check *c)
{
	const struct topology *topo = c->topo;
	const struct config *config = c->config;
	unsigned online[PROOF_MAX_CPUS];
	unsigned n_online = read_ranges("/sys/devices/system/cpu/online", PROOF_MAX_CPUS, online);
	unsigned *seen = map_pages(1);

	static_assert(PROOF_MAX_CPUS * sizeof(*seen) <= PAGE_BYTES, "one page holds all CPUs");
	check_note(c, "%u CPUs on %u nodes", n_online, topo->n_nodes);
	if (n_online != topo->n_cpus)
		check_fail(c, "only %u of them on a node", topo->n_cpus);
	if (config->expect_cpus && n_online != config->expect_cpus)
		check_fail(c, "expected %u CPUs", config->expect_cpus);
	if (config->expect_nodes && topo->n_nodes != config->expect_nodes)
		check_fail(c, "expected %u nodes", config->expect_nodes);
	run_everywhere(c, ask_processor, seen);
	for (unsigned i = 0; i < topo->n_cpus; i++)
		if (seen[i] != topo->cpu[i].node + 1)
			check_fail(c, "CPU %u says node %d, not %u", topo->cpu[i].id,
				   (int)seen[i] - 1, topo->cpu[i].node);
}

/* Without a list, CPUs are expected in equal consecutive runs, as the MADT names them. */
static void check_cpu_nodes(struct check *c)
{
	const struct config *config = c->config;
	unsigned expected[PROOF_MAX_CPUS], n = 0;

	if (*config->cpu_nodes) {
		n = list_numbers(config->cpu_nodes, PROOF_MAX_CPUS, expected);
	} else if (config->expect_cpus && config->expect_nodes &&
		   config->expect_cpus % config->expect_nodes == 0) {
		n = MIN(config->expect_cpus, PROOF_MAX_CPUS);
		for (unsigned i = 0; i < n; i++)
			expected[i] = i / (config->expect_cpus / config->expect_nodes);
	}
	if (n && check_sabotaged(c))
		expected[n - 1]++;
	for (unsigned i = 0; n && i < c->topo->n_cpus; i++) {
		unsigned id = c->topo->cpu[i].id;

		if (id >= n)
			check_fail(c, "CPU %u not expected", id);
		else if (c->topo->cpu[i].node != expected[id])
			check_fail(c, "CPU %u on node %u, expected %u", id, c->topo->cpu[i].node,
				   expected[id]);
	}
	if (!n)
		check_note(c, "nodes of CPUs not compared (no expectation)");
}

static void check_distances(struct check *c)
{
	const struct config *config = c->config;
	unsigned n = c->topo->n_nodes, matrix[PROOF_MAX_NODES * PROOF_MAX_NODES];
	unsigned row[PROOF_MAX_NODES];
	unsigned given = list_numbers(config->distances, ARRAY_SIZE(matrix), matrix);
	char text[256] = "";

	if (given && given != n * n)
		check_fail(c, "%u distances given for %u nodes", given, n);
	for (unsigned i = 0; i < n; i++) {
		read_node(i, "distance", text, sizeof(text));
		text[strcspn(text, "\n")] = 0;
		check_note(c, "distances of node %u: %s", i, text);
		if (list_numbers(text, PROOF_MAX_NODES, row) != n) {
			check_fail(c, "not %u numbers", n);
			continue;
		}
		for (unsigned j = 0; j < n; j++) {
			unsigned other = config->distance ? config->distance : row[j];
			unsigned want = given == n * n ? matrix[i * n + j] : i == j ? 10 : other;

			if (row[j] != want)
				check_fail(c, "expected %u to node %u", want, j);
		}
	}
	if (n > 1 && !given && !config->distance)
		check_note(c, "distances not compared (no expectation)");
}

/*
 * The kernel's own image, its page array and the firmware's holes are missing from a node's
 * MemTotal, so it is held against a range: at most what was configured, at least half of it.
 */
static void check_memory(struct check *c)
{
	unsigned mib[PROOF_MAX_NODES];
	unsigned n = list_numbers(c->config->node_mib, PROOF_MAX_NODES, mib);

	for (unsigned i = 0; i < c->topo->n_nodes; i++) {
		char text[4096] = "", *total;
		unsigned cpus[PROOF_MAX_CPUS];
		unsigned long kib = 0, want = n ? 1024UL * mib[n == 1 ? 0 : MIN(i, n - 1)] : 0;

		read_node(i, "meminfo", text, sizeof(text));
		total = strstr(text, "MemTotal:");
		if (total)
			kib = strtoul(total + strlen("MemTotal:"), NULL, 10);
		check_note(c, "node %u: %lu KiB", i, kib);
		if (!kib)
			check_fail(c, "node %u lacks memory", i);
		/* Which nodes have none is said with the list. */
		if (!*c->config->cpu_nodes && !node_cpus(i, cpus))
			check_fail(c, "node %u lacks CPUs", i);
		if (n && (kib > want || kib < want / 2))
			check_fail(c, "node %u configured with %lu KiB", i, want);
	}
}

void check_numa(struct check *c)
{
	check_cpus(c);
	check_cpu_nodes(c);
	check_distances(c);
	check_memory(c);
}
