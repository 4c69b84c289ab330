/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `make soak`: an hour of random loads (soak.h), or as long as is said; a short run is a test.
 *
 * What each process has of its host (memory, mappings, descriptors, the pager's tables) is looked
 * at all the time. The most of the last tenth may not be more than that of the first: whatever
 * grows without end has grown by then. Guest memory comes and goes within a limit of
 * copies. A sanitizer's own memory grows; there only descriptors, tables and guest memory count.
 */
#include <getopt.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "tests/dsm/soak.h"

#define SAMPLES	   200 /* of usage, in a run */
#define SLACK	   (1 * MIB)
#define MAPS_SLACK 8
#define GRACE_S	   300

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* A quarter of what the loads use of other nodes. */
static uint64_t copies_allowed(void)
{
	return soak_bytes() / SOAK_NODES * (SOAK_NODES - 1) / 4;
}

/* Do homes move, with this seed? */
static bool homes_move(const struct soak *s)
{
	return s->seed % 2;
}

/* The node that may keep any number of copies, as a set. */
static uint64_t keeper(const struct soak *s)
{
	return homes_move(s) ? UINT64_C(1) << s->seed / 2 % SOAK_NODES : 0;
}

static void keep_most(struct native_usage *most, const struct native_usage *now)
{
	most->guest = MAX(most->guest, now->guest);
	most->other = MAX(most->other, now->other);
	most->page_tables = MAX(most->page_tables, now->page_tables);
	most->copies = MAX(most->copies, now->copies);
	most->tables = MAX(most->tables, now->tables);
	most->mappings = MAX(most->mappings, now->mappings);
	most->fds = MAX(most->fds, now->fds);
}

static void tell(const struct native_node *n, unsigned tenth, const struct native_usage *u)
{
	const struct soak *s = n->cfg->ctx;

	printf("# tenth %u of %d, node %u: %llu steps; guest %llu KiB, %llu copies, other %llu "
	       "KiB, kernel's "
	       "tables %llu KiB, tables %llu KiB, %u mappings, %u descriptors\n",
	       tenth + 1, SOAK_TENTHS, n->self, (unsigned long long)s->steps[n->self][tenth],
	       (unsigned long long)(u->guest / KIB), (unsigned long long)u->copies,
	       (unsigned long long)(u->other / KIB), (unsigned long long)(u->page_tables / KIB),
	       (unsigned long long)(u->tables / KIB), u->mappings, u->fds);
	fflush(stdout);
}

/* The main thread of each node, until the time is over. */
static void watch(struct native_node *n)
{
	struct soak *s = n->cfg->ctx;
	uint64_t start = clock_now_ns(), elapsed = 0, pause = s->ns / SAMPLES;
	const struct timespec ts = {.tv_sec = (time_t)(pause / NSEC_PER_SEC),
				    .tv_nsec = (long)(pause % NSEC_PER_SEC)};
	unsigned tenth = 0;

	for (; elapsed < s->ns; elapsed = clock_now_ns() - start) {
		struct native_usage now;
		unsigned at = (unsigned)(elapsed * SOAK_TENTHS / s->ns);

		native_usage(n, &now);
		if (at != tenth)
			tell(n, tenth, &now);
		tenth = at;
		if (n->self == 0)
			s->tenth = tenth;
		if (tenth == 0)
			keep_most(&s->first[n->self], &now);
		if (tenth == SOAK_TENTHS - 1)
			keep_most(&s->last[n->self], &now);
		nanosleep(&ts, NULL);
	}
}

static void body(struct native_node *n)
{
	struct native_thread t[SOAK_THREADS];
	struct soak *s = n->cfg->ctx;
	struct pager_stats stats;

	soak_warm(n);
	native_barrier(n);
	for (unsigned i = 0; i < SOAK_THREADS; i++) {
		t[i] = (struct native_thread){
			.node = n, .index = n->self * SOAK_THREADS + i, .local = i};
		native_thread_start(&t[i], soak_thread);
	}
	watch(n);
	s->stop = true;
	for (unsigned i = 0; i < SOAK_THREADS; i++)
		pthread_join(t[i].id, NULL);
	pager_stats(n->pager, &stats);
	atomic_fetch_add(&s->moved, stats.dsm.regions_left);
	native_barrier(n);
	soak_check(n);
}

static uint64_t most_copies(const struct soak *s)
{
	/* The room of regions that have left is for copies. */
	return copies_allowed() / PAGE_BYTES + (homes_move(s) ? SOAK_REGIONS * REGION_PAGES : 0);
}

/* Copies come and go while the kernel counts: it may see some twice. */
static uint64_t most_guest(const struct soak *s, unsigned node)
{
	uint64_t home = soak_bytes() / SOAK_NODES;

	if (keeper(s) >> node & 1)
		return soak_bytes();
	if (homes_move(
		    s)) /* those that are at home here now may be used more than the first ones */
		home = SOAK_REGIONS * REGION_BYTES;
	return home + 2 * copies_allowed();
}

static uint64_t most_tables(const struct soak *s, uint64_t first)
{
	uint64_t all_at_home = UINT64_C(16) * SOAK_NODES * SOAK_REGIONS * REGION_PAGES;

	return homes_move(s) ? all_at_home : first;
}

/* Return: whether it grew; told. */
static bool grew(unsigned node, const char *what, uint64_t most, uint64_t last, uint64_t slack)
{
	if (last <= most + slack)
		return false;
	printf("# node %u: %s: %llu is the most, %llu in the last tenth\n", node, what,
	       (unsigned long long)(most + slack), (unsigned long long)last);
	return true;
}

static bool anything_grew(const struct soak *s)
{
	bool any = false;

	for (unsigned i = 0; i < SOAK_NODES; i++) {
		const struct native_usage *first = &s->first[i], *last = &s->last[i];

		any |= grew(i, "descriptors", first->fds, last->fds, 0);
		any |= grew(i, "tables", most_tables(s, first->tables), last->tables, 0);
		any |= grew(i, "copies", most_copies(s), last->copies, 0);
		any |= grew(i, "guest memory", most_guest(s, i), last->guest, 0);
		if (SANITIZED)
			continue;
		any |= grew(i, "other memory", first->other, last->other, SLACK);
		any |= grew(i, "kernel's page tables", first->page_tables, last->page_tables,
			    SLACK);
		any |= grew(i, "mappings", first->mappings, last->mappings, MAPS_SLACK);
	}
	return any;
}

static int run(struct soak *s, unsigned seconds)
{
	const struct native_config cfg = {
		.nodes = SOAK_NODES,
		.shards = 2,
		.memory = SOAK_REGIONS * REGION_BYTES,
		.copies = copies_allowed(),
		.keepers = keeper(s),
		.homes = homes_move(s) ? 4 : 0,
		.homes_rest_ns = 20 * NSEC_PER_MSEC,
		.hold_ns = 100 * NSEC_PER_USEC,
		.body = body,
		.ctx = s,
		.lost = -1,
		.timeout_s = seconds + GRACE_S,
	};

	return native_run(&cfg);
}

static int usage(const char *program)
{
	fprintf(stderr, "Usage: %s [--seconds N (default 3600)] [--seed N]\n", program);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
						{"seed", required_argument, NULL, 'r'},
						{NULL, 0, NULL, 0}};
	struct soak *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned long seconds = 3600;
	struct err err;
	int c;

	if (s == MAP_FAILED)
		return 1;
	s->seed = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			seconds = strtoul(optarg, NULL, 10);
		else if (c == 'r')
			s->seed = strtoull(optarg, NULL, 10);
		else
			return usage(argv[0]);
	}
	if (optind != argc || seconds < 1 || seconds > 1000000)
		return usage(argv[0]);
	if (native_usable(&err) < 0) {
		printf("1..0 # SKIP %s\n", err.text);
		return 0;
	}
	s->ns = seconds * NSEC_PER_SEC;
	printf("1..3\n# seed %llu, %lu s, homes %s\n", (unsigned long long)s->seed, seconds,
	       homes_move(s) ? "move" : "stay");
	bool good = run(s, (unsigned)seconds) == 0;
	printf("%sok 1 - every_value_is_right_for_as_long_as_it_runs\n", good ? "" : "not ");
	bool flat = good && !anything_grew(s);
	printf("%sok 2 - nothing_grows\n", flat ? "" : "not ");
	bool moved = good && homes_move(s) == (s->moved > 0);
	printf("%sok 3 - homes_move_as_the_seed_says # %llu\n", moved ? "" : "not ",
	       (unsigned long long)s->moved);
	return good && flat && moved ? 0 : 1;
}
