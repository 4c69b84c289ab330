/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/check.h"

#include "wire/msg.h"

#define NOBODY	UINT8_MAX
#define BUCKETS 4096

enum state { NONE, SHARED, OWNED };

/* What one node has of a page, and what it is to answer. */
struct copy {
	uint8_t state;
	uint8_t asked;	  /* WIRE_GETS or WIRE_GETM, whose answer has not come; 0 */
	uint8_t granted;  /* flags of the last GRANT, since the copy was lost last; 0: none */
	uint64_t owed;	  /* nodes that are to get a grant from this one */
	uint64_t changed; /* by how many of its records: when `state` changed last, */
	uint64_t lost;	  /* became NONE */
	uint64_t unowned; /* and ceased to be OWNED */
};

struct region {
	struct region *next;
	uint64_t addr;
	uint8_t home;			 /* NOBODY: it moves, or is its node's alone */
	uint8_t leaving;		 /* who has handed it over; NOBODY */
	uint8_t parts;			 /* of the directory that have come, as bits */
	uint64_t bad[REGION_PAGES / 64]; /* pages that are followed no further */
	struct copy copy[];		 /* [page * nodes + node] */
};

struct check {
	const struct trace_set *set;
	unsigned nodes;
	void (*found)(void *ctx, const struct trace_finding *f);
	void *ctx;
	struct trace_verdict verdict;
	struct region *bucket[BUCKETS];
	bool no_memory;
};

/* A record, the page that it is about, and who made it. */
struct event {
	struct check *c;
	const struct trace_event *e;
	const struct trace_record *r;
	struct region *region;
	uint64_t page;
	struct copy *copy; /* of all nodes */
	struct copy *own;
};

const char *trace_rule_name(enum trace_rule rule)
{
	static const char *const names[TRACE_RULES] = {
		[TRACE_ONE_WRITER] = "one-writer",
		[TRACE_NO_COPY] = "no-copy",
		[TRACE_NO_GRANT] = "no-grant",
		[TRACE_NO_HOME] = "no-home",
		[TRACE_TORN] = "torn",
	};

	return rule < TRACE_RULES ? names[rule] : "?";
}

static struct region *region_of(struct check *c, uint64_t gpa)
{
	uint64_t addr = ALIGN_DOWN(gpa, REGION_BYTES);
	struct region **bucket = &c->bucket[(addr >> REGION_SHIFT) % BUCKETS], *r;

	for (r = *bucket; r; r = r->next)
		if (r->addr == addr)
			return r;
	r = calloc(1, sizeof(*r) + REGION_PAGES * c->nodes * sizeof(r->copy[0]));
	if (!r) {
		c->no_memory = true;
		return NULL;
	}
	*r = (struct region){.next = *bucket, .addr = addr, .home = NOBODY, .leaving = NOBODY};
	*bucket = r;
	c->verdict.regions++;
	return r;
}

static void look_at(struct event *v, uint64_t page)
{
	v->page = page;
	v->copy = &v->region->copy[page % REGION_BYTES / PAGE_BYTES * v->c->nodes];
	v->own = &v->copy[v->e->node];
}

/* ---- what is found ---- */

#define NO_OTHER MAX_NODES

static void find(const struct event *v, enum trace_rule rule, unsigned other, const char *text)
{
	uint64_t page = v->page % REGION_BYTES / PAGE_BYTES;
	uint64_t *bad = &v->region->bad[page / 64], bit = UINT64_C(1) << page % 64;
	struct trace_finding f = {.rule = rule,
				  .page = v->page,
				  .shard = v->e->shard,
				  .at = {v->e->node, v->e->index},
				  .text = text};

	if (*bad & bit)
		return;
	*bad |= bit;
	if (other != NO_OTHER && v->copy[other].changed) {
		f.has_other = true;
		f.other = (struct trace_place){other, v->copy[other].changed - 1};
	}
	v->c->verdict.findings++;
	v->c->found(v->c->ctx, &f);
}

