/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages were taken from this node that it will want back? Pure; the shard's thread.
 *
 * WHY. Nodes that use the same pages take turns with them (dsm/hold.h), and a turn needs most of
 * what the one before it needed: the guest's page tables, its CPUs' stacks, the locks and lists of
 * its kernel. Fetched fault by fault each costs a round trip. So what was taken since this node
 * last waited is asked for again with its next fault, in one message.
 *
 * GUESSES. Two about each page, both learnt from faults: that this node wants it back (it was lost,
 * then faulted on), and that it wants to write to it (it did). The second also makes a read fault
 * ask for the right to write, which saves the second fault of a page that is read and then written.
 * A guess that is right shows in nothing: a page that is here does not fault. So each holds for a
 * number of uses only; then it has to be confirmed by a fault, and holds for twice as many.
 *
 * LIMITS. Fixed tables, direct mapped: a collision forgets. A wrong guess moves a page for nothing,
 * never breaks anything: it is a request like any other.
 */
#ifndef SSIHV_DSM_RECALL_H
#define SSIHV_DSM_RECALL_H

#include "dsm/prefetch.h"

#define RECALL_MAX   192 /* pages between two faults, at most */
#define RECALL_PAGES 4096

struct recall_guess {
	uint8_t left;	/* uses until the next proof; 0: it is not made */
	uint8_t credit; /* uses that the last proof gave */
};

struct recall {
	struct recall_page {
		uint64_t gpa;
		struct recall_guess wanted, written;
		bool lost; /* taken, and neither wanted nor recalled since */
	} page[RECALL_PAGES];
	unsigned at, count;
	uint64_t lost[RECALL_MAX]; /* what recall_next() looks at: [at..count) */
};

/** recall_lost() - the page at @gpa was taken, or the right to write to it. */
void recall_lost(struct recall *r, uint64_t gpa);

/**
 * recall_fault() - a thread of this node waits for the page at @gpa, to write to it if @write
 *
 * Return: should the right to write be asked for?
 */
bool recall_fault(struct recall *r, uint64_t gpa, bool write);

/**
 * recall_next() - what else to ask for along with a fault, the page that was lost first
 *
 * Return: false when there is nothing. A page that was returned is forgotten until it is lost
 * again; what is left waits for the next fault.
 */
bool recall_next(struct recall *r, struct prefetch_page *ret);

#endif
