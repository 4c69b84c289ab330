/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/pending.h"

int pending_init(struct pending_table *t, unsigned capacity)
{
	t->pool = calloc(capacity, sizeof(t->pool[0]));
	if (!t->pool)
		return -ENOMEM;
	for (unsigned i = 0; i < capacity; i++) {
		t->pool[i].node.next = t->unused;
		t->unused = &t->pool[i].node;
	}
	return page_hash_init(&t->hash, capacity);
}

void pending_free(struct pending_table *t)
{
	page_hash_free(&t->hash);
	free(t->pool);
}

struct pending *pending_find(const struct pending_table *t, uint64_t gpa)
{
	struct page_link *n = page_hash_find(&t->hash, gpa);

	return n ? container_of(n, struct pending, node) : NULL;
}

struct pending *pending_add(struct pending_table *t, uint64_t gpa, bool write)
{
	struct pending *p;

	if (!t->unused)
		return NULL;
	p = container_of(t->unused, struct pending, node);
	t->unused = p->node.next;
	*p = (struct pending){.node.gpa = gpa, .write = write};
	page_hash_add(&t->hash, &p->node);
	t->count++;
	return p;
}

void pending_want(struct pending_table *t, struct pending *p)
{
	if (!p->wanted)
		t->wanted++;
	p->wanted = true;
}

void pending_del(struct pending_table *t, struct pending *p)
{
	page_hash_del(&t->hash, &p->node);
	if (p->wanted)
		t->wanted--;
	p->node.next = t->unused;
	t->unused = &p->node;
	t->count--;
}
