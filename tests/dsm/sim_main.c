/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs schedules of the simulator by hand:
 *   sim --seed S --verbose            replays one with a trace
 *   sim --count N [--seed S]          N schedules from seed S
 *   sim --storm ...                   all nodes need the same pages at once
 *   sim --nodes N ...                 that many
 *   sim --limit ...                   nodes keep few copies
 *   sim --fail ...                    an action of some node fails
 *   sim --break RULE ...              with a rule of the protocol broken on purpose
 */
#include <getopt.h>

#include "tests/dsm/sim.h"

static int find_rule(const char *name, enum sim_break *ret)
{
	for (unsigned i = 0; i < SIM_BREAKS; i++)
		if (strcmp(sim_break_name(i), name) == 0) {
			*ret = i;
			return 0;
		}
	fprintf(stderr, "sim: no rule is called \"%s\"; there are:", name);
	for (unsigned i = 0; i < SIM_BREAKS; i++)
		fprintf(stderr, " %s", sim_break_name(i));
	fputc('\n', stderr);
	return -EINVAL;
}

static int usage(void)
{
	fputs("usage: sim [--seed S] [--count N] [--break RULE] [--storm] [--nodes N]\n"
	      "           [--fail] [--limit] [--verbose]\n",
	      stderr);
	return 2;
}

static int run_all(struct sim_config *cfg, uint64_t count)
{
	uint64_t first = cfg->seed, events = 0, accesses = 0, longest = 0;
	unsigned tries = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct sim_result res;
		int r;

		cfg->seed = first + i;
		r = sim_run(cfg, &res);
		events += res.events;
		accesses += res.accesses;
		longest = MAX(longest, res.longest);
		tries = MAX(tries, res.most_tries);
		if (r < 0 || count == 1)
			printf("seed %llu: %s (%s)\n", (unsigned long long)cfg->seed,
			       r == 0	   ? "all well"
			       : r == -EIO ? res.failure
					   : strerror(-r),
			       res.shape);
		if (r < 0)
			return 1;
	}
	printf("%llu schedules, %llu events, %llu accesses; an instruction took up to %llu ns and "
	       "%u faults\n",
	       (unsigned long long)count, (unsigned long long)events, (unsigned long long)accesses,
	       (unsigned long long)longest, tries);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
						{"count", required_argument, NULL, 'n'},
						{"break", required_argument, NULL, 'b'},
						{"storm", no_argument, NULL, 'm'},
						{"nodes", required_argument, NULL, 'k'},
						{"fail", no_argument, NULL, 'f'},
						{"limit", no_argument, NULL, 'l'},
						{"verbose", no_argument, NULL, 'v'},
						{0}};
	struct sim_config cfg = {.seed = 1};
	uint64_t count = 1;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 's':
			cfg.seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			count = strtoull(optarg, NULL, 0);
			break;
		case 'b':
			if (find_rule(optarg, &cfg.rule) < 0)
				return 2;
			break;
		case 'k':
			cfg.nodes = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'f':
			cfg.fail = true;
			break;
		case 'l':
			cfg.limit = true;
			break;
		case 'm':
			cfg.storm = true;
			break;
		case 'v':
			cfg.trace = stdout;
			break;
		default:
			return usage();
		}
	return optind < argc ? usage() : run_all(&cfg, count);
}
