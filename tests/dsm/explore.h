/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All states of a small cluster of real protocol cores, not some schedules of it.
 *
 * THEORY. A state is what all nodes and the network are, as bytes that are the same for any two
 * states which behave alike from now on: pools and hash tables are written page by page, the order
 * of free lists is not. explore_core.c writes a core that way and puts a core into a state that was
 * written; so one core a node is enough, and the core needs no hook. explore_events.c says what may
 * happen to a state, explore_step.c does one event to it, explore_check.c judges the state after
 * it, explore_search.c visits every state that can be reached, nearest first, so that the way to a
 * failure is as short as one can be.
 *
 * EVENTS. The first message of any connection arrives: two nodes have one for each direction, which
 * keeps order; with `reorder` any message, which the protocol does not bear. A node faults on a
 * page, asks for one ahead, offers a copy back (of which one offer may be under way), falls idle,
 * wakes, its turn ends, it acts on the end. The home touches its plain memory, stops tracking it,
 * lets it live at another node, which may refuse. One node may crash: what it sent may arrive or
 * not.
 *
 * TIME is one question: is the turn over? That may become true at any moment (EXPIRE) and is acted
 * on at any later one (TICK), so every length of a turn is covered, yielded ones too. Tickets are
 * renumbered by age. Gaps between them are kept up to what the faults that are left can use up, or
 * up to GAP if faults are not limited; there the order of turns is not exact any more, which is for
 * progress alone.
 *
 * CONTENT of a page is one bit: the last value or not. Whoever may write is taken to have written
 * at once, which is the worst case; a page that is sent may turn out to be all zero (`zeros`).
 *
 * CHECKED in each state: one writer or many readers; what is mapped is the last value; core and
 * mapping agree; each action fits the mapping it meets; no core returns an error (none accuses an
 * honest peer); who waits has something under way, else the state is at rest, and at rest the
 * directory agrees with all copies and nobody waits. From some states (DRAIN_EVERY) the network is
 * emptied without new faults, which must end at rest.
 *
 * LIMITS. States are remembered by 64 bits of a hash: two may be mistaken for one, and what only
 * the second leads to is missed; for 10 million states the probability is 3e-6. A crashed node is
 * one that no event happens to any more; that the others are told and stop is the driver's part.
 */
#ifndef SSIHV_TESTS_DSM_EXPLORE_H
#define SSIHV_TESTS_DSM_EXPLORE_H

#include <stdio.h>

#include "dsm/directory.h"
#include "dsm/proto.h"

#define XP_NODES     4
#define XP_PAGES     2
#define XP_MESSAGES  48
#define XP_UNLIMITED 255

struct xp_config {
	unsigned nodes, pages;
	bool apart;	      /* the pages have different homes, else node 0 */
	bool reorder;	      /* messages between two nodes overtake each other */
	bool turns;	      /* hold pages */
	bool zeros;	      /* a page that is sent may be all zero */
	bool idle;	      /* nodes fall idle and wake */
	bool crash;	      /* one node may crash */
	bool untrack;	      /* homes stop tracking what nobody else has */
	bool refuse;	      /* a node may refuse to be a page's new home */
	unsigned max_pending; /* of the cores */
	unsigned faults, prefetches, puts, moves; /* that each node may make, or XP_UNLIMITED */
	unsigned max_states;
};

/* What a core knows of one page, and what the node has mapped. */
struct xp_page {
	uint8_t tracked, sharers, owner, requester, ticket, copy; /* home only, but `copy` */
	uint8_t queued;						  /* home only */
	struct {
		uint8_t node, ticket, write;
	} queue[XP_NODES];	       /* who is served may ask again before its DONE arrives */
	uint8_t pending, acked, acks;  /* `pending`: XP_ASKED and others */
	uint8_t hold, place;	       /* enum xp_hold; place in the list */
	uint8_t granted_now;	       /* in this turn */
	uint8_t type, node, need;      /* the demand: type, requester, acks */
	uint8_t dticket, dticket_node; /* the demand: ticket */
	uint8_t home;		       /* as the node knows it */
	uint8_t state, from, parts;    /* of the region: struct region */
	uint8_t mapped;		       /* XP_PRESENT and others */
	uint8_t waits;		       /* a thread waits for the page */
};

enum { XP_ASKED = 1, XP_ASKED_WRITE = 2, XP_WANTED = 4, XP_GRANTED = 8 };
enum { XP_PRESENT = 1, XP_WRITABLE = 2, XP_FRESH = 4 };
enum xp_hold { XP_NO_HOLD, XP_QUIET, XP_LOUD, XP_DUE };

