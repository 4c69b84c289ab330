/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single sentences of the checker of traces: for each a trace of a few records that is wrong in
 * this respect only, or first. Node 0 is home of a region in which it has the first page.
 */
#include "tests/trace/traces.h"
#include "trace/check.h"

#define P    (5 * REGION_BYTES)
#define DATA WIRE_GRANT_DATA
#define GIVE (WIRE_GRANT_DATA | WIRE_GRANT_WRITE)
#define ZERO WIRE_GRANT_ZERO
#define PART (WIRE_HOME_PAGES * PAGE_BYTES)

static void reads(struct traces *t, uint8_t node)
{
	MESSAGE(t, node, 0, WIRE_GETS, P, node);
	MESSAGE(t, 0, node, WIRE_GRANT, P, node, .flags = DATA);
	PUT(t, node, TRACE_MAP, .addr = P);
}

/* Its home's copy can still be written to: who reads it so is the first to be found. */
static void all_read(struct traces *t)
{
	PUT(t, 0, TRACE_PROTECT, .addr = P);
	reads(t, 1);
	reads(t, 2);
}

static void owns(struct traces *t, uint8_t node)
{
	MESSAGE(t, node, 0, WIRE_GETM, P, node);
	MESSAGE(t, 0, node, WIRE_GRANT, P, node, .flags = GIVE);
	PUT(t, node, TRACE_MAP, .addr = P, .flags = TRACE_WRITE);
}

static void maps_twice(struct traces *t)
{
	owns(t, 1);
	PUT(t, 1, TRACE_MAP, .addr = P, .flags = TRACE_WRITE);
}

static void writes_to_nothing(struct traces *t)
{
	PUT(t, 1, TRACE_UNPROTECT, .addr = P);
}

static void writes_by_a_read_grant(struct traces *t)
{
	all_read(t);
	PUT(t, 1, TRACE_UNPROTECT, .addr = P);
}

static void maps_for_writing_by_a_read_grant(struct traces *t)
{
	PUT(t, 0, TRACE_PROTECT, .addr = P);
	MESSAGE(t, 1, 0, WIRE_GETS, P, 1);
	MESSAGE(t, 0, 1, WIRE_GRANT, P, 1, .flags = DATA);
	PUT(t, 1, TRACE_MAP, .addr = P, .flags = TRACE_WRITE);
}

static void protects_twice(struct traces *t)
{
	PUT(t, 0, TRACE_PROTECT, .addr = P);
	PUT(t, 0, TRACE_PROTECT, .addr = P);
}

static void grants_unasked(struct traces *t)
{
	MESSAGE(t, 0, 1, WIRE_GRANT, P, 1, .flags = GIVE);
}

static void grants_for_another(struct traces *t)
{
	MESSAGE(t, 1, 0, WIRE_GETM, P, 1);
	MESSAGE(t, 0, 1, WIRE_GRANT, P, 2, .flags = GIVE);
}

/* Node 2 is asked to send its copy to node 1. */
static void grants_like_a_home(struct traces *t)
{
	PUT(t, 0, TRACE_PROTECT, .addr = P);
	reads(t, 2);
	MESSAGE(t, 1, 0, WIRE_GETS, P, 1);
	MESSAGE(t, 0, 2, WIRE_FWD_GETS, P, 1);
	MESSAGE(t, 2, 1, WIRE_GRANT, P, 1, .flags = ZERO);
}

/* A request that is made again is answered twice. */
static void is_granted_twice(struct traces *t)
{
	PUT(t, 0, TRACE_PROTECT, .addr = P);
	reads(t, 2);
	MESSAGE(t, 1, 0, WIRE_GETS, P, 1);
	MESSAGE(t, 0, 2, WIRE_FWD_GETS, P, 1);
	MESSAGE(t, 1, 0, WIRE_GETS, P, 1);
	MESSAGE(t, 0, 1, WIRE_GRANT, P, 1, .flags = DATA);
	MESSAGE(t, 2, 1, WIRE_GRANT, P, 1, .flags = DATA);
}

static void is_granted_less(struct traces *t)
{
	PUT(t, 0, TRACE_PROTECT, .addr = P);
	MESSAGE(t, 1, 0, WIRE_GETM, P, 1);
	MESSAGE(t, 0, 1, WIRE_GRANT, P, 1, .flags = DATA);
}

static void hands_over_twice(struct traces *t)
{
	for (unsigned to = 1; to < NODES; to++)
		for (unsigned part = 0; part < 2; part++)
			MESSAGE(t, 0, to, WIRE_HOME, P + part * PART, to);
}

