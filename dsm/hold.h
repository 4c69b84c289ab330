/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hold windows: pages that were mapped a moment ago, and the one INV or FWD each that waits for
 * the end of its window.
 *
 * All windows are equally long and time does not go back, so windows end in the order in which
 * they began: `quiet` (nothing waits) is a FIFO and its expired head is simply forgotten. `loud`
 * (a demand waits) is what tick() serves; it is kept sorted by an insertion from its tail, which is
 * short: a demand seldom waits there for longer than one window.
 *
 * The pool is fixed. When it is full, the oldest quiet window is cut short; when all are loud, the
 * new page gets no window. Windows are for progress, not for correctness.
 */
#ifndef SSIHV_DSM_HOLD_H
#define SSIHV_DSM_HOLD_H

#include "base/list.h"
#include "dsm/pagehash.h"
#include "wire/msg.h"

struct hold {
	struct page_node node;
	struct list link;  /* in quiet, loud or unused */
	uint64_t until;	   /* ns */
	unsigned extended; /* how often */
	bool waits;	   /* `demand` is set */
	struct wire_hdr demand;
};

struct hold_table {
	struct page_hash hash;
	struct hold *pool;
	uint64_t length; /* ns; 0: no windows at all */
	struct list unused, quiet, loud;
};

int hold_init(struct hold_table *t, unsigned capacity, uint64_t length_ns);
void hold_free(struct hold_table *t);

/** hold_begin() - the page was mapped at @now; no demand waits for it. Restarts its window. */
void hold_begin(struct hold_table *t, uint64_t gpa, uint64_t now);

/** hold_demands() - does an INV or FWD wait for the page at @gpa? */
bool hold_demands(const struct hold_table *t, uint64_t gpa);

/**
 * hold_defer() - keep @h until the window of its page ends; none waits yet for this page
 *
 * Return: false when no window is open: the demand is to be served now.
 */
bool hold_defer(struct hold_table *t, const struct wire_hdr *h, uint64_t now);

/** hold_ended() - a page whose window has ended at @now while a demand waits; NULL for none. */
struct hold *hold_ended(const struct hold_table *t, uint64_t now);

/** hold_extend() - another window for @h, which has ended. */
void hold_extend(struct hold_table *t, struct hold *h, uint64_t now);

/** hold_take() - the demand that waits; its window is over. */
struct wire_hdr hold_take(struct hold_table *t, struct hold *h);

/** hold_deadline() - when the next demand's window ends; UINT64_MAX for never. */
uint64_t hold_deadline(const struct hold_table *t);

#endif