static void must(const struct event *v, bool right, enum trace_rule rule, const char *text)
{
	if (!right)
		find(v, rule, NO_OTHER, text);
}

static void must_have(const struct event *v, bool right, const char *text)
{
	if (!right)
		find(v, TRACE_NO_COPY, v->e->node, text);
}

/* ---- copies ---- */

static void set_state(const struct event *v, enum state state)
{
	struct copy *own = v->own;
	uint64_t now = v->e->index + 1;

	if (own->state == OWNED && state != OWNED)
		own->unowned = now;
	if (own->state != NONE && state == NONE) {
		own->lost = now;
		own->granted = 0;
	}
	if (own->state != state)
		own->changed = now;
	own->state = (uint8_t)state;
}

/* The node may read the page, or write to it, from now on. */
static void gain(const struct event *v, enum state state)
{
	for (unsigned i = 0; i < v->c->nodes; i++) {
		const struct copy *other = &v->copy[i];

		if (i == v->e->node)
			continue;
		if (state == OWNED && other->state != NONE)
			find(v, TRACE_ONE_WRITER, i, "comes to write to what another node has");
		else if (other->state == OWNED)
			find(v, TRACE_ONE_WRITER, i, "comes to read what another node can write");
		else if (state == OWNED && other->lost > v->e->seen[i])
			find(v, TRACE_ONE_WRITER, i,
			     "comes to write, and no message tells that another node has lost it");
		else if (other->unowned > v->e->seen[i])
			find(v, TRACE_ONE_WRITER, i,
			     "comes to read, and no message tells that another node ceased to "
			     "write");
	}
	set_state(v, state);
}

static bool is_home(const struct event *v)
{
	return v->region->home == v->e->node;
}

/* What a home asks of itself is in no trace. */
static void on_map(const struct event *v)
{
	bool write = v->r->flags & TRACE_WRITE;

	must_have(v, v->own->state == NONE, "maps what it has");
	must(v, is_home(v) || (v->own->granted && (!write || v->own->granted & WIRE_GRANT_WRITE)),
	     TRACE_NO_GRANT, "maps what was not granted");
	gain(v, write ? OWNED : SHARED);
}

static void on_unprotect(const struct event *v)
{
	must_have(v, v->own->state != NONE, "may write to what it does not have");
	if (v->own->state == OWNED)
		return; /* a fault that was served already */
	must(v, is_home(v) || v->own->granted & WIRE_GRANT_WRITE, TRACE_NO_GRANT,
	     "may write, and that was not granted");
	gain(v, OWNED);
}

static void on_effect(const struct event *v)
{
	switch (v->r->kind) {
	case TRACE_MAP:
		on_map(v);
		break;
	case TRACE_UNPROTECT:
		on_unprotect(v);
		break;
	case TRACE_PROTECT:
		must_have(v, v->own->state == OWNED, "protects what it cannot write to");
		set_state(v, v->own->state == NONE ? NONE : SHARED);
		break;
	case TRACE_DROP:
		must_have(v, v->own->state == SHARED, "drops what is not one of several copies");
		set_state(v, NONE);
		break;
	case TRACE_WAKE:
		if (v->region->home != NOBODY)
			must_have(v, v->own->state != NONE, "goes on with what it does not have");
		break;
	default:
		break;
	}
}

/* ---- messages ---- */

static uint64_t bit(unsigned node)
{
	return UINT64_C(1) << node;
}

/* The answer to a request that came here, or to a demand. */
static void answer(const struct event *v, unsigned node)
{
	must(v, v->own->owed & bit(node), TRACE_NO_GRANT, "answers what nobody has asked");
	v->own->owed &= ~bit(node);
}

