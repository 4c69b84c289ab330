/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted from traces made by hand: pages, who took them from whom, nodes, guesses, turns.
 */
#include "tests/trace/traces.h"
#include "trace/top.h"

#define HOT  (7 * REGION_BYTES)
#define WARM (HOT + PAGE_BYTES)
#define COLD (WARM + PAGE_BYTES)
#define DATA WIRE_GRANT_DATA
#define GIVE (WIRE_GRANT_DATA | WIRE_GRANT_WRITE)

/* Nodes 1 and 2 write in turn to a page, @times each. */
static void fight(struct traces *t, unsigned times)
{
	for (unsigned i = 0; i < 2 * times; i++) {
		unsigned to = 1 + i % 2, from = i ? 3 - to : 0;

		PUT(t, to, TRACE_FAULT, .addr = HOT, .flags = TRACE_WRITE, .value = 9);
		MESSAGE(t, from, to, WIRE_GRANT, HOT, to, .flags = GIVE);
		PUT(t, to, TRACE_MAP, .addr = HOT, .flags = TRACE_WRITE, .value = 1000);
	}
}

/* All read a page, then its home 0 and node 2 lose it for node 1. */
static void share(struct traces *t)
{
	for (unsigned to = 1; to < NODES; to++) {
		PUT(t, to, TRACE_FAULT, .addr = WARM, .value = 9);
		MESSAGE(t, 0, to, WIRE_GRANT, WARM, to, .flags = DATA);
		PUT(t, to, TRACE_MAP, .addr = WARM, .value = 50);
	}
	PUT(t, 0, TRACE_DROP, .addr = WARM);
	MESSAGE(t, 0, 1, WIRE_GRANT, WARM, 1, .flags = WIRE_GRANT_WRITE, .acks = 1);
	PUT(t, 2, TRACE_DROP, .addr = WARM);
	MESSAGE(t, 2, 1, WIRE_INV_ACK, WARM, 1);
	PUT(t, 1, TRACE_UNPROTECT, .addr = WARM, .value = 25);
}

/* Node 1 guesses: one that a thread comes to wait for, one that leaves unseen, and one that stays.
 */
static void guess(struct traces *t)
{
	for (unsigned i = 0; i < 3; i++)
		PUT(t, 1, TRACE_GUESS, .addr = COLD + i * PAGE_BYTES,
		    .what = i ? TRACE_AHEAD : TRACE_RECALL);
	PUT(t, 1, TRACE_FAULT, .addr = COLD, .value = 9);
	PUT(t, 1, TRACE_FAULT, .addr = COLD, .value = 9); /* once is enough */
	PUT(t, 1, TRACE_DROP, .addr = COLD);
	MESSAGE(t, 1, 0, WIRE_DROPPED, COLD, 1); /* given back: nobody took it */
	PUT(t, 1, TRACE_SENT, .what = WIRE_GRANT, .addr = COLD + PAGE_BYTES, .flags = GIVE);
	PUT(t, 1, TRACE_JUDGED, .addr = COLD, .value = 3 | UINT64_C(2) << 32);
}

static void turns(struct traces *t)
{
	for (unsigned why = 0; why < TRACE_TURNS; why++)
		for (unsigned i = 0; i <= why; i++) {
			PUT(t, 2, TRACE_TURN_BEGIN, .ticket = 4);
			PUT(t, 2, TRACE_TURN_END, .ticket = 4, .what = (uint8_t)why, .value = 10);
		}
}

static const struct trace_pair *pair(const struct trace_hot_page *p, unsigned from, unsigned to,
				     bool taken)
{
	for (unsigned i = 0; i < p->pairs; i++)
		if (p->pair[i].from == from && p->pair[i].to == to && p->pair[i].taken == taken)
			return &p->pair[i];
	fail_msg("no such pair: %u to %u", from, to);
	return NULL;
}

static void count(struct traces *t, struct trace_top *top)
{
	fight(t, 5);
	share(t);
	guess(t);
	turns(t);
	PUT(t, 0, TRACE_LEFT, .addr = HOT);
	traces_close(t);
	assert_int_equal(trace_top(&t->set, top), 0);
}

static void pages_are_told_by_what_they_cost(void **state)
{
	struct traces t = {.made = 0};
	const struct trace_hot_page *p;
	struct trace_top top;

	count(&t, &top);
	assert_int_equal(top.pages, 5);
	p = top.page[0];
	assert_int_equal(p->page, HOT);
	assert_int_equal(p->writes, 10);
	assert_int_equal(p->reads, 0);
	assert_int_equal(p->waits, 10);
	assert_int_equal(p->waited_ns, 10000);
	assert_int_equal(p->pairs, 3);
	assert_int_equal(p->pair[0].times, 5);
	assert_int_equal(pair(p, 1, 2, true)->times, 5);
	assert_int_equal(pair(p, 2, 1, true)->times, 4);
	assert_int_equal(pair(p, 0, 1, true)->times, 1);
	p = top.page[1];
	assert_int_equal(p->page, WARM);
	assert_int_equal(p->reads, 2);
	assert_int_equal(p->waited_ns, 125);
	assert_int_equal(p->pairs, 4);
	assert_int_equal(pair(p, 0, 2, false)->times, 1);
	assert_int_equal(pair(p, 0, 1, true)->times, 1);
	assert_int_equal(pair(p, 2, 1, true)->times, 1);
	/* Nobody waited for these: the one that moved comes first, then by address. */
	assert_int_equal(top.page[2]->page, COLD + PAGE_BYTES);
	assert_int_equal(top.page[2]->unseen, 1);
	assert_int_equal(top.page[3]->page, COLD);
	assert_int_equal(top.page[3]->joined, 1);
	assert_int_equal(top.page[3]->pairs, 0);
	trace_top_free(&top);
	traces_free(&t);
}

static void nodes_are_told_by_what_they_did(void **state)
{
	struct traces t = {.made = 0};
	const struct trace_node_sum *n;
	struct trace_top top;

	count(&t, &top);
	assert_int_equal(top.nodes, NODES);
	n = &top.node[1];
	assert_int_equal(n->writes, 5);
	assert_int_equal(n->reads, 3);
	assert_int_equal(n->waits, 7);
	assert_int_equal(n->waited_ns, 5 * 1000 + 50 + 25);
	assert_int_equal(n->recalls, 1);
	assert_int_equal(n->aheads, 2);
	assert_int_equal(n->joined, 1);
	assert_int_equal(n->unseen, 1);
	assert_int_equal(n->right, 3);
	assert_int_equal(n->wrong, 2);
	assert_int_equal(n->got, 6);
	assert_int_equal(n->gave, 6);
	assert_int_equal(n->records, t.count[1]);
	assert_true(n->ticks > 0);
	for (unsigned why = 0; why < TRACE_TURNS; why++)
		assert_int_equal(top.node[2].turns[why], why + 1);
	assert_int_equal(top.node[2].turns_ns, 10 * (1 + 2 + 3 + 4 + 5));
	assert_int_equal(top.node[0].left, 1);
	trace_top_free(&top);
	traces_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_told_by_what_they_cost),
		cmocka_unit_test(nodes_are_told_by_what_they_did),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