static void takes_back_as_another(struct traces *t)
{
	PUT(t, 1, TRACE_UNTRACK, .addr = P);
}

static void reads_beside_a_writer(struct traces *t)
{
	owns(t, 1);
	MESSAGE(t, 2, 0, WIRE_GETS, P, 2);
	MESSAGE(t, 0, 2, WIRE_GRANT, P, 2, .flags = ZERO);
	PUT(t, 2, TRACE_MAP, .addr = P, .flags = TRACE_ZERO);
}

/* Node 1 has dropped its copy, as it happens, before node 2 writes; node 2 cannot know. */
static void writes_by_luck(struct traces *t)
{
	all_read(t);
	PUT(t, 0, TRACE_DROP, .addr = P);
	MESSAGE(t, 2, 0, WIRE_GETM, P, 2);
	MESSAGE(t, 0, 1, WIRE_INV, P, 2);
	PUT(t, 1, TRACE_DROP, .addr = P);
	MESSAGE(t, 0, 2, WIRE_GRANT, P, 2, .flags = WIRE_GRANT_WRITE, .acks = 1);
	PUT(t, 2, TRACE_UNPROTECT, .addr = P);
	MESSAGE(t, 1, 2, WIRE_INV_ACK, P, 2);
}

/* Node 1 has ceased to write for its home, and node 2 reads something else meanwhile. */
static void reads_by_luck(struct traces *t)
{
	owns(t, 1);
	MESSAGE(t, 2, 0, WIRE_GETS, P, 2);
	MESSAGE(t, 0, 1, WIRE_FWD_GETS, P, 0);
	PUT(t, 1, TRACE_PROTECT, .addr = P);
	MESSAGE(t, 0, 2, WIRE_GRANT, P, 2, .flags = ZERO);
	PUT(t, 2, TRACE_MAP, .addr = P, .flags = TRACE_ZERO);
}

static const struct sentence {
	void (*make)(struct traces *t);
	enum trace_rule rule;
	const char *text;
} sentences[] = {
	{maps_twice, TRACE_NO_COPY, "maps what it has"},
	{writes_to_nothing, TRACE_NO_COPY, "may write to what it does not have"},
	{writes_by_a_read_grant, TRACE_NO_GRANT, "may write, and that was not granted"},
	{maps_for_writing_by_a_read_grant, TRACE_NO_GRANT, "maps what was not granted"},
	{protects_twice, TRACE_NO_COPY, "protects what it cannot write to"},
	{grants_unasked, TRACE_NO_GRANT, "answers what nobody has asked"},
	{grants_for_another, TRACE_NO_GRANT, "grants to one what another asked for"},
	{grants_like_a_home, TRACE_NO_HOME, "grants like a home"},
	{is_granted_twice, TRACE_NO_GRANT, "is granted what it has not asked for"},
	{is_granted_less, TRACE_NO_GRANT, "is granted less than it asked for"},
	{hands_over_twice, TRACE_NO_HOME, "becomes home of what has one"},
	{takes_back_as_another, TRACE_NO_HOME, "takes back what is not at home there"},
	{reads_beside_a_writer, TRACE_ONE_WRITER, "comes to read what another node can write"},
	{writes_by_luck, TRACE_ONE_WRITER,
	 "comes to write, and no message tells that another node has lost it"},
	{reads_by_luck, TRACE_ONE_WRITER,
	 "comes to read, and no message tells that another node ceased to write"},
};

static void on_finding(void *ctx, const struct trace_finding *f)
{
	struct trace_finding *first = ctx;

	if (!first->text)
		*first = *f;
}

static void each_sentence_is_said(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(sentences); i++) {
		const struct sentence *s = &sentences[i];
		struct trace_finding first = {.text = NULL};
		struct traces t = {.made = 0};
		struct trace_verdict verdict;

		for (unsigned part = 0; part < REGION_PAGES / 64; part++)
			PUT(&t, 0, TRACE_TRACK, .addr = P + part * 64 * PAGE_BYTES, .value = !part);
		s->make(&t);
		traces_close(&t);
		assert_int_equal(trace_check(&t.set, on_finding, &first, &verdict), 0);
		if (!first.text || strcmp(first.text, s->text) || first.rule != s->rule)
			fail_msg("not '%s', but '%s'", s->text, first.text ?: "nothing");
		traces_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_sentence_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