static void on_sent_grant(const struct event *v)
{
	bool data = v->r->flags & WIRE_GRANT_DATA, write = v->r->flags & WIRE_GRANT_WRITE;

	answer(v, v->r->peer);
	must(v, v->r->peer == v->r->node, TRACE_NO_GRANT, "grants to one what another asked for");
	must(v, data || is_home(v), TRACE_NO_HOME, "grants like a home");
	if (!data)
		return;
	must_have(v, v->own->state != NONE, "sends what it does not have");
	must_have(v, write || v->own->state != OWNED, "sends what it can still write to");
	if (write)
		set_state(v, NONE);
}

static void on_hand_over(const struct event *v)
{
	must(v, is_home(v) || v->region->leaving == v->e->node, TRACE_NO_HOME,
	     "hands over what is not at home there");
	if (is_home(v))
		v->region->home = NOBODY;
	v->region->leaving = (uint8_t)v->e->node;
}

/* A transaction that another node has asked for begins, or goes on. */
static void on_demand(const struct event *v)
{
	bool forwards = v->r->what == WIRE_FWD_GETS || v->r->what == WIRE_FWD_GETM;

	must(v, is_home(v), TRACE_NO_HOME, "asks for what is not at home there");
	if (forwards && v->r->node != v->e->node)
		answer(v, v->r->node);
}

static void on_sent(const struct event *v)
{
	switch (v->r->what) {
	case WIRE_GETS:
	case WIRE_GETM:
		v->own->asked = v->r->what;
		break;
	case WIRE_FWD_GETS:
	case WIRE_FWD_GETM:
	case WIRE_INV:
	case WIRE_DROP:
	case WIRE_URGE:
	case WIRE_REHOME:
		on_demand(v);
		break;
	case WIRE_GRANT:
		on_sent_grant(v);
		break;
	case WIRE_INV_ACK:
	case WIRE_DROPPED:
		must_have(v, v->own->state == NONE, "says that it has lost what it has");
		break;
	case WIRE_DONE:
		must_have(v, v->own->state >= (v->own->granted & WIRE_GRANT_WRITE ? OWNED : SHARED),
			  "is done, and does not have what it was granted");
		break;
	case WIRE_PUT:
		must_have(v, v->own->state != NONE, "offers what it does not have");
		break;
	case WIRE_HOME:
		on_hand_over(v);
		break;
	default:
		break;
	}
}

static void on_received_grant(const struct event *v)
{
	bool write = v->r->flags & WIRE_GRANT_WRITE;

	if (!is_home(v)) {
		must(v, v->own->asked, TRACE_NO_GRANT, "is granted what it has not asked for");
		must(v, write || v->own->asked != WIRE_GETM, TRACE_NO_GRANT,
		     "is granted less than it asked for");
	}
	v->own->asked = 0;
	v->own->granted = (uint8_t)(v->r->flags | WIRE_GRANT_ZERO); /* not 0 */
}

static void on_directory(const struct event *v)
{
	struct region *r = v->region;
	unsigned part = v->page % REGION_BYTES / (WIRE_HOME_PAGES * PAGE_BYTES);

	r->parts |= (uint8_t)(1 << part);
	if (r->parts != 3)
		return;
	must(v, r->home == NOBODY, TRACE_NO_HOME, "becomes home of what has one");
	r->home = (uint8_t)v->e->node;
	r->leaving = NOBODY;
}

static void on_received(const struct event *v)
{
	switch (v->r->what) {
	case WIRE_GETS:
	case WIRE_GETM:
		v->own->owed |= bit(v->r->node);
		break;
	case WIRE_FWD_GETS:
	case WIRE_FWD_GETM:
		v->own->owed |= bit(v->r->node);
		__attribute__((fallthrough));
	case WIRE_INV:
	case WIRE_DROP:
		must(v, v->own->state != NONE, TRACE_NO_HOME,
		     "is asked for a copy that it does not have");
		break;
	case WIRE_GRANT:
		on_received_grant(v);
		break;
	case WIRE_HOME:
		on_directory(v);
		break;
	default:
		break;
	}
}

