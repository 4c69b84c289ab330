/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages were taken from this node that it will want back? Pure; the shard's thread.
 *
 * WHY. Nodes that use the same pages take turns with them (dsm/hold.h), and a turn needs most of
 * what the one before it needed: the guest's page tables, its CPUs' stacks, the locks and lists of
 * its kernel. Fetched fault by fault each costs a round trip. So what was taken since this node
 * last waited is asked for again with its next fault, in one message.
 *
 * RULE. A page is recalled once it was lost and then faulted on. That holds for some recalls only:
 * a page that is here does not fault, so nobody can tell whether it is still wanted. Then it is
 * left out, and comes back into the set when it faults, for twice as many recalls. A page is asked
 * for as it was had, to read or to write.
 *
 * LIMITS. Fixed tables, direct mapped: a collision forgets. A wrong guess moves a page for nothing,
 * never breaks anything: it is a request like any other.
 */
#ifndef SSIHV_DSM_RECALL_H
#define SSIHV_DSM_RECALL_H

#include "dsm/prefetch.h"

#define RECALL_MAX   64 /* pages asked for at once */
#define RECALL_PAGES 2048

struct recall {
	struct recall_page {
		uint64_t gpa;
		bool lost;     /* taken, and neither wanted nor recalled since */
		bool write;    /* how it was had */
		uint8_t trust; /* faults that confirmed it */
		uint16_t left; /* recalls until it has to fault again */
	} page[RECALL_PAGES];
	unsigned count;
	uint64_t lost[RECALL_MAX]; /* what recall_take() looks at */
};

/** recall_lost() - the page at @gpa was taken, or (@write) at least the right to write to it. */
void recall_lost(struct recall *r, uint64_t gpa, bool write);

/** recall_fault() - a thread of this node waits for the page at @gpa. */
void recall_fault(struct recall *r, uint64_t gpa);

/**
 * recall_take() - what to ask for along with a fault
 * @ret: room for RECALL_MAX pages
 *
 * Return: number of pages in @ret. They are forgotten until they are lost again.
 */
unsigned recall_take(struct recall *r, struct prefetch_page *ret);

#endif
