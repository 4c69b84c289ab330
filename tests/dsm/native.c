/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pager as it is: node processes that share one memory over userfaultfd and sockets, no KVM.
 * Where the user may not have a userfaultfd the whole test is skipped, with the reason.
 */
#include "tests/check.h"

#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "dsm/mappings.h"
#include "tests/dsm/native_tests.h"
#include "trace/check.h"

#define TIMEOUT_S  60	     /* of one cluster, also under a sanitizer */
#define TRACE_ROOM (1 << 20) /* records: also where who writes them out gets no CPU for long */

static struct native_config cluster(unsigned nodes, unsigned shards,
				    void (*body)(struct native_node *n))
{
	return (struct native_config){
		.nodes = nodes,
		.shards = shards,
		.memory = NATIVE_REGIONS * REGION_BYTES,
		.hold_ns = 20 * NSEC_PER_USEC,
		.spin_ns = 20 * NSEC_PER_USEC,
		.body = body,
		.lost = -1,
		.timeout_s = TIMEOUT_S,
	};
}

static void run(struct native_config cfg)
{
	assert_int_equal(native_run(&cfg), 0);
}

static void patterns_cross_in_both_directions(void **state)
{
	struct native_config cfg = cluster(2, 1, pattern_body);

	cfg.before = pattern_populate;
	run(cfg);
	cfg.shards = 3;
	run(cfg);
}

static void tracking_costs_what_was_promised(void **state)
{
	run(cluster(3, 1, overhead_body));
	run(cluster(3, 3, overhead_body));
}

static void memory_mappings_run_short(void **state)
{
	struct native_config cfg = cluster(2, 1, mappings_body);

#ifdef __SANITIZE_THREAD__ /* its runtime maps memory, too, and ends the process when it cannot */
	print_message("# the thread sanitizer needs mappings of its own\n");
	skip();
#endif
	if (mappings_max() > MAPPINGS_MOST) {
		print_message("# vm.max_map_count is above %d\n", MAPPINGS_MOST);
		skip();
	}
	cfg.before = mappings_populate;
	for (unsigned i = 0; i < 4; i++) {
		cfg.ctx = &(bool){i & 1};
		cfg.shards = i & 2 ? 3 : 1;
		cfg.memory = cfg.shards * MAPPINGS_REGIONS * REGION_BYTES;
		run(cfg);
	}
}

static void used_regions_become_plain_again(void **state)
{
	struct native_config cfg = cluster(2, 1, plain_body);

	cfg.quiet_ns = 10 * NSEC_PER_MSEC;
	run(cfg);
	cfg.shards = 3;
	run(cfg);
}

static void neighbours_travel_as_one(void **state)
{
	struct native_config cfg = cluster(3, 1, runs_body);

	cfg.before = runs_populate;
	run(cfg);
}

static void pages_can_be_asked_for(void **state)
{
	run(cluster(3, 1, pages_body));
	run(cluster(3, 3, pages_body));
}

static void walks_are_fetched_ahead(void **state)
{
	struct native_config cfg = cluster(2, 1, ahead_body);

	cfg.before = ahead_populate;
	run(cfg);
	cfg.spin_ns = cfg.hold_ns = 0;
	run(cfg);
}

#define NAMED(request) (request), #request

static void errors_of_the_kernel_end_it_with_a_reason(void **state)
{
	static const struct native_errors errors[] = {
		{NAMED(UFFDIO_COPY), ENOMEM, "mapping of page"},
		{NAMED(UFFDIO_COPY), EEXIST, "mapping of page"},
		{NAMED(UFFDIO_COPY), ENOSPC, "mapping of page"},
		/* Also when a page is taken out. */
		{NAMED(UFFDIO_WRITEPROTECT), ENOMEM, "of page"},
		{NAMED(UFFDIO_REGISTER), EINVAL, "tracking of page"},
		{NAMED(NATIVE_DONTNEED), EINVAL, "of page"},
		{NAMED(NATIVE_MOVE), ENOMEM, "taking out of page"},
		{NAMED(NATIVE_MOVE), ENOENT, "is not here"},
		{NAMED(NATIVE_TRACK), ENOMEM, "serving of page"},
		{NAMED(NATIVE_TOUCH), ENOMEM, "a fault of page"},
		{NAMED(UFFDIO_COPY), EAGAIN, NULL},
		{NAMED(UFFDIO_WRITEPROTECT), EAGAIN, NULL},
		{NAMED(NATIVE_DONTNEED), EAGAIN, NULL},
		{NAMED(NATIVE_MOVE), EAGAIN, NULL},
		{NAMED(NATIVE_MOVE), EBUSY, NULL},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		const struct native_errors *e = &errors[i];
		struct native_config cfg = cluster(2, 1, errors_body);

		native_old_kernel = false;
		if (e->request == NATIVE_MOVE && !native_kernel_moves())
			continue;
		/* A kernel that moves pages needs few of these. */
		native_old_kernel =
			e->request == UFFDIO_WRITEPROTECT || e->request == NATIVE_DONTNEED;
		cfg.ctx = (void *)e;
		if (e->text)
			cfg.lost = NATIVE_NODES_MAX;
		if (native_run(&cfg) < 0)
			fail_msg("%s fails: %s", e->name, strerror(e->error));
	}
}