/* ---- regions ---- */

/* 64 pages are shared from now on: those that have content are their home's. */
static void on_track(struct event *v)
{
	struct region *r = v->region;

	must(v, v->page == r->addr ? r->home == NOBODY : is_home(v), TRACE_NO_HOME,
	     "shares what is shared already");
	r->home = (uint8_t)v->e->node;
	for (unsigned i = 0; i < 64; i++) {
		look_at(v, v->r->addr + i * PAGE_BYTES);
		if (!(v->r->value >> i & 1))
			set_state(v, NONE);
		else if (v->own->state != OWNED)
			gain(v, OWNED);
	}
}

static void on_untrack(struct event *v)
{
	must(v, is_home(v), TRACE_NO_HOME, "takes back what is not at home there");
	v->region->home = NOBODY;
	for (unsigned i = 0; i < REGION_PAGES; i++) {
		look_at(v, v->r->addr + i * PAGE_BYTES);
		gain(v, OWNED);
	}
}

static void on_region(struct event *v)
{
	switch (v->r->kind) {
	case TRACE_TRACK:
		on_track(v);
		break;
	case TRACE_UNTRACK:
		on_untrack(v);
		break;
	case TRACE_CAME:
		v->region->parts = 0;
		break;
	default: /* LEFT: who waits there asks the new home again */
		for (unsigned i = 0; i < REGION_PAGES; i++)
			v->region->copy[i * v->c->nodes + v->e->node].owed = 0;
		break;
	}
}

/* ---- all of it ---- */

static void on_record(struct event *v)
{
	switch (v->r->kind) {
	case TRACE_SENT:
		on_sent(v);
		break;
	case TRACE_RECEIVED:
		on_received(v);
		break;
	case TRACE_TRACK:
	case TRACE_UNTRACK:
	case TRACE_CAME:
	case TRACE_LEFT:
		on_region(v);
		break;
	default:
		on_effect(v);
		break;
	}
}

/* Is it about a page and what nodes have of it? */
static bool concerns(const struct trace_record *r)
{
	return r->kind >= TRACE_SENT && r->kind <= TRACE_LEFT;
}

static bool begin(struct check *c, const struct trace_event *e, struct event *v)
{
	*v = (struct event){.c = c, .e = e, .r = e->record};
	v->region = c->no_memory ? NULL : region_of(c, e->record->addr);
	if (!v->region)
		return false;
	look_at(v, e->record->addr);
	return true;
}

static void on_event(void *ctx, const struct trace_event *e)
{
	struct check *c = ctx;
	struct event v;

	c->verdict.records++;
	if (concerns(e->record) && begin(c, e, &v))
		on_record(&v);
}

static void on_torn(void *ctx, const struct trace_event *e)
{
	struct event v;

	if (begin(ctx, e, &v))
		find(&v, TRACE_TORN, NO_OTHER, "receives what was not sent to it");
}

static void check_free(struct check *c)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct region *r = c->bucket[i], *next; r; r = next) {
			next = r->next;
			free(r);
		}
	free(c);
}

int trace_check(const struct trace_set *set,
		void (*found)(void *ctx, const struct trace_finding *f), void *ctx,
		struct trace_verdict *ret)
{
	static const struct trace_merge_ops ops = {.event = on_event, .torn = on_torn};
	struct check *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return -ENOMEM;
	c->set = set;
	c->nodes = set->nodes;
	c->found = found;
	c->ctx = ctx;
	for (unsigned shard = 0; r == 0 && shard < set->shards; shard++) {
		uint64_t left = 0;

		r = trace_merge(set, shard, &ops, c, &left);
		c->verdict.left += left;
	}
	if (r == 0)
		r = c->no_memory ? -ENOMEM : 0;
	if (r == 0)
		*ret = c->verdict;
	check_free(c);
	return r;
}
