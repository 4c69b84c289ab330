/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/underway.h"
#include "dsm/pagehash.h"

int underway_init(struct underway_table *t, unsigned capacity)
{
	unsigned bits = 1;

	while ((UINT64_C(1) << bits) < capacity)
		bits++;
	t->shift = 64 - bits;
	t->bucket = calloc((size_t)1 << bits, sizeof(t->bucket[0]));
	t->pool = calloc(capacity, sizeof(t->pool[0]));
	if (!t->bucket || !t->pool)
		return -ENOMEM;
	for (unsigned i = capacity; i-- > 0;) {
		t->pool[i].next = t->unused;
		t->unused = &t->pool[i];
	}
	return 0;
}

void underway_free(struct underway_table *t)
{
	free(t->bucket);
	free(t->pool);
}

static struct underway **bucket_of(const struct underway_table *t, uint64_t gpa)
{
	return &t->bucket[page_hash_bits(gpa) >> t->shift];
}

struct underway *underway_find(const struct underway_table *t, uint64_t gpa)
{
	struct underway *u = *bucket_of(t, gpa);

	while (u && u->gpa != gpa)
		u = u->next;
	return u;
}

struct underway *underway_add(struct underway_table *t, uint64_t gpa)
{
	struct underway **bucket = bucket_of(t, gpa), *u = t->unused;

	assert(u);
	t->unused = u->next;
	*u = (struct underway){.gpa = gpa, .next = *bucket};
	*bucket = u;
	return u;
}

void underway_release(struct underway_table *t, struct underway *u)
{
	struct underway **at = bucket_of(t, u->gpa);

	if (u->asked || u->kept)
		return;
	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	u->next = t->unused;
	t->unused = u;
}

void underway_ask(struct underway_table *t, struct underway *u, bool write)
{
	u->asked = true;
	u->write = write;
	u->wanted = u->granted = u->over = false;
	u->acks = 0;
	u->acked = 0;
	t->asked++;
}

void underway_want(struct underway_table *t, struct underway *u)
{
	if (!u->wanted)
		t->wanted++;
	u->wanted = true;
}

void underway_answered(struct underway_table *t, struct underway *u)
{
	if (u->wanted)
		t->wanted--;
	u->asked = false;
	t->asked--;
}

void underway_fault(struct underway *u, bool write, uint64_t now)
{
	if (u->since)
		return;
	u->since = now;
	u->to_write = write;
}

uint64_t underway_woke(struct underway *u, bool writable)
{
	uint64_t since = u->since;

	if (u->to_write && !writable)
		return 0;
	u->since = 0;
	return since;
}
