/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/pagehash.h"

int page_hash_init(struct page_hash *h, size_t capacity)
{
	unsigned bits = 1;

	while ((UINT64_C(1) << bits) < capacity)
		bits++;
	h->bucket = calloc((size_t)1 << bits, sizeof(h->bucket[0]));
	h->shift = 64 - bits;
	return h->bucket ? 0 : -ENOMEM;
}

void page_hash_free(struct page_hash *h)
{
	free(h->bucket);
	h->bucket = NULL;
}

static struct page_link **bucket_of(const struct page_hash *h, uint64_t gpa)
{
	return &h->bucket[page_hash_bits(gpa) >> h->shift];
}

struct page_link *page_hash_find(const struct page_hash *h, uint64_t gpa)
{
	struct page_link *n = *bucket_of(h, gpa);

	while (n && n->gpa != gpa)
		n = n->next;
	return n;
}

void page_hash_add(struct page_hash *h, struct page_link *n)
{
	struct page_link **bucket = bucket_of(h, n->gpa);

	n->next = *bucket;
	*bucket = n;
}

void page_hash_del(struct page_hash *h, struct page_link *n)
{
	struct page_link **at = bucket_of(h, n->gpa);

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
}
