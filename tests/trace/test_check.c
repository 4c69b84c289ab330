/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker of traces, on traces made by hand: a sound one in which all happens once, and each
 * rule broken in it. Written from the text of dsm/proto.h and trace/check.h.
 */
#include "tests/trace/traces.h"
#include "trace/check.h"

#define P    (5 * REGION_BYTES)
#define Q    (P + PAGE_BYTES)
#define DATA WIRE_GRANT_DATA
#define GIVE (WIRE_GRANT_DATA | WIRE_GRANT_WRITE)
#define ZERO (WIRE_GRANT_ZERO | WIRE_GRANT_WRITE)

/* What is wrong with the trace. */
enum breach {
	NOTHING,
	WRITES_BEFORE_ACK,
	WRITES_WHILE_OTHERS_READ,
	OWNER_STAYS_WRITABLE,
	ACK_BEFORE_DROP,
	USES_AFTER_INV,
	OFFERS_WHAT_IS_GONE,
	SENDS_WHAT_IS_GONE,
	GRANT_OF_NOBODY,
	GRANT_TWICE,
	GRANT_TO_THE_WRONG,
	WRITES_BY_A_READ_GRANT,
	ASKS_LIKE_A_HOME,
	TWO_HOMES,
	OLD_HOME_GOES_ON,
	DIRECTORY_IS_WRONG,
	MESSAGE_CHANGES,
	MESSAGE_OF_NOBODY,
	BREACHES,
};

static const enum trace_rule rule_of[BREACHES] = {
	[WRITES_BEFORE_ACK] = TRACE_ONE_WRITER,
	[WRITES_WHILE_OTHERS_READ] = TRACE_ONE_WRITER,
	[OWNER_STAYS_WRITABLE] = TRACE_NO_COPY,
	[ACK_BEFORE_DROP] = TRACE_NO_COPY,
	[USES_AFTER_INV] = TRACE_NO_COPY,
	[OFFERS_WHAT_IS_GONE] = TRACE_NO_COPY,
	[SENDS_WHAT_IS_GONE] = TRACE_NO_COPY,
	[GRANT_OF_NOBODY] = TRACE_NO_GRANT,
	[GRANT_TWICE] = TRACE_NO_GRANT,
	[GRANT_TO_THE_WRONG] = TRACE_NO_GRANT,
	[WRITES_BY_A_READ_GRANT] = TRACE_NO_GRANT,
	[ASKS_LIKE_A_HOME] = TRACE_NO_HOME,
	[TWO_HOMES] = TRACE_NO_HOME,
	[OLD_HOME_GOES_ON] = TRACE_NO_HOME,
	[DIRECTORY_IS_WRONG] = TRACE_NO_HOME,
	[MESSAGE_CHANGES] = TRACE_TORN,
	[MESSAGE_OF_NOBODY] = TRACE_TORN,
};

static void track(struct traces *t, unsigned home, uint64_t first64)
{
	for (unsigned i = 0; i < REGION_PAGES / 64; i++)
		PUT(t, home, TRACE_TRACK, .addr = P + i * 64 * PAGE_BYTES,
		    .value = i ? 0 : first64);
}

/* Node 1 takes the page from its home 0, to write. */
static void node_1_takes_it(struct traces *t, enum breach b)
{
	PUT(t, 1, TRACE_FAULT, .addr = P, .flags = TRACE_WRITE, .value = 100);
	if (b != GRANT_OF_NOBODY)
		MESSAGE(t, 1, 0, WIRE_GETM, P, 1);
	MESSAGE(t, 0, 1, WIRE_GRANT, P, 1, .flags = GIVE);
	PUT(t, 1, TRACE_MAP, .addr = P, .flags = TRACE_WRITE, .value = 500);
	if (b == GRANT_TWICE)
		MESSAGE(t, 0, 1, WIRE_GRANT, P, 1, .flags = ZERO);
}

