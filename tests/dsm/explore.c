/* SPDX-License-Identifier: Apache-2.0 */
/* Explores one configuration; the options say which. See explore.h. Ends with 1 on a failure. */
#include "tests/dsm/explore.h"

#include <stdio.h>

/* An option is a number, or a flag without one. */
static const struct option_of {
	const char *name;
	size_t number, flag; /* offset in struct xp_config; 0 for none */
} options[] = {
	{"--nodes", .number = offsetof(struct xp_config, nodes)},
	{"--pages", .number = offsetof(struct xp_config, pages)},
	{"--faults", .number = offsetof(struct xp_config, faults)},
	{"--prefetches", .number = offsetof(struct xp_config, prefetches)},
	{"--puts", .number = offsetof(struct xp_config, puts)},
	{"--moves", .number = offsetof(struct xp_config, moves)},
	{"--pending", .number = offsetof(struct xp_config, max_pending)},
	{"--states", .number = offsetof(struct xp_config, max_states)},
	{"--apart", .flag = offsetof(struct xp_config, apart)},
	{"--reorder", .flag = offsetof(struct xp_config, reorder)},
	{"--turns", .flag = offsetof(struct xp_config, turns)},
	{"--zeros", .flag = offsetof(struct xp_config, zeros)},
	{"--idle", .flag = offsetof(struct xp_config, idle)},
	{"--refuse", .flag = offsetof(struct xp_config, refuse)},
	{"--untrack", .flag = offsetof(struct xp_config, untrack)},
	{"--crash", .flag = offsetof(struct xp_config, crash)},
};

static int usage(void)
{
	fputs("usage: explore [--nodes N] [--pages N] [--faults N] [--prefetches N]\n"
	      "               [--puts N] [--moves N] [--pending N] [--states N] [--apart] "
	      "[--reorder] "
	      "[--turns] "
	      "[--zeros]\n"
	      "               [--idle] [--crash] [--untrack] [--refuse]\n",
	      stderr);
	return 2;
}

static const struct option_of *find_option(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

static int parse(char **argv, struct xp_config *cfg)
{
	while (*++argv) {
		const struct option_of *o = find_option(*argv);

		if (!o || (!o->flag && !argv[1]))
			return -EINVAL;
		if (o->flag)
			*((bool *)cfg + o->flag) = true;
		else
			*(unsigned *)((char *)cfg + o->number) =
				(unsigned)strtoul(*++argv, NULL, 0);
	}
	return cfg->nodes < 2 || cfg->nodes > XP_NODES || !cfg->pages || cfg->pages > XP_PAGES ||
			       !cfg->max_states
		       ? -EINVAL
		       : 0;
}

int main(int argc, char **argv)
{
	static struct explorer x = {.cfg = {.nodes = 2,
					    .pages = 1,
					    .max_pending = 2,
					    .faults = XP_UNLIMITED,
					    .max_states = 32 * 1000 * 1000}};
	struct xp_result res;
	int r = 0;

	if (parse(argv, &x.cfg) < 0)
		return usage();
	for (unsigned i = 0; i < x.cfg.nodes && r == 0; i++)
		r = xp_core_new(&x, i, xp_emit, &x.core[i]);
	if (r == 0)
		r = xp_search(&x, &res, stdout);
	for (unsigned i = 0; i < x.cfg.nodes; i++)
		xp_core_free(&x.core[i]);
	if (r == -EIO)
		printf("# FAILURE: %s\n", x.failure);
	else if (r < 0)
		printf("# %s\n", strerror(-r));
	else
		printf("%llu states, %s, depth %u, %llu events, %llu at rest\n",
		       (unsigned long long)res.states, res.complete ? "all" : "no more tried",
		       res.depth, (unsigned long long)res.events, (unsigned long long)res.rests);
	return r < 0;
}
