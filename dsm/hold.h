/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hold windows: pages that were mapped a moment ago, and the one INV or FWD each that waits for
 * the end of its window.
 *
 * A window lasts for `length` after the newest mapping of any page here, but at most for
 * HOLD_STRETCH * length after its own: pages that an access needs together come one after the other
 * and must all stay until it has had its time with the last of them. So they also leave together.
 *
 * `quiet` (nothing waits) is a FIFO by begin whose old head is simply forgotten. `loud` (a demand
 * waits) is what tick() serves; it is kept sorted by the end that was known when a demand was put
 * there, by an insertion from its tail, which is short; hold_ended() looks again whether that end
 * has moved.
 *
 * The pool is fixed. When it is full, the oldest quiet window is cut short; when all are loud, the
 * new page gets no window. Windows are for progress, not for correctness.
 */
#ifndef SSIHV_DSM_HOLD_H
#define SSIHV_DSM_HOLD_H

#include "base/list.h"
#include "dsm/pagehash.h"
#include "wire/msg.h"

#define HOLD_STRETCH 4

struct hold {
	struct page_node node;
	struct list link;  /* in quiet, loud or unused */
	uint64_t granted;  /* ns, when the page was mapped */
	uint64_t until;	   /* ns, end of the window as last looked at */
	unsigned extended; /* how often */
	bool waits;	   /* `demand` is set */
	struct wire_hdr demand;
};

struct hold_table {
	struct page_hash hash;
	struct hold *pool;
	uint64_t length; /* ns; 0: no windows at all */
	uint64_t newest; /* ns, when a page was last mapped */
	bool idle;	 /* nobody here would use a page: no window is open */
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
struct hold *hold_ended(struct hold_table *t, uint64_t now);

/** hold_extend() - another window for @h, which has ended. */
void hold_extend(struct hold_table *t, struct hold *h, uint64_t now);

/** hold_take() - the demand that waits; its window is over. */
struct wire_hdr hold_take(struct hold_table *t, struct hold *h);

/** hold_deadline() - when the next demand's window ends; UINT64_MAX for never. */
uint64_t hold_deadline(const struct hold_table *t);

#endif
