/* SPDX-License-Identifier: Apache-2.0 */
/* A trace of a node tells all that its pager did: by its records as many events as it counted. */
#include "base/text.h"
#include "tests/dsm/native_tests.h"
#include "trace/trace_file.h"

struct tally {
	struct dsm_stats s; /* as far as records tell */
	struct stream_stats judged;
	uint64_t waits; /* threads that waited for a page */
	uint64_t open;	/* turns that have begun and not ended */
};

static void add_sent(struct tally *t, const struct trace_record *r)
{
	t->s.offers += r->what == WIRE_PUT;
	if (r->what == WIRE_GRANT && r->flags & WIRE_GRANT_DATA) {
		t->s.bytes_sent += PAGE_BYTES;
		t->s.invalidations += !!(r->flags & WIRE_GRANT_WRITE);
	}
}

static void add_received(struct tally *t, const struct trace_record *r)
{
	if (r->what != WIRE_GRANT)
		return;
	if (r->flags & WIRE_GRANT_DATA)
		t->s.data_grants++;
	else if (r->flags & WIRE_GRANT_ZERO)
		t->s.zero_grants++;
	else
		t->s.upgrade_grants++;
}

static void add_turn(struct native_node *n, struct tally *t, const struct trace_record *r)
{
	t->open += r->kind == TRACE_TURN_BEGIN ? 1 : -1;
	NATIVE_CHECK(n, t->open <= 1, "a turn begins or ends twice");
}

static void add(struct native_node *n, struct tally *t, const struct trace_record *r)
{
	switch (r->kind) {
	case TRACE_SENT:
		add_sent(t, r);
		break;
	case TRACE_RECEIVED:
		add_received(t, r);
		break;
	case TRACE_MAP:
	case TRACE_UNPROTECT:
		t->waits += r->value > 0;
		break;
	case TRACE_PROTECT:
		t->s.downgrades++;
		break;
	case TRACE_DROP:
		t->s.invalidations++;
		break;
	case TRACE_GUESS:
		t->s.prefetches++;
		break;
	case TRACE_JUDGED:
		t->judged.right += r->value & UINT32_MAX;
		t->judged.wrong += r->value >> 32;
		break;
	case TRACE_CAME:
		t->s.regions_came++;
		break;
	case TRACE_LEFT:
		t->s.regions_left++;
		break;
	case TRACE_TURN_BEGIN:
	case TRACE_TURN_END:
		add_turn(n, t, r);
		break;
	default:
		break;
	}
}

#define SAME(field)                                                                                \
	NATIVE_CHECK(n, t.s.field == s.dsm.field, "%llu recorded, %llu counted",                   \
		     (unsigned long long)t.s.field, (unsigned long long)s.dsm.field)

static void compare(struct native_node *n, const struct trace_file *f)
{
	struct tally t = {0};
	struct pager_stats s;

	for (unsigned i = 0; i < n->cfg->shards; i++) {
		struct trace_cursor c = {f, i};
		struct trace_record r;

		t.open = 0;
		while (trace_cursor_next(&c, &r))
			add(n, &t, &r);
		NATIVE_CHECK(n, f->shard[i].ended && !f->shard[i].lost, "shard %u", i);
	}
	pager_stats(n->pager, &s);
	SAME(zero_grants);
	SAME(data_grants);
	SAME(upgrade_grants);
	SAME(invalidations);
	SAME(downgrades);
	SAME(prefetches);
	SAME(offers);
	SAME(bytes_sent);
	SAME(regions_left);
	NATIVE_CHECK(n, t.waits == s.remote.count, "%llu waits", (unsigned long long)t.waits);
	NATIVE_CHECK(n,
		     t.judged.right == s.prefetch.streams.right &&
			     t.judged.wrong == s.prefetch.streams.wrong,
		     "guesses");
}

/* Nothing is under way any more that a record would be missing of: the shard stops between two. */
static void check_trace(struct native_node *n)
{
	_cleanup_free_ char *path = text_printf("%s/node%u" TRACE_SUFFIX, n->cfg->trace, n->self);
	struct trace_file f;
	struct err err;

	native_barrier(n);
	pager_stop(n->pager);
	native_trace_end(n);
	NATIVE_CHECK(n, path, "memory");
	if (trace_file_read(path, &f, &err) < 0)
		native_die(n, "%s", err.text);
	compare(n, &f);
	trace_file_free(&f);
}

void trace_wander_body(struct native_node *n)
{
	homes_wander_body(n);
	check_trace(n);
}

void trace_limit_body(struct native_node *n)
{
	limit_body(n);
	check_trace(n);
}

void trace_ahead_body(struct native_node *n)
{
	ahead_body(n);
	check_trace(n);
}