struct xp_node {
	struct xp_page page[XP_PAGES];
	uint8_t ticket, newest, idle, ran, first_ran, over; /* the turn */
	uint8_t faults, prefetches, puts, moves;	    /* left */
	uint8_t leaves, told, leaves_to, waiting, leaving;  /* struct move; `leaving`: page */
	uint8_t crashed;
};

struct xp_message {
	uint8_t from, to, page, type, flags, node, ticket, acks, ticket_node, fresh;
	uint8_t part, sharers, owner; /* of HOME */
};

struct xp_state {
	struct xp_node node[XP_NODES];
	uint8_t written[XP_PAGES]; /* somebody has written to the page */
	uint8_t crashed;	   /* somebody has */
	uint8_t messages;
	struct xp_message message[XP_MESSAGES];
};

static inline size_t xp_bytes(const struct xp_state *s)
{
	return offsetof(struct xp_state, message) + s->messages * sizeof(s->message[0]);
}

struct xp_event {
	uint8_t kind; /* enum xp_kind */
	uint8_t node;
	uint8_t at;   /* page, or index of the message */
	uint8_t mode; /* XP_WRITE, XP_ZERO, XP_REFUSE; of XP_MOVE: the new home */
};

enum xp_kind {
	XP_DELIVER,
	XP_TICK,
	XP_EXPIRE,
	XP_FAULT,
	XP_PREFETCH,
	XP_PUT,
	XP_UNTRACK,
	XP_MOVE,
	XP_TOUCH,
	XP_IDLE,
	XP_CRASH,
	XP_LOSE,
	XP_KINDS,
};

enum { XP_WRITE = 1, XP_ZERO = 2, XP_REFUSE = 4 };

/* One core a node, which is put into a state for each event; nothing of it lasts but memory. */
struct xp_core {
	struct dsm_proto *proto;
	/* Tables of the pages' regions, as they have them where they are at home, and elsewhere. */
	struct home_entry *table[XP_PAGES];
	uint8_t *bytes[XP_PAGES];
	void *lent[XP_PAGES]; /* which of the two, for the event that happens; NULL: none */
	struct explorer *x;
	unsigned self;
};

struct explorer {
	struct xp_config cfg;
	struct xp_core core[XP_NODES];
	struct xp_state *state; /* that an event is happening to */
	bool zero;		/* pages that are sent now are all zero */
	bool refuse;		/* no region may come */
	bool sent_page;		/* a page was sent in this event */
	char failure[200];	/* empty while all is well */
	uint64_t events, rests;
};

/* The guest-physical address of a page; pages lie in regions of their own. */
uint64_t xp_gpa(unsigned page);
unsigned xp_home(const struct explorer *x, unsigned page); /* the first one */
int xp_fail(struct explorer *x, const char *fmt, ...) _printf_(2, 3);

/* explore_core.c */
int xp_core_new(struct explorer *x, unsigned self, dsm_emit_fn emit, struct xp_core *ret);
void xp_core_free(struct xp_core *c);
void xp_core_put(struct xp_core *c, const struct xp_node *n);
/* Return: 0; -ENOMEM. */
int xp_core_get(struct xp_core *c, struct xp_node *n);
uint64_t xp_now(void);

/* explore_step.c */
int xp_emit(void *ctx, const struct dsm_action *a);
/* Does @e to @s and makes the result canonical. Return: 0; -EIO with x->failure. */
int xp_step(struct explorer *x, struct xp_state *s, struct xp_event e);

/* explore_events.c */
void xp_first(struct explorer *x, struct xp_state *ret);
/* All events that may happen to @s, up to @max. Return: how many. */
unsigned xp_events(const struct explorer *x, const struct xp_state *s, struct xp_event *ret,
		   unsigned max);
/* Is nothing under way but what needs a new fault? */
bool xp_at_rest(const struct explorer *x, const struct xp_state *s);

/* explore_check.c: of a state that xp_step() made. Return: 0; -EIO with x->failure. */
int xp_check(struct explorer *x, const struct xp_state *s);

/* explore_search.c */
struct xp_result {
	uint64_t states, events, rests;
	unsigned depth;
	bool complete;
};
/* Return: 0; -EIO with x->failure, and the way to it on @out; -ENOMEM. */
int xp_search(struct explorer *x, struct xp_result *ret, FILE *out);
void xp_print_event(const struct xp_state *s, struct xp_event e, FILE *out);

#endif
