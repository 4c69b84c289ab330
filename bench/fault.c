/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a page fault costs when the page is at the other process, against a raw TCP request and
 * reply of the same bytes in the same run.
 *
 * Two processes, one shard. A thread touches pages of the other one after another; between rounds
 * of faults it does rounds of raw requests, over a socket between the same two processes (raw.h).
 * Both sides have the same place (all threads of a process on one CPU, both processes on the same
 * or on two) and wait in the same way (asleep in epoll, or polling briefly for an answer). The
 * serving side always sleeps. The ratio is that of the medians, round by round; the median of the
 * rounds is told, so that a disturbance of this machine spoils one round and not the result.
 *
 * A raw request is answered to the thread that sent it; a fault has to wake the shard's thread and
 * to be woken by it. That difference is the pager's, and is part of the ratio. So is, on one CPU,
 * the DONE that follows every grant: it wakes the server once more before the next fault, where two
 * CPUs do that at the same time.
 */
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>

#include "bench/fault_run.h"
#include "tests/dsm/native_cluster.h"

#define SPIN_NS (30 * NSEC_PER_USEC)

struct place {
	const char *name, *text;
	unsigned cpus; /* 0: wherever the scheduler puts the threads */
	uint64_t spin_ns;
};

static const struct place places[] = {
	{"one-cpu-sleep", "both on one CPU, asleep", 1, 0},
	{"one-cpu-spin", "both on one CPU, polling", 1, SPIN_NS},
	{"two-cpus-sleep", "a CPU each, asleep", 2, 0},
	{"two-cpus-spin", "a CPU each, polling", 2, SPIN_NS},
	{"free-sleep", "not pinned, asleep", 0, 0},
	{"free-spin", "not pinned, polling", 0, SPIN_NS},
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

/* The first two CPUs that this process may use. Return: how many there are, 2 at most. */
static unsigned pick_cpus(int cpu[2])
{
	cpu_set_t set;
	unsigned n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 0;
	for (unsigned i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			cpu[n++] = (int)i;
	return n;
}

static void print_text(const struct place *p, struct fault_run *run)
{
	printf("%-26s %6.1f %7.1f | %6.1f %7.1f | %5.2f | %6.1f %6.1f | %6.0f %6.0f %6.0f\n",
	       p->text, run->raw.p50_us, run->raw.p99_us, run->remote.p50_us, run->remote.p99_us,
	       median(run->ratio, run->rounds), run->local.p50_us, run->upgrade.p50_us,
	       run->pages_per_s[0], run->pages_per_s[1], run->pages_per_s[2]);
}

static void print_times(const char *name, const struct times *t)
{
	printf("\"%s\": {\"p50_us\": %.2f, \"p99_us\": %.2f}, ", name, t->p50_us, t->p99_us);
}

static void print_json(const struct place *p, struct fault_run *run, bool first)
{
	printf("%s\n  {\"place\": \"%s\", \"spin_us\": %.0f, ", first ? "" : ",", p->name,
	       (double)p->spin_ns / 1e3);
	print_times("raw_tcp", &run->raw);
	print_times("remote_fault", &run->remote);
	print_times("local_fault", &run->local);
	print_times("write_upgrade", &run->upgrade);
	printf("\"ratio_p50\": %.3f, \"pages_per_s\": {", median(run->ratio, run->rounds));
	for (unsigned i = 0; i < FAULT_FLEETS; i++)
		printf("%s\"%u\": %.0f", i ? ", " : "", fault_fleet[i], run->pages_per_s[i]);
	printf("}}");
}

/* @only: the name of one place, NULL for all. */
static int run_all(struct fault_run *run, const char *only, bool json)
{
	int cpu[2];
	unsigned cpus = pick_cpus(cpu);
	bool first = true;

	if (json)
		printf("{\"fault\": [");
	else
		printf("%-26s %14s | %14s | ratio | %13s | pages/s, threads\n"
		       "%-26s %6s %7s | %6s %7s | %5s | %6s %6s | %6u %6u %6u\n",
		       "", "raw TCP, us", "remote, us", "p50, us", "", "p50", "p99", "p50", "p99",
		       "p50", "local", "upgr.", fault_fleet[0], fault_fleet[1], fault_fleet[2]);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		const struct place *p = &places[i];

		if (cpus < p->cpus || (only && strcmp(only, p->name) != 0))
			continue;
		run->cpu[0] = p->cpus ? cpu[0] : -1;
		run->cpu[1] = p->cpus ? cpu[p->cpus - 1] : -1;
		run->spin_ns = p->spin_ns;
		if (fault_run(run) < 0)
			return 1;
		if (json)
			print_json(p, run, first);
		else
			print_text(p, run);
		fflush(stdout);
		first = false;
	}
	if (json)
		printf("\n]}\n");
	return 0;
}

static int usage(const char *program)
{
	fprintf(stderr, "Usage: %s [-o json] [-r ROUNDS (1 to %d)] [-p PLACE]\nPlaces:", program,
		FAULT_ROUNDS_MAX);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		fprintf(stderr, " %s", places[i].name);
	fprintf(stderr, "\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct fault_run *run =
		mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *only = NULL;
	bool json = false;
	struct err err;
	int c;

	if (run == MAP_FAILED)
		return 1;
	run->rounds = 15;
	run->faults = 1000;
	while ((c = getopt(argc, argv, "o:r:p:")) != -1) {
		if (c == 'o' && strcmp(optarg, "json") == 0)
			json = true;
		else if (c == 'p')
			only = optarg;
		else if (c == 'r')
			run->rounds = (unsigned)strtoul(optarg, NULL, 10);
		else
			return usage(argv[0]);
	}
	if (optind != argc || run->rounds < 1 || run->rounds > FAULT_ROUNDS_MAX)
		return usage(argv[0]);
	if (native_usable(&err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	return run_all(run, only, json);
}
