/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/timeline.h"

#include "wire/msg.h"

struct wanted {
	uint64_t page;
	size_t index; /* in the order of the top */
};

enum have {
	NONE,
	READS,
	WRITES,
};

/* One shard of one node. */
struct walk {
	struct timeline *t;
	const struct wanted *wanted; /* by address */
	unsigned node;
	double khz;
	double now;   /* in columns, as all below */
	bool in_turn; /* since: */
	double turn;
	/* What the node has, by index of the page, and since when. */
	enum have have[TIMELINE_LANES];
	double since[TIMELINE_LANES];
};

/* ---- columns ---- */

static double column(const struct timeline *t, uint64_t tick)
{
	return (double)(tick - t->first) / t->wide;
}

static unsigned whole(double at)
{
	return at < 0 ? 0 : at < TIMELINE_COLUMNS ? (unsigned)at : TIMELINE_COLUMNS - 1;
}

/* In a time that does not grow with how long it lasted: a trace may say anything. */
static void lasts(struct timeline_band *b, double from, double to)
{
	unsigned first, last;

	from = MAX(from, 0.0);
	to = MIN(to, (double)TIMELINE_COLUMNS);
	if (from >= to)
		return;
	first = whole(from);
	last = whole(to);
	if (first == last) {
		b->share[first] += (float)(to - from);
		return;
	}
	b->share[first] += (float)(first + 1 - from);
	b->share[last] += (float)(to - last);
	b->step[first + 1]++;
	b->step[last]--;
}

static void settle(struct timeline_band *b)
{
	int32_t sum = 0;

	for (unsigned i = 0; i < TIMELINE_COLUMNS; i++) {
		sum += b->step[i];
		b->share[i] += (float)sum;
	}
}

/* ---- pages ---- */

static void has(struct walk *w, size_t page, enum have what)
{
	struct timeline_lane *lane = &w->t->lane[page * w->t->nodes + w->node];

	if (w->have[page] == what)
		return;
	if (w->have[page] != NONE)
		lasts(w->have[page] == WRITES ? &lane->write : &lane->read, w->since[page], w->now);
	w->have[page] = what;
	w->since[page] = w->now;
}

static void has_all(struct walk *w, const struct trace_record *r, uint64_t pages, uint64_t here)
{
	for (size_t i = 0; i < w->t->pages; i++) {
		uint64_t at = (w->wanted[i].page - r->addr) / PAGE_BYTES;

		if (w->wanted[i].page >= r->addr && at < pages)
			has(w, w->wanted[i].index, here >> at % 64 & 1 ? WRITES : NONE);
	}
}

static void has_none(struct walk *w)
{
	for (size_t i = 0; i < w->t->pages; i++)
		has(w, i, NONE);
}

static int by_page(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return x->page == y->page ? 0 : x->page < y->page ? -1 : 1;
}

static void on_page(struct walk *w, const struct trace_record *r)
{
	const struct wanted key = {.page = r->addr};
	const struct wanted *found = bsearch(&key, w->wanted, w->t->pages, sizeof(key), by_page);
	bool gives = r->kind == TRACE_SENT && r->what == WIRE_GRANT && r->flags & WIRE_GRANT_DATA &&
		     r->flags & WIRE_GRANT_WRITE;
	bool write = r->kind == TRACE_UNPROTECT || r->flags & TRACE_WRITE;

	if (!found)
		return;
	if (r->kind == TRACE_MAP || r->kind == TRACE_UNPROTECT) {
		has(w, found->index, write ? WRITES : READS);
		w->t->lane[found->index * w->t->nodes + w->node].came[whole(w->now)]++;
	} else if (r->kind == TRACE_PROTECT) {
		has(w, found->index, READS);
	} else if (r->kind == TRACE_DROP || gives) {
		has(w, found->index, NONE);
	}
}

/* ---- nodes ---- */

static void count(struct walk *w, enum timeline_count what, uint64_t times)
{
	w->t->node[w->node].count[what][whole(w->now)] += times;
}

/* @ns: how long it lasted, for one whose beginning is not there. */
static void end_turn(struct walk *w, unsigned why, uint64_t ns)
{
	double from = w->in_turn ? w->turn : w->now - (double)ns * w->khz / 1e6 / w->t->wide;

	lasts(&w->t->node[w->node].turn[why], from, w->now);
	w->in_turn = false;
}

