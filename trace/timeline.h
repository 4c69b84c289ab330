/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nodes did, and who had the hottest pages, over the time of a run.
 *
 * The time from the first record of any node to the last is divided into columns, always as many,
 * so that what comes of a trace does not grow with it. What happens is counted in its column; what
 * lasts is told as its share of each column: 0.5 of a page's lane is half the column's time, 3 of a
 * node's waiting that three of its threads waited all the while.
 *
 * Nodes are compared as far as the cluster's clock is right, which is finer than a column can show
 * unless the trace is a very short one. Where records are missing, nothing is told of who had a
 * page until the next that says so. Nor is it before a page is shared for the first time: its home
 * had it for itself then, if anybody.
 */
#ifndef SSIHV_TRACE_TIMELINE_H
#define SSIHV_TRACE_TIMELINE_H

#include "trace/top.h"

#define TIMELINE_COLUMNS 1200
#define TIMELINE_LANES	 256 /* of all pages and nodes */

/* What lasts. `step` is of use while it is made only. */
struct timeline_band {
	float share[TIMELINE_COLUMNS];
	int32_t step[TIMELINE_COLUMNS + 1];
};

enum timeline_count {
	TIMELINE_FAULTS,
	TIMELINE_GUESSES,
	TIMELINE_RIGHT, /* guesses, as the pager judged */
	TIMELINE_WRONG,
	TIMELINE_GOT, /* pages with their data */
	TIMELINE_GAVE,
	TIMELINE_COUNTS,
};

/* A turn of which the trace does not tell why it ended, if it did. */
#define TIMELINE_TURN_OPEN  TRACE_TURNS
#define TIMELINE_TURN_KINDS (TRACE_TURNS + 1)

struct timeline_node {
	uint64_t count[TIMELINE_COUNTS][TIMELINE_COLUMNS];
	struct timeline_band waiting; /* threads */
	struct timeline_band turn[TIMELINE_TURN_KINDS];
};

/* Of one page on one node. */
struct timeline_lane {
	struct timeline_band write, read; /* it could */
	uint32_t came[TIMELINE_COLUMNS];  /* how often it was mapped, or made writable */
};

struct timeline {
	unsigned nodes;
	double ms;	/* all columns */
	double wide;	/* ticks of one column */
	uint64_t first; /* tick */
	uint64_t last;
	struct timeline_node *node;
	const struct trace_top *top; /* the pages are its first ones */
	size_t pages;
	struct timeline_lane *lane; /* of page i on node j: i * nodes + j */
};

/**
 * trace_timeline() - make it
 * @top:   of the same traces; must outlive @ret
 * @pages: how many of its pages; fewer where TIMELINE_LANES or @top have no more
 *
 * Return: 0, then trace_timeline_free(); -ENOMEM.
 */
int trace_timeline(const struct trace_set *set, const struct trace_top *top, size_t pages,
		   struct timeline *ret);
void trace_timeline_free(struct timeline *t);

#endif
