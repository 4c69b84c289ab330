/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages cost a run most, who took them from whom, and what each node did with its time.
 *
 * Counted from the traces as they are, each by itself: a gap makes the counts smaller and nothing
 * else. That a page was used cannot be seen, only that a thread faulted on it; so of what was
 * guessed some is known to be right (`joined`: a thread came to wait for it, or to write to it,
 * while it was under way or here), and some left again without a fault (`unseen`: it was used in
 * silence, or in vain). Of walks the pager itself judges more: `right` and `wrong`, see
 * dsm/stream.h.
 */
#ifndef SSIHV_TRACE_TOP_H
#define SSIHV_TRACE_TOP_H

#include "trace/trace_set.h"

/* Node `to` got the page from `from`: to read, or it took it, to write, and `from` has lost it. */
struct trace_pair {
	uint8_t from, to;
	bool taken;
	uint64_t times;
};

struct trace_hot_page {
	uint64_t page;
	uint64_t reads, writes; /* faults */
	uint64_t waits;		/* of threads that had to wait, */
	uint64_t waited_ns;	/* and for how long in all */
	uint64_t guesses, joined, unseen;
	struct trace_pair *pair; /* the most frequent first */
	unsigned pairs;
	/* While it is counted; bit i: node i. */
	uint64_t dropped, guessed;
	struct trace_hot_page *next;
};

struct trace_node_sum {
	uint64_t records;
	uint64_t ticks; /* from its first record to its last */
	uint64_t reads, writes, waits, waited_ns;
	uint64_t recalls, aheads, joined, unseen; /* guesses */
	uint64_t right, wrong;
	uint64_t turns[TRACE_TURNS], turns_ns; /* that have ended, by why */
	uint64_t got, gave;		       /* pages with their data */
	uint64_t came, left;		       /* regions */
};

struct trace_top {
	unsigned nodes;
	struct trace_node_sum node[MAX_NODES];
	struct trace_hot_page **page; /* by time waited, then by how often it moved */
	size_t pages;
};

/** trace_top() - count. Return: 0, then trace_top_free(); -ENOMEM. */
int trace_top(const struct trace_set *set, struct trace_top *ret);
void trace_top_free(struct trace_top *top);

#endif