static void on_node(struct walk *w, const struct trace_record *r)
{
	bool data = r->what == WIRE_GRANT && r->flags & WIRE_GRANT_DATA;

	switch (r->kind) {
	case TRACE_FAULT:
		count(w, TIMELINE_FAULTS, 1);
		break;
	case TRACE_GUESS:
		count(w, TIMELINE_GUESSES, 1);
		break;
	case TRACE_JUDGED:
		count(w, TIMELINE_RIGHT, r->value & UINT32_MAX);
		count(w, TIMELINE_WRONG, r->value >> 32);
		break;
	case TRACE_SENT:
		count(w, TIMELINE_GAVE, data);
		break;
	case TRACE_RECEIVED:
		count(w, TIMELINE_GOT, data);
		break;
	case TRACE_MAP:
	case TRACE_UNPROTECT:
		lasts(&w->t->node[w->node].waiting,
		      w->now - (double)r->value * w->khz / 1e6 / w->t->wide, w->now);
		break;
	case TRACE_TURN_BEGIN:
		if (w->in_turn)
			end_turn(w, TIMELINE_TURN_OPEN, 0);
		w->in_turn = true;
		w->turn = w->now;
		break;
	case TRACE_TURN_END:
		end_turn(w, r->what, r->value);
		break;
	default:
		break;
	}
}

static void on_record(struct walk *w, const struct trace_record *r)
{
	on_node(w, r);
	switch (r->kind) {
	case TRACE_TRACK:
		has_all(w, r, 64, r->value);
		break;
	case TRACE_UNTRACK:
		has_all(w, r, REGION_PAGES, UINT64_MAX);
		break;
	case TRACE_GAP:
		has_none(w);
		if (w->in_turn)
			end_turn(w, TIMELINE_TURN_OPEN, 0);
		break;
	default:
		on_page(w, r);
		break;
	}
}

static void walk_shard(struct walk *w, const struct trace_file *f, unsigned shard)
{
	struct trace_cursor c = {f, shard};
	struct trace_record r;

	/* A clock that was put back does not make anything last less than nothing. */
	while (trace_cursor_next(&c, &r)) {
		w->now = MAX(w->now, column(w->t, r.time));
		on_record(w, &r);
	}
	if (f->shard[shard].ended && !f->shard[shard].lost)
		w->now = column(w->t, w->t->last);
	has_none(w);
	if (w->in_turn)
		end_turn(w, TIMELINE_TURN_OPEN, 0);
}

/* ---- all of it ---- */

static void measure(const struct trace_set *set, struct timeline *t)
{
	bool any = false;

	for (unsigned node = 0; node < set->nodes; node++)
		for (unsigned shard = 0; shard < set->shards; shard++) {
			struct trace_cursor c = {set->node[node], shard};
			struct trace_record r;

			while (trace_cursor_next(&c, &r)) {
				t->first = any ? MIN(t->first, r.time) : r.time;
				t->last = MAX(t->last, r.time);
				any = true;
			}
		}
	t->wide = ((double)(t->last - t->first) + 1) / TIMELINE_COLUMNS;
	t->ms = t->wide * TIMELINE_COLUMNS / (double)set->node[0]->head.ticks_khz;
}

static struct wanted *by_address(const struct timeline *t)
{
	struct wanted *all = calloc(t->pages + 1, sizeof(*all));

	for (size_t i = 0; all && i < t->pages; i++)
		all[i] = (struct wanted){t->top->page[i]->page, i};
	if (all)
		qsort(all, t->pages, sizeof(*all), by_page);
	return all;
}

static void settle_all(struct timeline *t)
{
	for (unsigned i = 0; i < t->nodes; i++) {
		settle(&t->node[i].waiting);
		for (unsigned why = 0; why < TIMELINE_TURN_KINDS; why++)
			settle(&t->node[i].turn[why]);
	}
	for (size_t i = 0; i < t->pages * t->nodes; i++) {
		settle(&t->lane[i].write);
		settle(&t->lane[i].read);
	}
}

int trace_timeline(const struct trace_set *set, const struct trace_top *top, size_t pages,
		   struct timeline *ret)
{
	struct timeline t = {.nodes = set->nodes, .top = top};
	_cleanup_free_ struct wanted *wanted = NULL;
	_cleanup_free_ struct walk *w = malloc(sizeof(*w));

	t.pages = MIN(pages, (size_t)TIMELINE_LANES / set->nodes);
	t.pages = MIN(t.pages, top->pages);
	t.node = calloc(t.nodes, sizeof(*t.node));
	t.lane = calloc(t.pages * t.nodes + 1, sizeof(*t.lane));
	wanted = by_address(&t);
	if (!w || !t.node || !t.lane || !wanted) {
		trace_timeline_free(&t);
		return -ENOMEM;
	}
	measure(set, &t);
	for (unsigned node = 0; node < set->nodes; node++)
		for (unsigned shard = 0; shard < set->shards; shard++) {
			*w = (struct walk){.t = &t,
					   .wanted = wanted,
					   .node = node,
					   .khz = (double)set->node[node]->head.ticks_khz};
			walk_shard(w, set->node[node], shard);
		}
	settle_all(&t);
	*ret = t;
	return 0;
}

void trace_timeline_free(struct timeline *t)
{
	free(t->node);
	free(t->lane);
	*t = (struct timeline){0};
}