/* Also after a case that failed. */
static int forget_old_kernel(void **state)
{
	native_old_kernel = false;
	return 0;
}

/* Newer kernels move pages that leave; with what an older one can it is all the same. */
static void kernel_that_moves_no_pages_will_do(void **state)
{
	struct native_config cfg = cluster(2, 1, moves_body);

	run(cfg);
	native_old_kernel = true;
	run(cfg);
	cfg.body = message_passing_body;
	run(cfg);
}

static void atomic_totals_are_exact(void **state)
{
	run(cluster(2, 1, totals_body));
	run(cluster(3, 3, totals_body));
}

static void message_passing_keeps_order(void **state)
{
	run(cluster(2, 1, message_passing_body));
	run(cluster(3, 3, message_passing_body));
}

static void fenced_stores_are_seen(void **state)
{
	run(cluster(2, 1, store_buffering_body));
	run(cluster(2, 3, store_buffering_body));
}

static void readers_never_go_back(void **state)
{
	run(cluster(2, 1, mixed_body));
	run(cluster(3, 3, mixed_body));
}

/* Five milliseconds apart: many times what a page takes from one node to the other. */
static void nobody_learns_of_a_time_before_it_has_come(void **state)
{
	struct native_config cfg = cluster(2, 1, clock_body);

	cfg.skew_ns = 5 * NSEC_PER_MSEC;
	run(cfg);
	cfg.shards = 3;
	run(cfg);
}

/* Half of what is swept, a twentieth, and so little that the faults of four threads hardly fit. */
static void copies_are_bounded_and_nothing_is_lost(void **state)
{
	struct native_config cfg = cluster(2, 1, limit_body);

	cfg.memory = 40 * MIB;
	cfg.copies = 20 * MIB;
	run(cfg);
	cfg.copies = 2 * MIB;
	run(cfg);
	cfg = cluster(3, 3, limit_body);
	cfg.memory = 16 * MIB;
	cfg.copies = 3 * MIB;
	run(cfg);
}

static struct native_config cluster_with_homes(unsigned nodes, unsigned shards, unsigned lead,
					       void (*body)(struct native_node *n))
{
	struct native_config cfg = cluster(nodes, shards, body);

	cfg.homes = lead;
	cfg.exact = true;
	return cfg;
}

static void a_region_goes_to_live_where_it_is_used(void **state)
{
	struct native_config cfg = cluster_with_homes(2, 1, 16, homes_go_body);

	cfg.homes_rest_ns = 3600 * NSEC_PER_SEC;
	run(cfg);
	cfg.shards = 3;
	run(cfg);
	cfg = cluster_with_homes(2, 1, 16, homes_return_body);
	cfg.homes_rest_ns = NSEC_PER_MSEC;
	cfg.quiet_ns = 10 * NSEC_PER_MSEC;
	run(cfg);
	/* By more than who works on it has asked for before others look at it. */
	run(cluster_with_homes(3, 1, REGION_PAGES + 100, homes_watched_body));
}

static void a_region_stays_where_it_must(void **state)
{
	struct native_config cfg = cluster_with_homes(2, 1, 16, homes_refused_body);

	cfg.copies = 2 * MIB;
	run(cfg);
	cfg = cluster_with_homes(2, 1, 16, homes_pinned_body);
	cfg.pinned = 2 * REGION_BYTES;
	run(cfg);
	run(cluster_with_homes(2, 1, 16, homes_shared_body));
}

/* Without a limit; half of what the others have; a twentieth, where one has all that comes. */
static void homes_move_all_the_time(void **state)
{
	struct native_config cfg = cluster_with_homes(2, 1, 1, homes_wander_body);

	run(cfg);
	cfg.exact = false;
	cfg.copies = cfg.memory / 2;
	run(cfg);
	cfg = cluster_with_homes(3, 3, 2, homes_wander_body);
	run(cfg);
	cfg.shards = 1;
	cfg.memory = 10 * MIB;
	cfg.copies = 1 * MIB;
	cfg.keepers = 1;
	run(cfg);
}

static void on_finding(void *ctx, const struct trace_finding *f)
{
	print_message("# %s: page %#llx, record %llu of node %u: %s\n", trace_rule_name(f->rule),
		      (unsigned long long)f->page, (unsigned long long)f->at.index, f->at.node,
		      f->text);
}

