/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/hold.h"

#define WAIT_MAX 32 /* lengths that a turn may last before its node has run at all */
#define RUN_MAX	 4  /* lengths that it may last after that, whatever else the node waits for */
#define YIELDED	 16 /* a turn that was yielded runs for a length divided by this */

int hold_init(struct hold_table *t, unsigned capacity, uint64_t length_ns, unsigned self)
{
	list_init(&t->unused);
	list_init(&t->quiet);
	list_init(&t->loud);
	list_init(&t->due);
	t->length = length_ns;
	t->self = (uint8_t)self;
	t->pool = calloc(capacity, sizeof(t->pool[0]));
	if (!t->pool)
		return -ENOMEM;
	for (unsigned i = 0; i < capacity; i++)
		list_add_tail(&t->unused, &t->pool[i].link);
	return page_hash_init(&t->hash, capacity);
}

void hold_free(struct hold_table *t)
{
	page_hash_free(&t->hash);
	free(t->pool);
}

static void end_turn(struct hold_table *t)
{
	t->ticket = 0;
	t->ran = t->first_ran = 0;
	t->yielded = false;
}

/* When the turn is over, as far as is known now. */
static uint64_t turn_end(const struct hold_table *t)
{
	if (t->idle || !t->ticket)
		return 0;
	if (!t->first_ran)
		return t->began + WAIT_MAX * t->length;
	uint64_t last = t->first_ran + RUN_MAX * t->length;
	uint64_t length = t->yielded ? t->length / YIELDED : t->length;
	return t->ran ? MIN(t->ran + length, last) : last;
}

static struct ticket ticket_of(const struct wire_hdr *demand)
{
	return (struct ticket){.number = demand->ticket, .node = demand->ticket_node};
}

/* Does the turn for which @demand is made come before this node's, which waits as well? */
static bool goes_first(const struct hold_table *t, const struct wire_hdr *demand)
{
	const struct ticket own = {.number = t->ticket, .node = t->self};

	return ticket_older(ticket_of(demand), own);
}

/* The node waits again: it no longer comes before those with an older ticket. */
static void give_precedence(struct hold_table *t)
{
	list_for_each_safe (l, &t->loud) {
		struct hold *h = container_of(l, struct hold, link);

		if (goes_first(t, &h->demand)) {
			list_del(&h->link);
			list_add_tail(&t->due, &h->link);
		}
	}
}

void hold_wait(struct hold_table *t, uint64_t now)
{
	if (turn_end(t) <= now)
		end_turn(t);
	if (t->ran)
		give_precedence(t);
	if (!t->ticket) {
		t->ticket = t->newest = ticket_next(t->newest);
		t->began = now;
	}
	t->ran = 0;
}

void hold_run(struct hold_table *t, uint64_t now)
{
	if (!t->ticket)
		return;
	t->ran = now;
	if (!t->first_ran)
		t->first_ran = now;
}

void hold_yield(struct hold_table *t)
{
	t->yielded = t->ticket;
}

void hold_saw(struct hold_table *t, uint8_t ticket)
{
	const struct ticket seen = {.number = ticket}, newest = {.number = t->newest};

	if (ticket && (!t->newest || ticket_older(newest, seen)))
		t->newest = ticket;
}

static struct hold *first(const struct list *l)
{
	struct list *item = list_first(l);

	return item ? container_of(item, struct hold, link) : NULL;
}

static struct hold *find(const struct hold_table *t, uint64_t gpa)
{
	struct page_link *n = page_hash_find(&t->hash, gpa);

	return n ? container_of(n, struct hold, node) : NULL;
}

static void forget(struct hold_table *t, struct hold *h)
{
	page_hash_del(&t->hash, &h->node);
	list_del(&h->link);
	list_add_tail(&t->unused, &h->link);
}

void hold_begin(struct hold_table *t, uint64_t gpa, uint64_t now)
{
	struct hold *h = find(t, gpa);

	if (!t->length)
		return;
	if (!h) {
		if (list_empty(&t->unused) && first(&t->quiet))
			forget(t, first(&t->quiet));
		h = first(&t->unused);
		if (!h)
			return;
		h->node.gpa = gpa;
		h->waits = false;
		page_hash_add(&t->hash, &h->node);
	}
	h->granted = now;
	list_del(&h->link);
	list_add_tail(&t->quiet, &h->link);
}

struct hold *hold_demand(const struct hold_table *t, uint64_t gpa)
{
	struct hold *h = find(t, gpa);

	return h && h->waits ? h : NULL;
}

bool hold_defer(struct hold_table *t, const struct wire_hdr *demand, uint64_t now)
{
	struct hold *h = find(t, demand->addr);

	if (!h)
		return false;
	if (turn_end(t) <= now || h->granted < t->began || (!t->ran && goes_first(t, demand))) {
		forget(t, h);
		return false;
	}
	h->waits = true;
	h->demand = *demand;
	list_del(&h->link);
	list_add_tail(&t->loud, &h->link);
	return true;
}

void hold_urge(struct hold_table *t, uint64_t gpa, struct ticket ticket)
{
	struct hold *h = find(t, gpa);

	if (!h || !h->waits || !ticket_older(ticket, ticket_of(&h->demand)))
		return;
	h->demand.ticket = ticket.number;
	h->demand.ticket_node = ticket.node;
	if (!t->ran)
		give_precedence(t);
}

/*
 * When the first demand that waits has waited enough. One of an earlier turn has: the next turn
 * began before its end was acted on. Such demands are the first, as they came before it.
 */
static uint64_t first_end(const struct hold_table *t)
{
	const struct hold *h = first(&t->loud);

	if (!list_empty(&t->due))
		return 0;
	if (!h)
		return UINT64_MAX;
	return h->granted < t->began ? 0 : turn_end(t);
}

struct hold *hold_ended(struct hold_table *t, uint64_t now)
{
	if (!list_empty(&t->due))
		return first(&t->due);
	return first_end(t) <= now ? first(&t->loud) : NULL;
}

struct wire_hdr hold_take(struct hold_table *t, struct hold *h)
{
	struct wire_hdr demand = h->demand;

	forget(t, h);
	return demand;
}

uint64_t hold_deadline(const struct hold_table *t)
{
	return first_end(t);
}
