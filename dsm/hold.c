/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/hold.h"

int hold_init(struct hold_table *t, unsigned capacity, uint64_t length_ns)
{
	list_init(&t->unused);
	list_init(&t->quiet);
	list_init(&t->loud);
	t->length = length_ns;
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

static struct hold *first(const struct list *l)
{
	struct list *item = list_first(l);

	return item ? container_of(item, struct hold, link) : NULL;
}

static struct hold *find(const struct hold_table *t, uint64_t gpa)
{
	struct page_node *n = page_hash_find(&t->hash, gpa);

	return n ? container_of(n, struct hold, node) : NULL;
}

static void end(struct hold_table *t, struct hold *h)
{
	page_hash_del(&t->hash, &h->node);
	list_del(&h->link);
	list_add_tail(&t->unused, &h->link);
}

/* When the window of @h ends, as far as is known now. */
static uint64_t window_end(const struct hold_table *t, const struct hold *h)
{
	if (t->idle)
		return 0;
	return MIN(t->newest + t->length, h->granted + HOLD_STRETCH * t->length);
}

void hold_begin(struct hold_table *t, uint64_t gpa, uint64_t now)
{
	struct hold *h = find(t, gpa), *oldest = first(&t->quiet);

	if (!t->length)
		return;
	if (!h) {
		if (oldest && (window_end(t, oldest) <= now || list_empty(&t->unused)))
			end(t, oldest);
		h = first(&t->unused);
		if (!h)
			return;
		h->node.gpa = gpa;
		h->waits = false;
		page_hash_add(&t->hash, &h->node);
	}
	h->granted = t->newest = now;
	h->extended = 0;
	list_del(&h->link);
	list_add_tail(&t->quiet, &h->link);
}

bool hold_demands(const struct hold_table *t, uint64_t gpa)
{
	struct hold *h = find(t, gpa);

	return h && h->waits;
}

static void insert_by_end(struct list *l, struct hold *h)
{
	struct list *before = l->prev;

	while (before != l && container_of(before, struct hold, link)->until > h->until)
		before = before->prev;
	list_add_tail(before->next, &h->link);
}

bool hold_defer(struct hold_table *t, const struct wire_hdr *demand, uint64_t now)
{
	struct hold *h = find(t, demand->addr);

	if (!h)
		return false;
	h->until = window_end(t, h);
	if (h->until <= now) {
		end(t, h);
		return false;
	}
	h->waits = true;
	h->demand = *demand;
	list_del(&h->link);
	insert_by_end(&t->loud, h);
	return true;
}

static void move_end(struct hold_table *t, struct hold *h, uint64_t until)
{
	h->until = until;
	list_del(&h->link);
	insert_by_end(&t->loud, h);
}

struct hold *hold_ended(struct hold_table *t, uint64_t now)
{
	struct hold *h;

	while ((h = first(&t->loud)) != NULL && (h->until <= now || t->idle)) {
		uint64_t until = window_end(t, h);

		if (until <= now)
			return h;
		move_end(t, h, until);
	}
	return NULL;
}

void hold_extend(struct hold_table *t, struct hold *h, uint64_t now)
{
	h->extended++;
	move_end(t, h, now + t->length);
}

struct wire_hdr hold_take(struct hold_table *t, struct hold *h)
{
	struct wire_hdr demand = h->demand;

	end(t, h);
	return demand;
}

uint64_t hold_deadline(const struct hold_table *t)
{
	const struct hold *h = first(&t->loud);

	if (!h)
		return UINT64_MAX;
	return t->idle ? 0 : h->until;
}