/* Node 2 reads what 1 owns, then the home does. */
static void others_read_it(struct traces *t, enum breach b)
{
	bool changes = b == MESSAGE_CHANGES;

	PUT(t, 2, TRACE_FAULT, .addr = P, .value = 200);
	MESSAGE(t, 2, 0, WIRE_GETS, P, 2);
	if (changes) {
		PUT(t, 0, TRACE_SENT, .what = WIRE_FWD_GETS, .addr = P, .peer = 1, .node = 2);
		PUT(t, 1, TRACE_RECEIVED, .what = WIRE_FWD_GETM, .addr = P, .node = 2);
	} else {
		MESSAGE(t, 0, 1, WIRE_FWD_GETS, P, 2);
	}
	if (b != OWNER_STAYS_WRITABLE)
		PUT(t, 1, TRACE_PROTECT, .addr = P);
	if (b == GRANT_TO_THE_WRONG)
		PUT(t, 1, TRACE_SENT, .what = WIRE_GRANT, .addr = P, .flags = DATA, .peer = 2,
		    .node = 0);
	else
		MESSAGE(t, 1, 2, WIRE_GRANT, P, 2, .flags = DATA);
	PUT(t, 2, TRACE_MAP, .addr = P, .value = 700,
	    .flags = b == WRITES_BY_A_READ_GRANT ? TRACE_WRITE : 0);
	MESSAGE(t, 2, 0, WIRE_DONE, P, 2);
	MESSAGE(t, 0, 1, WIRE_FWD_GETS, P, 0);
	MESSAGE(t, 1, 0, WIRE_GRANT, P, 0, .flags = DATA);
	PUT(t, 0, TRACE_MAP, .addr = P);
}

/* All three have it; node 1 comes to write again. */
static void node_1_writes_again(struct traces *t, enum breach b)
{
	MESSAGE(t, 1, 0, WIRE_GETM, P, 1);
	if (b == ASKS_LIKE_A_HOME)
		MESSAGE(t, 1, 2, WIRE_INV, P, 1);
	PUT(t, 0, TRACE_DROP, .addr = P);
	MESSAGE(t, 0, 1, WIRE_GRANT, P, 1, .flags = WIRE_GRANT_WRITE, .acks = 1);
	if (b == WRITES_WHILE_OTHERS_READ)
		PUT(t, 1, TRACE_UNPROTECT, .addr = P, .value = 300);
	MESSAGE(t, 0, 2, WIRE_INV, P, 1);
	if (b != ACK_BEFORE_DROP)
		PUT(t, 2, TRACE_DROP, .addr = P);
	/* Node 2 has dropped it, but node 1 does not know. */
	if (b == WRITES_BEFORE_ACK)
		PUT(t, 1, TRACE_UNPROTECT, .addr = P, .value = 300);
	MESSAGE(t, 2, 1, WIRE_INV_ACK, P, 1);
	if (b == USES_AFTER_INV)
		PUT(t, 2, TRACE_WAKE, .addr = P);
	if (b == ACK_BEFORE_DROP)
		PUT(t, 2, TRACE_DROP, .addr = P);
	if (b != WRITES_WHILE_OTHERS_READ && b != WRITES_BEFORE_ACK)
		PUT(t, 1, TRACE_UNPROTECT, .addr = P, .value = 300);
	MESSAGE(t, 1, 0, WIRE_DONE, P, 1);
}

/* Node 1 gives it back; node 2 gets a page of zeros. */
static void it_goes_back(struct traces *t, enum breach b)
{
	if (b == OFFERS_WHAT_IS_GONE)
		MESSAGE(t, 2, 0, WIRE_PUT, P, 2);
	if (b == DIRECTORY_IS_WRONG)
		MESSAGE(t, 0, 2, WIRE_FWD_GETM, P, 0);
	MESSAGE(t, 1, 0, WIRE_PUT, P, 1);
	MESSAGE(t, 0, 1, WIRE_FWD_GETM, P, 0);
	MESSAGE(t, 1, 0, WIRE_GRANT, P, 0, .flags = GIVE);
	PUT(t, 0, TRACE_MAP, .addr = P, .flags = TRACE_WRITE);
	if (b == SENDS_WHAT_IS_GONE) {
		MESSAGE(t, 2, 1, WIRE_GETS, P, 2);
		MESSAGE(t, 1, 2, WIRE_GRANT, P, 2, .flags = DATA);
	}
	MESSAGE(t, 2, 0, WIRE_GETS, Q, 2);
	MESSAGE(t, 0, 2, WIRE_GRANT, Q, 2, .flags = ZERO);
	PUT(t, 2, TRACE_MAP, .addr = Q, .flags = TRACE_WRITE | TRACE_ZERO);
}

