/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one measure in one place and prints its figures as JSON. tools/bench.py, which `make bench`
 * starts, runs them all and makes the table and the report.
 */
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>

#include "bench/bench.h"

#define EXIT_SKIP 77

static const struct measure *const tables[] = {latency_measures, rate_measures,	 scale_measures,
					       alone_measures,	 sweep_measures, homes_measures};

static const struct measure *find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct measure *m = tables[i]; m->name; m++)
			if (strcmp(m->name, name) == 0)
				return m;
	return NULL;
}

static void list(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct measure *m = tables[i]; m->name; m++)
			printf("%s %u\n", m->name, m->nodes);
}

/* Which of @cpus, 2 at least: node 0, or HOME, shares its CPU with no node. */
static unsigned place_of(unsigned node, unsigned cpus, bool home_alone)
{
	if (node <= HOME)
		return node;
	if (!home_alone)
		return 1 + (node - 1) % (cpus - 1);
	unsigned at = (node - 1) % (cpus - 1);
	return at == 0 ? 0 : at + 1;
}

/* Return: 0; -1 for no such place; EXIT_SKIP where there are too few CPUs. */
static int place_nodes(struct bench *b, const char *place)
{
	bool each = strcmp(place, "each") == 0;
	int cpu[CPU_SETSIZE];
	unsigned cpus = 0;
	cpu_set_t set;

	if (!each && strcmp(place, "one") != 0)
		return -1;
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return EXIT_SKIP;
	for (unsigned i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			cpu[cpus++] = (int)i;
	if (cpus < 1u + each)
		return EXIT_SKIP;
	for (unsigned i = 0; i < NATIVE_NODES_MAX; i++)
		b->cpu[i] = cpu[each ? place_of(i, cpus, b->measure->home_alone) : 0];
	return 0;
}

static bool number(const char *text, unsigned least, unsigned most, unsigned *ret)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end || n < least || n > most)
		return false;
	*ret = (unsigned)n;
	return true;
}

static int usage(const char *program)
{
	fprintf(stderr,
		"Usage: %s MEASURE [--place each|one] [--rounds N] [--count N] [--spin US]\n"
		"       [--trace DIR]\n"
		"       %s --list: name and nodes of each measure\n",
		program, program);
	return 2;
}

static bool parse(int argc, char **argv, struct bench *b, const char **place)
{
	static const struct option options[] = {
		{"place", required_argument, NULL, 'p'}, {"rounds", required_argument, NULL, 'r'},
		{"count", required_argument, NULL, 'c'}, {"spin", required_argument, NULL, 's'},
		{"trace", required_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	unsigned spin_us = 0;
	bool good = true;
	int c;

	while (good && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'p')
			*place = optarg;
		else if (c == 'r')
			good = number(optarg, 1, ROUNDS_MAX, &b->rounds);
		else if (c == 'c')
			good = number(optarg, 1, 1 << 20, &b->count);
		else if (c == 's')
			good = number(optarg, 0, 10000, &spin_us);
		else if (c == 't')
			good = (size_t)snprintf(b->trace, sizeof(b->trace), "%s", optarg) <
			       sizeof(b->trace);
		else
			good = false;
	}
	b->spin_ns = spin_us * NSEC_PER_USEC;
	return good && optind == argc - 1;
}

int main(int argc, char **argv)
{
	struct bench *b =
		mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *place = "each";
	struct err err;

	if (b == MAP_FAILED)
		return 1;
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		list();
		return 0;
	}
	b->rounds = 15;
	b->count = 1000;
	if (!parse(argc, argv, b, &place))
		return usage(argv[0]);
	b->measure = find(argv[optind]);
	int r = b->measure ? place_nodes(b, place) : -1;
	if (r < 0)
		return usage(argv[0]);
	if (r == EXIT_SKIP) {
		fprintf(stderr, "needs a second CPU\n");
		return r;
	}
	if (native_usable(&err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return EXIT_SKIP;
	}
	if (bench_run(b) < 0)
		return 1;
	figures_print(&b->figures, stdout);
	return 0;
}
