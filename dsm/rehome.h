/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which region at home here should live at another node? Pure; the shard's thread.
 *
 * WHY. Where a region is at home, pages that nobody has are there at once, and what others have is
 * one message less away. A node that keeps few copies (dsm/evict.h) never gives back what is at
 * home there. So a region goes to the node that uses it most (dsm/proto_move.c).
 *
 * RULE. Use is seen by requests: those of other nodes, and the home's own faults. Each region has a
 * leader and a score (a majority vote in one pass): a request of the leader raises it, one of any
 * other node lowers it, and at 0 who asks next leads. At `lead` the region is named, unless this
 * node leads. The score stays there, so that another use shows after twice as many requests. What
 * the home touches without a fault does not count: it costs nothing and, as copies stay where they
 * are, costs nothing after the move either.
 *
 * What a third node asks for and the leader owns counts for the leader: at home there it would be
 * one message nearer. What the home itself asks for never does: to it the way is the same.
 *
 * HOW MANY. A move costs as much as three or four faults, or as forty pages of a sequential read.
 * HOMES_LEAD requests, each page of a region twice, are so many more that moves in vain do not
 * show; and a node that reads through memory once moves nothing, nor do two that take turns with
 * all of it. Back where it was at home first a region goes for a quarter of `lead`: only there can
 * it become plain memory again (dsm/usage.h), and who has fetched all of it asks no more.
 *
 * PEACE. A region that has begun to move, was refused, came here, or was busy REHOME_TRIES times,
 * rests: nothing is counted for `rest` ns. One region is named each REHOME_PAUSE_NS at most; it
 * stays named until the caller tells what became of it.
 *
 * COST. 16 bytes a region of the address space, in memory that costs nothing until it is written
 * to. Each call is O(1). Where more than REHOME_MAX regions are named the next has to ask again.
 */
#ifndef SSIHV_DSM_REHOME_H
#define SSIHV_DSM_REHOME_H

#include "base/base.h"

#define REHOME_PAUSE_NS NSEC_PER_MSEC
#define REHOME_TRIES	32
#define REHOME_MAX	16

struct rehome_region {
	uint64_t rests; /* ns: nothing is counted before */
	uint16_t score; /* `lead` at most */
	uint8_t leader; /* node, if there is a score */
	uint8_t tries;	/* counted from 1 while it is named; 0: it is not */
	bool back;	/* the leader is where it was at home first */
};
static_assert(sizeof(struct rehome_region) == 16, "the cost of a region");
static_assert(MAX_NODES <= UINT8_MAX && REHOME_TRIES < UINT8_MAX && 2 * MAX_HOMES_LEAD < UINT16_MAX,
	      "fits");

struct rehome {
	unsigned self, lead; /* lead: 0: never */
	uint64_t rest;	     /* ns */
	struct rehome_region *region;
	uint32_t named[REHOME_MAX]; /* a ring */
	unsigned first, count;
	uint64_t pause; /* ns: nothing is named before */
};

/**
 * rehome_init() - for guest addresses below @gpa_end and node @self
 * @lead: requests by which a node has to lead; 0: no region is named, ever
 * @rest: ns
 *
 * Return: 0; -ENOMEM; -EINVAL for a @lead above MAX_HOMES_LEAD.
 */
int rehome_init(struct rehome *r, uint64_t gpa_end, unsigned self, unsigned lead, uint64_t rest);
void rehome_free(struct rehome *r);

struct rehome_request {
	unsigned node;	/* who asks; it may be this one */
	int owner;	/* who could write to the page before, if it matters; -1: nobody */
	unsigned first; /* where the page was at home at the start */
};

/** rehome_doubts() - does it matter who could write to the page at @gpa that @node asks for? */
bool rehome_doubts(const struct rehome *r, uint64_t gpa, unsigned node);

/** rehome_asked() - for the page at @gpa, which is at home here. */
void rehome_asked(struct rehome *r, uint64_t gpa, const struct rehome_request *request,
		  uint64_t now);

/** rehome_candidate() - the region at *@gpa should go to *@to. Return: is there one? */
bool rehome_candidate(struct rehome *r, uint64_t now, uint64_t *gpa, unsigned *to);

/**
 * rehome_tried() - what became of the candidate that was named last
 * @over: it begins to move, or shall stay; else it was busy, and will be named again
 */
void rehome_tried(struct rehome *r, bool over, uint64_t now);

/** rehome_came() - the region at @gpa is at home here from now on. */
void rehome_came(struct rehome *r, uint64_t gpa, uint64_t now);

/** rehome_deadline() - when rehome_candidate() may have something; UINT64_MAX for never. */
uint64_t rehome_deadline(const struct rehome *r);

#endif