/* The region goes to live at node 1, which then serves it. */
static void home_moves(struct traces *t, enum breach b)
{
	MESSAGE(t, 0, 1, WIRE_REHOME, P, 1);
	PUT(t, 1, TRACE_CAME, .addr = P);
	MESSAGE(t, 1, 0, WIRE_REHOME_ACK, P, 1);
	MESSAGE(t, 0, 2, WIRE_REHOME, P, 1);
	MESSAGE(t, 2, 0, WIRE_REHOME_ACK, P, 1);
	MESSAGE(t, 0, 1, WIRE_HOME, P, 1);
	if (b == TWO_HOMES) {
		PUT(t, 2, TRACE_SENT, .what = WIRE_HOME, .addr = P, .peer = 1, .node = 1);
		PUT(t, 1, TRACE_RECEIVED, .what = WIRE_HOME, .addr = P, .peer = 2, .node = 1);
	}
	MESSAGE(t, 0, 1, WIRE_HOME, P + WIRE_HOME_PAGES * PAGE_BYTES, 1);
	PUT(t, 0, TRACE_LEFT, .addr = P);
	if (b == OLD_HOME_GOES_ON)
		MESSAGE(t, 0, 2, WIRE_FWD_GETM, Q, 1);
	MESSAGE(t, 2, 1, WIRE_GETM, P, 2);
	MESSAGE(t, 1, 0, WIRE_FWD_GETM, P, 2);
	MESSAGE(t, 0, 2, WIRE_GRANT, P, 2, .flags = GIVE);
	PUT(t, 2, TRACE_MAP, .addr = P, .flags = TRACE_WRITE);
	MESSAGE(t, 2, 1, WIRE_DONE, P, 2);
	if (b == MESSAGE_OF_NOBODY)
		PUT(t, 2, TRACE_RECEIVED, .what = WIRE_INV, .addr = P, .peer = 1, .node = 0);
}

/* All comes back to node 0, where it becomes plain memory, and is shared again. */
static void it_becomes_plain(struct traces *t)
{
	MESSAGE(t, 1, 0, WIRE_REHOME, P, 0);
	PUT(t, 0, TRACE_CAME, .addr = P);
	MESSAGE(t, 0, 1, WIRE_REHOME_ACK, P, 0);
	MESSAGE(t, 1, 0, WIRE_HOME, P, 0);
	MESSAGE(t, 1, 0, WIRE_HOME, P + WIRE_HOME_PAGES * PAGE_BYTES, 0);
	PUT(t, 1, TRACE_LEFT, .addr = P);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t page = P + i * PAGE_BYTES;

		MESSAGE(t, 0, 2, WIRE_FWD_GETM, page, 0);
		MESSAGE(t, 2, 0, WIRE_GRANT, page, 0, .flags = GIVE);
		PUT(t, 0, TRACE_MAP, .addr = page, .flags = TRACE_WRITE);
		PUT(t, 0, TRACE_WAKE, .addr = page);
	}
	PUT(t, 0, TRACE_UNTRACK, .addr = P);
	track(t, 0, 3);
	MESSAGE(t, 1, 0, WIRE_GETM, P, 1);
	MESSAGE(t, 0, 1, WIRE_GRANT, P, 1, .flags = GIVE);
	PUT(t, 1, TRACE_MAP, .addr = P, .flags = TRACE_WRITE);
	PUT(t, 1, TRACE_WAKE, .addr = P);
}

#define LAST (2 * NODES * (NODES - 1)) /* records of: */

/* So that what is said before is not the last that comes, which might be on its way still. */
static void say_something(struct traces *t)
{
	for (unsigned from = 0; from < NODES; from++)
		for (unsigned to = 0; to < NODES; to++)
			if (from != to)
				MESSAGE(t, from, to, WIRE_GETS, P + 9 * PAGE_BYTES, from);
}

static void make(struct traces *t, enum breach b)
{
	track(t, 0, 1);
	node_1_takes_it(t, b);
	others_read_it(t, b);
	node_1_writes_again(t, b);
	it_goes_back(t, b);
	home_moves(t, b);
	it_becomes_plain(t);
	say_something(t);
	traces_close(t);
}

struct seen {
	const struct trace_set *set;
	unsigned count;
	enum trace_rule rule;
};

static void on_finding(void *ctx, const struct trace_finding *f)
{
	struct seen *s = ctx;
	struct trace_record r;

	if (!s->count++)
		s->rule = f->rule;
	assert_true(f->text[0] && trace_rule_name(f->rule)[0] != '?');
	assert_true(f->page - P < REGION_BYTES);
	/* It names records that are there. */
	assert_true(trace_set_record(s->set, f->at.node, f->shard, f->at.index, &r));
	if (f->has_other)
		assert_true(trace_set_record(s->set, f->other.node, f->shard, f->other.index, &r));
}

static struct seen check(struct traces *t, struct trace_verdict *verdict)
{
	struct seen seen = {.set = &t->set};

	assert_int_equal(trace_check(&t->set, on_finding, &seen, verdict), 0);
	assert_int_equal(verdict->findings, seen.count);
	return seen;
}

static void a_sound_run_breaks_no_rule(void **state)
{
	struct traces t = {.made = 0};
	struct trace_verdict verdict;
	unsigned all = 0;

	make(&t, NOTHING);
	assert_int_equal(check(&t, &verdict).count, 0);
	for (unsigned i = 0; i < NODES; i++)
		all += t.count[i];
	assert_int_equal(verdict.records, all);
	assert_int_equal(verdict.left, 0);
	assert_int_equal(verdict.regions, 1);
	traces_free(&t);
}

