/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the object that belongs to a page. Objects embed a page_link and live in a pool of their
 * owner; nothing is allocated after start. With at least as many buckets as objects a look-up is
 * one or two steps, whatever the guest touches (the hash is multiplicative: strides do not pile
 * up).
 */
#ifndef SSIHV_DSM_PAGEHASH_H
#define SSIHV_DSM_PAGEHASH_H

#include "base/base.h"

/* Fibonacci hashing: by 2^64 / golden ratio. The upper bits are the good ones. */
static inline uint64_t page_hash_bits(uint64_t gpa)
{
	return (gpa >> PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15);
}

struct page_link {
	uint64_t gpa; /* page aligned */
	struct page_link *next;
};

struct page_hash {
	struct page_link **bucket;
	unsigned shift; /* 64 - log2(buckets) */
};

/** page_hash_init() - empty, for about @capacity objects (at least 1). Return: 0; -ENOMEM. */
int page_hash_init(struct page_hash *h, size_t capacity);
void page_hash_free(struct page_hash *h);

/** page_hash_find() - the object of the page at @gpa (page aligned), or NULL. */
struct page_link *page_hash_find(const struct page_hash *h, uint64_t gpa);

/** page_hash_add() - @n->gpa is set and not in the table. */
void page_hash_add(struct page_hash *h, struct page_link *n);

/** page_hash_del() - @n is in the table. */
void page_hash_del(struct page_hash *h, struct page_link *n);

#endif
