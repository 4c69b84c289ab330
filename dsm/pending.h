/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of this node that wait for an answer: at most one a page, a fixed number in all. */
#ifndef SSIHV_DSM_PENDING_H
#define SSIHV_DSM_PENDING_H

#include "dsm/pagehash.h"

struct pending {
	struct page_link node;
	uint64_t acked; /* nodes whose INV_ACK has come; it may come before the grant */
	uint16_t acks;	/* how many must come; known once granted */
	bool write;
	bool wanted;  /* a thread waits for it, it is no prefetch */
	bool granted; /* the page is mapped read-only or was so: only acks are missing */
	bool over;    /* for the home, since it has granted: no DONE */
};

struct pending_table {
	struct page_hash hash;
	struct pending *pool;
	struct page_link *unused;
	unsigned count; /* in use */
	unsigned wanted;
};

int pending_init(struct pending_table *t, unsigned capacity);
void pending_free(struct pending_table *t);

/** pending_find() - the request for the page at @gpa, or NULL. */
struct pending *pending_find(const struct pending_table *t, uint64_t gpa);

/** pending_add() - a new request; the page has none. Return: NULL when the table is full. */
struct pending *pending_add(struct pending_table *t, uint64_t gpa, bool write);

/** pending_want() - a thread waits for @p from now on. */
void pending_want(struct pending_table *t, struct pending *p);

void pending_del(struct pending_table *t, struct pending *p);

#endif