static void each_breach_is_caught_and_named(void **state)
{
	for (enum breach b = NOTHING + 1; b < BREACHES; b++) {
		struct traces t = {.made = 0};
		struct trace_verdict verdict;
		struct seen seen;

		make(&t, b);
		seen = check(&t, &verdict);
		if (!seen.count || seen.rule != rule_of[b])
			fail_msg("breach %d: %u findings, first of rule %s, not %s", b, seen.count,
				 trace_rule_name(seen.rule), trace_rule_name(rule_of[b]));
		traces_free(&t);
	}
}

/* What has no effect on a copy or on who may ask for it. */
static bool may_be_missing(const struct trace_record *r)
{
	return r->kind == TRACE_FAULT || r->kind == TRACE_WAKE || r->kind == TRACE_CAME ||
	       r->kind == TRACE_LEFT || (r->kind == TRACE_TRACK && r->addr != P);
}

/* Each record is needed: without it something does not fit. */
static void a_record_that_is_missing_is_missed(void **state)
{
	struct traces whole = {.made = 0};
	unsigned made, at[NODES] = {0};

	make(&whole, NOTHING);
	made = whole.made - LAST;
	for (unsigned drop = 1; drop <= made; drop++) {
		struct traces t = {.drop = drop};
		struct trace_verdict verdict;
		const struct trace_record *r = NULL;
		char text[120];

		for (unsigned i = 0; i < NODES; i++)
			if (at[i] < whole.count[i] && whole.record[i][at[i]].time == drop)
				r = &whole.record[i][at[i]++];
		assert_non_null(r);
		make(&t, NOTHING);
		if (!check(&t, &verdict).count && !may_be_missing(r))
			fail_msg("record %u: %s", drop, trace_record_text(r, text, sizeof(text)));
		traces_free(&t);
	}
	traces_free(&whole);
}

/* As far as it goes, and no false alarm behind that. */
static void a_trace_that_ends_early_is_checked_so_far(void **state)
{
	for (unsigned node = 0; node < NODES; node++) {
		for (unsigned keep = 0;; keep++) {
			struct traces t = {.made = 0};
			struct trace_verdict verdict;

			t.open[node] = true;
			make(&t, NOTHING);
			traces_free(&t);
			if (keep > t.count[node])
				break;
			t.count[node] = keep;
			traces_close(&t);
			assert_int_equal(check(&t, &verdict).count, 0);
			assert_int_equal(verdict.records + verdict.left,
					 t.count[0] + t.count[1] + t.count[2]);
			traces_free(&t);
		}
	}
}

/* The same with what is missing in the middle. */
static void nothing_is_believed_behind_a_gap(void **state)
{
	struct traces t = {.made = 0};
	struct trace_verdict verdict;

	track(&t, 0, 1);
	node_1_takes_it(&t, NOTHING);
	PUT(&t, 1, TRACE_GAP, .value = 2);
	MESSAGE(&t, 2, 0, WIRE_GETS, P, 2);
	MESSAGE(&t, 0, 1, WIRE_FWD_GETS, P, 2);
	PUT(&t, 1, TRACE_WAKE, .addr = Q);
	MESSAGE(&t, 1, 2, WIRE_GRANT, P, 2, .flags = DATA);
	PUT(&t, 2, TRACE_MAP, .addr = P);
	traces_close(&t);
	assert_int_equal(check(&t, &verdict).count, 0);
	assert_int_equal(verdict.left, 6); /* four of node 1, two of node 2 */
	traces_free(&t);
}

static void traces_of_several_runs_are_refused(void **state)
{
	struct traces t = {.made = 0}, other = {.made = 0};
	struct trace_file *f;
	struct err err;

	make(&t, NOTHING);
	make(&other, NOTHING);
	f = TAKE_PTR(other.set.node[1]);
	assert_int_equal(trace_set_add(&t.set, "x", f, &err), -EINVAL);
	assert_non_null(strstr(err.text, "another trace of node 1"));
	f->head.epoch++;
	assert_int_equal(trace_set_add(&t.set, "x", f, &err), -EINVAL);
	assert_non_null(strstr(err.text, "another run"));
	trace_file_free(f);
	free(f);
	traces_free(&t);
	traces_free(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_run_breaks_no_rule),
		cmocka_unit_test(each_breach_is_caught_and_named),
		cmocka_unit_test(a_record_that_is_missing_is_missed),
		cmocka_unit_test(a_trace_that_ends_early_is_checked_so_far),
		cmocka_unit_test(nothing_is_believed_behind_a_gap),
		cmocka_unit_test(traces_of_several_runs_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