/* Return: 0 when all that the nodes did was seen, and was right. */
static int check_traces(const char *dir)
{
	struct trace_verdict verdict;
	struct trace_set set;
	struct err err;
	int r = trace_set_read(dir, &set, &err);

	if (r < 0) {
		print_message("# %s\n", err.text);
		return r;
	}
	r = trace_check(&set, on_finding, NULL, &verdict);
	trace_set_free(&set);
	return r ?: verdict.findings || verdict.left || verdict.records < 1000 ? -EINVAL : 0;
}

static void run_traced(struct native_config cfg)
{
	char dir[] = "/tmp/ssihv-native.XXXXXX";
	int r;

	assert_non_null(mkdtemp(dir));
	cfg.trace = dir;
	cfg.trace_ring = TRACE_ROOM;
	r = native_run(&cfg) ?: check_traces(dir);
	for (unsigned i = 0; i < cfg.nodes; i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s/node%u.trace", dir, i);
		unlink(path);
	}
	rmdir(dir);
	assert_int_equal(r, 0);
}

/* Homes that move while little fits, and what is fetched ahead. */
static void a_trace_tells_all_and_that_it_was_right(void **state)
{
	struct native_config cfg = cluster_with_homes(2, 1, 1, trace_wander_body);

	cfg.exact = false;
	cfg.copies = cfg.memory / 2;
	run_traced(cfg);
	cfg = cluster_with_homes(3, 3, 2, trace_wander_body);
	run_traced(cfg);
	cfg = cluster(2, 1, trace_limit_body);
	cfg.memory = 16 * MIB;
	cfg.copies = 3 * MIB;
	run_traced(cfg);
	cfg = cluster(2, 1, trace_ahead_body);
	cfg.before = ahead_populate;
	run_traced(cfg);
}

static void without_hold_window_or_spin(void **state)
{
	struct native_config cfg = cluster(3, 1, mixed_body);

	cfg.hold_ns = cfg.spin_ns = 0;
	run(cfg);
}

static void a_killed_node_is_named_and_nobody_hangs(void **state)
{
	struct native_config cfg = cluster(3, 1, loss_body);

	cfg.lost = 2;
	run(cfg);
	cfg.shards = 3;
	run(cfg);
}

/* Classes and shards overtake each other, sockets fill up, connections stand still. */
static void over_a_faulty_network(void **state)
{
	const struct faults faults = {.seed = 1,
				      .delays = 200,
				      .delay_ns = 100 * NSEC_PER_USEC,
				      .stalls = 1,
				      .stall_ns = 2 * NSEC_PER_MSEC,
				      .queues = 200};
	struct native_config cfg = cluster(3, 3, totals_body);

	cfg.faults = &faults;
	run(cfg);
	cfg.body = mixed_body;
	run(cfg);
	cfg.body = homes_wander_body;
	cfg.homes = 1;
	run(cfg);
}

static void a_connection_that_ends_is_named_and_nobody_hangs(void **state)
{
	struct faults faults = {.seed = 2, .delays = 200, .delay_ns = 100 * NSEC_PER_USEC};
	struct native_config cfg = cluster(2, 1, cut_body);

	cfg.faults = &faults;
	cfg.lost = NATIVE_NODES_MAX;
	faults.cut_at = 300;
	run(cfg);
	faults.cut_at = 0;
	faults.tear_at = 300;
	run(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_cross_in_both_directions),
		cmocka_unit_test(tracking_costs_what_was_promised),
		cmocka_unit_test(memory_mappings_run_short),
		cmocka_unit_test(used_regions_become_plain_again),
		cmocka_unit_test(neighbours_travel_as_one),
		cmocka_unit_test(pages_can_be_asked_for),
		cmocka_unit_test(walks_are_fetched_ahead),
		cmocka_unit_test_teardown(errors_of_the_kernel_end_it_with_a_reason,
					  forget_old_kernel),
		cmocka_unit_test_teardown(kernel_that_moves_no_pages_will_do, forget_old_kernel),
		cmocka_unit_test(atomic_totals_are_exact),
		cmocka_unit_test(message_passing_keeps_order),
		cmocka_unit_test(fenced_stores_are_seen),
		cmocka_unit_test(readers_never_go_back),
		cmocka_unit_test(nobody_learns_of_a_time_before_it_has_come),
		cmocka_unit_test(copies_are_bounded_and_nothing_is_lost),
		cmocka_unit_test(a_region_goes_to_live_where_it_is_used),
		cmocka_unit_test(a_region_stays_where_it_must),
		cmocka_unit_test(homes_move_all_the_time),
		cmocka_unit_test(a_trace_tells_all_and_that_it_was_right),
		cmocka_unit_test(without_hold_window_or_spin),
		cmocka_unit_test(a_killed_node_is_named_and_nobody_hangs),
		cmocka_unit_test(over_a_faulty_network),
		cmocka_unit_test(a_connection_that_ends_is_named_and_nobody_hangs),
	};
	struct err err;

	if (native_usable(&err) < 0) {
		printf("1..0 # SKIP %s\n", err.text);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
