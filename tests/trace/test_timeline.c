/* SPDX-License-Identifier: Apache-2.0 */
/* What is told over time of traces made by hand; a column is one tick, the first at tick 1. */
#include <math.h>

#include "tests/trace/traces.h"
#include "trace/timeline.h"

#define C    TIMELINE_COLUMNS
#define P    (7 * REGION_BYTES)
#define GIVE (WIRE_GRANT_DATA | WIRE_GRANT_WRITE)
#define KHZ  1000000 /* of traces.c: a tick is a nanosecond */

struct line {
	struct traces t;
	struct trace_top top;
	struct timeline line;
};

/* One record of @node in column @at. */
#define AT(l, at, node, k, ...)                                                                    \
	do {                                                                                       \
		PUT(&(l)->t, (node), (k), ##__VA_ARGS__);                                          \
		(l)->t.record[node][(l)->t.count[node] - 1].time = 1 + (uint64_t)(at);             \
	} while (0)

/* From column 0 to the last one. */
static struct line *begin(void)
{
	struct line *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	AT(l, 0, 0, TRACE_FAULT, .addr = P + PAGE_BYTES, .value = 9);
	return l;
}

static void make(struct line *l, size_t pages)
{
	AT(l, C - 1, 2, TRACE_FAULT, .addr = P + PAGE_BYTES, .value = 9);
	traces_close(&l->t);
	assert_int_equal(trace_top(&l->t.set, &l->top), 0);
	assert_int_equal(trace_timeline(&l->t.set, &l->top, pages, &l->line), 0);
	assert_true(fabs(l->line.ms - (double)C / KHZ) < 1e-9);
}

static void end(struct line *l)
{
	trace_timeline_free(&l->line);
	trace_top_free(&l->top);
	traces_free(&l->t);
	free(l);
}

static double overlap(int column, double from, double to)
{
	from = MAX(from, (double)column);
	to = MIN(to, column + 1.0);
	return from < to ? to - from : 0;
}

/* The band is 1 from column @from on, before column @to, and there only. */
static void assert_band(const struct timeline_band *b, double from, double to)
{
	for (int i = 0; i < C; i++) {
		double share = overlap(i, from, to);

		if (fabs((double)b->share[i] - share) > 1e-3)
			fail_msg("column %d: %g, not %g", i, (double)b->share[i], share);
	}
}

static const struct timeline_lane *lane(const struct line *l, unsigned node)
{
	for (size_t i = 0; i < l->line.pages; i++)
		if (l->top.page[i]->page == P)
			return &l->line.lane[i * NODES + node];
	fail_msg("the page has no lane");
	return NULL;
}

static void a_page_goes_from_node_to_node(void **state)
{
	struct line *l = begin();

	AT(l, 100, 0, TRACE_TRACK, .addr = P, .value = 1);
	AT(l, 200, 0, TRACE_PROTECT, .addr = P);
	AT(l, 205, 0, TRACE_SENT, .what = WIRE_GRANT, .addr = P, .peer = 1, .node = 1,
	   .flags = WIRE_GRANT_DATA); /* a copy */
	AT(l, 210, 1, TRACE_MAP, .addr = P, .value = 10);
	AT(l, 300, 0, TRACE_DROP, .addr = P);
	AT(l, 310, 1, TRACE_UNPROTECT, .addr = P, .value = 10);
	AT(l, 400, 1, TRACE_SENT, .what = WIRE_GRANT, .addr = P, .peer = 2, .node = 2,
	   .flags = WIRE_GRANT_WRITE, .acks = 1); /* without the page */
	AT(l, 500, 1, TRACE_SENT, .what = WIRE_GRANT, .addr = P, .peer = 2, .node = 2,
	   .flags = GIVE);
	AT(l, 510, 2, TRACE_MAP, .addr = P, .flags = TRACE_WRITE, .value = 10);
	make(l, 20);
	assert_band(&lane(l, 0)->write, 100, 200);
	assert_band(&lane(l, 0)->read, 200, 300);
	assert_band(&lane(l, 1)->read, 210, 310);
	assert_band(&lane(l, 1)->write, 310, 500);
	assert_band(&lane(l, 2)->write, 510, C - 1); /* nothing is lost: to the end */
	assert_band(&lane(l, 2)->read, 0, 0);
	assert_int_equal(lane(l, 1)->came[210], 1);
	assert_int_equal(lane(l, 1)->came[310], 1);
	assert_int_equal(lane(l, 2)->came[510], 1);
	end(l);
}

static void a_region_is_its_homes_alone(void **state)
{
	struct line *l = begin();

	AT(l, 50, 1, TRACE_UNTRACK, .addr = P);
	AT(l, 70, 1, TRACE_TRACK, .addr = P - 64 * PAGE_BYTES); /* of others */
	AT(l, 90, 1, TRACE_TRACK, .addr = P, .value = ~UINT64_C(1));
	AT(l, 95, 1, TRACE_TRACK, .addr = P + 64 * PAGE_BYTES, .value = ~UINT64_C(0));
	AT(l, 99, 1, TRACE_FAULT, .addr = P, .value = 9);
	make(l, 20);
	assert_band(&lane(l, 1)->write, 50, 90);
	end(l);
}

/* Where records are missing, nobody knows; an open trace tells nothing behind its end. */
static void what_is_missing_is_not_made_up(void **state)
{
	struct line *l = begin();

	AT(l, 10, 0, TRACE_MAP, .addr = P, .flags = TRACE_WRITE);
	AT(l, 20, 0, TRACE_TURN_BEGIN, .ticket = 4);
	AT(l, 60, 0, TRACE_GAP, .value = 5);
	AT(l, 10, 1, TRACE_MAP, .addr = P);
	AT(l, 70, 1, TRACE_FAULT, .addr = P, .value = 9);
	l->t.open[1] = true;
	make(l, 20);
	assert_band(&lane(l, 0)->write, 10, 60);
	assert_band(&l->line.node[0].turn[TIMELINE_TURN_OPEN], 20, 60);
	assert_band(&lane(l, 1)->read, 10, 70);
	end(l);
}

static void turns_are_told_by_why_they_ended(void **state)
{
	struct line *l = begin();

	for (unsigned why = 0; why < TRACE_TURNS; why++) {
		AT(l, 100 * why, 1, TRACE_TURN_BEGIN, .ticket = 4);
		AT(l, 100 * why + 10, 1, TRACE_TURN_END, .ticket = 4, .what = (uint8_t)why,
		   .value = 3);
	}
	AT(l, 700, 1, TRACE_TURN_END, .ticket = 5, .value = 100); /* its beginning is missing */
	AT(l, 800, 1, TRACE_TURN_BEGIN, .ticket = 6);
	AT(l, 850, 1, TRACE_TURN_BEGIN, .ticket = 7); /* the end of the first one is not told */
	AT(l, 850, 1, TRACE_TURN_END, .ticket = 7, .what = TRACE_TURN_RAN);
	make(l, 20);
	for (unsigned why = 1; why < TRACE_TURNS; why++)
		assert_band(&l->line.node[1].turn[why], 100 * why, 100 * why + 10);
	assert_true(l->line.node[1].turn[TRACE_TURN_IDLE].share[5] == 1);
	assert_true(l->line.node[1].turn[TRACE_TURN_IDLE].share[599] == 0);
	assert_true(l->line.node[1].turn[TRACE_TURN_IDLE].share[600] == 1);
	assert_band(&l->line.node[1].turn[TIMELINE_TURN_OPEN], 800, 850);
	end(l);
}

static void what_happens_is_counted_in_its_column(void **state)
{
	struct line *l = begin();
	const struct timeline_node *n;

	AT(l, 5, 1, TRACE_FAULT, .addr = P, .value = 9);
	AT(l, 5, 1, TRACE_FAULT, .addr = P, .value = 10);
	AT(l, 6, 1, TRACE_GUESS, .addr = P, .what = TRACE_AHEAD);
	AT(l, 7, 1, TRACE_JUDGED, .addr = P, .value = 3 | UINT64_C(2) << 32);
	AT(l, 8, 1, TRACE_SENT, .what = WIRE_GRANT, .addr = P, .flags = GIVE);
	AT(l, 9, 1, TRACE_RECEIVED, .what = WIRE_GRANT, .addr = P, .node = 1, .flags = GIVE);
	AT(l, 9, 1, TRACE_RECEIVED, .what = WIRE_GRANT, .addr = P, .node = 1,
	   .flags = WIRE_GRANT_WRITE);
	make(l, 20);
	n = &l->line.node[1];
	assert_int_equal(n->count[TIMELINE_FAULTS][5], 2);
	assert_int_equal(n->count[TIMELINE_FAULTS][6], 0);
	assert_int_equal(n->count[TIMELINE_GUESSES][6], 1);
	assert_int_equal(n->count[TIMELINE_RIGHT][7], 3);
	assert_int_equal(n->count[TIMELINE_WRONG][7], 2);
	assert_int_equal(n->count[TIMELINE_GAVE][8], 1);
	assert_int_equal(n->count[TIMELINE_GOT][9], 1);
	assert_int_equal(l->line.node[2].count[TIMELINE_FAULTS][C - 1], 1);
	end(l);
}

/* Two threads at once; one that says it has waited since before the run, and one for ever. */
static void threads_wait_before_they_go_on(void **state)
{
	struct line *l = begin();
	const float *share;

	AT(l, 300, 1, TRACE_MAP, .addr = P, .value = 200);
	AT(l, 300, 1, TRACE_UNPROTECT, .addr = P, .value = 50);
	AT(l, 30, 0, TRACE_MAP, .addr = P, .value = 500);
	AT(l, 30, 0, TRACE_UNPROTECT, .addr = P, .value = UINT64_MAX);
	make(l, 20);
	share = l->line.node[1].waiting.share;
	assert_true(share[99] == 0 && share[100] == 1 && share[249] == 1);
	assert_true(share[250] == 2 && share[299] == 2 && share[300] == 0);
	share = l->line.node[0].waiting.share;
	assert_true(share[0] == 2 && share[29] == 2 && share[30] == 0);
	end(l);
}

/* The clock was put back, and times that no clock has. */
static void times_may_be_anything(void **state)
{
	struct line *l = begin();

	AT(l, 500, 1, TRACE_MAP, .addr = P);
	AT(l, 400, 1, TRACE_UNPROTECT, .addr = P);
	AT(l, 450, 1, TRACE_DROP, .addr = P);
	make(l, 20);
	assert_band(&lane(l, 1)->read, 0, 0);
	assert_band(&lane(l, 1)->write, 0, 0);
	end(l);
	l = begin();
	l->t.record[0][0].time = 0;
	AT(l, 0, 1, TRACE_MAP, .addr = P);
	AT(l, UINT64_MAX - 1, 1, TRACE_FAULT, .addr = P, .value = 9);
	AT(l, C - 1, 2, TRACE_FAULT, .addr = P, .value = 9);
	traces_close(&l->t);
	assert_int_equal(trace_top(&l->t.set, &l->top), 0);
	assert_int_equal(trace_timeline(&l->t.set, &l->top, 1, &l->line), 0);
	assert_int_equal(l->line.node[1].count[TIMELINE_FAULTS][C - 1], 1);
	end(l);
}

/* No more pages than were asked for, than there are, and than there are lanes for. */
static void pages_are_bounded(void **state)
{
	struct line *l = begin();

	for (unsigned i = 0; i < 200; i++)
		AT(l, i, 1, TRACE_FAULT, .addr = P + i * PAGE_BYTES, .value = 9);
	make(l, 7);
	assert_int_equal(l->line.pages, 7);
	trace_timeline_free(&l->line);
	assert_int_equal(trace_timeline(&l->t.set, &l->top, SIZE_MAX, &l->line), 0);
	assert_int_equal(l->line.pages, TIMELINE_LANES / NODES);
	end(l);
	l = begin();
	make(l, 7);
	assert_int_equal(l->line.pages, 1);
	end(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_goes_from_node_to_node),
		cmocka_unit_test(a_region_is_its_homes_alone),
		cmocka_unit_test(what_is_missing_is_not_made_up),
		cmocka_unit_test(turns_are_told_by_why_they_ended),
		cmocka_unit_test(what_happens_is_counted_in_its_column),
		cmocka_unit_test(threads_wait_before_they_go_on),
		cmocka_unit_test(times_may_be_anything),
		cmocka_unit_test(pages_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
