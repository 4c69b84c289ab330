/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the protocol core: proto.c (entry points, messages to self), proto_home.c (directory
 * and queue), proto_put.c (copies that go back), proto_region.c, proto_move.c (regions) and
 * proto_cache.c (this node's copies: requester, sharer, owner).
 *
 * An event is about one page, which is looked up once: proto_enter() finds its home, its entry or
 * copy, and its record (dsm/underway.h), and all that handles the event, up to what the core says
 * to itself, is handed that.
 *
 * Every handler checks the whole message against the state first and returns -EPROTO; from its
 * first change on it can only fail for good (`dead`). A handler sends at most one message to self,
 * which proto.c handles after it: one slot is enough and nothing recurses. Why one: a request, a
 * DONE and what the home's own copy answers leave at most one transaction under way, and only that
 * one may ask something of this node: GRANT, INV or FWD; a GRANT or the last INV_ACK answers with
 * one DONE; INV and FWD answer the requester, which is never the node whose copy they want.
 * Where requests for all pages of a region begin, each is handled before the next.
 */
#ifndef SSIHV_DSM_PROTO_IMPL_H
#define SSIHV_DSM_PROTO_IMPL_H

#include "dsm/directory.h"
#include "dsm/hold.h"
#include "dsm/proto.h"
#include "dsm/requests.h"
#include "dsm/underway.h"

enum region_state {
	REGION_SETTLED,
	REGION_LEAVING,	 /* its home is this node, and none of its transactions begins */
	REGION_ARRIVING, /* its home is this node, and none begins before the directory is here */
};

struct region {
	uint8_t home;  /* counted from 1; 0: where the configuration has it */
	uint8_t state; /* enum region_state */
	uint8_t from;  /* ARRIVING: the old home */
	uint8_t parts; /* ARRIVING: of the directory that are here, as bits */
};

/* The region that is leaving. */
struct move {
	bool active;
	bool told;	  /* all others, too; not only the new home */
	uint8_t to;	  /* the new home */
	uint64_t waiting; /* nodes that must answer REHOME */
	uint64_t region;
};

struct dsm_proto {
	struct dsm_proto_config cfg;
	struct directory dir;
	struct underway_table underway;
	struct turn turn;
	struct request_pool requests;
	struct region *region; /* never written to: never in memory */
	struct move move;
	struct dsm_stats stats;
	struct wire_hdr to_self;
	bool has_to_self;
	int dead; /* the error that ended this core, 0 while it lives */
};

/* The page that an event is about: what is known of it here. Good until proto_leave(). */
struct page_ref {
	uint64_t gpa;
	unsigned home;
	struct home_entry *entry; /* at home here and tracked; else NULL */
	uint8_t *copy;		  /* this node's: enum dsm_copy; NULL: no table, see page_copy() */
	struct underway *under;	  /* NULL: nothing is under way */
};

/*
 * proto.c. enter(): an event of the page begins; false when no page of this shard begins at @gpa.
 * page(): the same for a page whose home is known. leave(): the event is over.
 */
bool proto_enter(const struct dsm_proto *p, uint64_t gpa, struct page_ref *ret);
struct page_ref proto_page(const struct dsm_proto *p, uint64_t gpa, unsigned home);
void proto_leave(struct dsm_proto *p, struct page_ref *at);

/* This node asks for the page from now on; it does not yet. */
void proto_ask(struct dsm_proto *p, struct page_ref *at, bool write);

/* Before there is a table all of a region is at its home. */
static inline enum dsm_copy page_copy(const struct dsm_proto *p, const struct page_ref *at)
{
	if (at->copy)
		return *at->copy;
	return at->home == p->cfg.self ? DSM_OWNED : DSM_NONE;
}

/* Does this node wait for an answer to its request for the page? */
static inline bool page_is_asked(const struct page_ref *at)
{
	return at->under && at->under->asked;
}

/* Does a demand wait for the page until the turn is over? */
static inline bool page_is_demanded(const struct page_ref *at)
{
	return at->under && at->under->waits;
}

/* A message for page @gpa and requester @node; the rest is for the caller to add. */
struct wire_hdr proto_hdr(const struct dsm_proto *p, enum wire_type type, uint64_t gpa,
			  unsigned node);

/* Handles what the core sent to itself about the page, until it sends itself nothing more. */
int proto_drain(struct dsm_proto *p, struct page_ref *at, uint64_t now);

/* The home of a page, or -1 when no page of this shard begins at @gpa. */
int proto_home(const struct dsm_proto *p, uint64_t gpa);

/* To another node by emit(), to self by the slot. Return: 0, or an error that killed the core. */
int proto_send(struct dsm_proto *p, unsigned to, const struct wire_hdr *h);

/* Emits an action. Return: 0, or an error that killed the core. */
int proto_act(struct dsm_proto *p, const struct dsm_action *a);

/* As proto_act(), for an action that is its type and page. */
int proto_act_on(struct dsm_proto *p, enum dsm_action_type type, uint64_t gpa);

/* The core is dead of @error. Return: @error. */
int proto_fail(struct dsm_proto *p, int error);

static inline uint64_t node_bit(unsigned node)
{
	return UINT64_C(1) << node;
}

/* proto_home.c: WIRE_GETS or WIRE_GETM; WIRE_DONE. The page is at home here. */
int home_request(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h);
int home_done(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h);
/* The home's own copy has answered the demand @h. */
int home_gave(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h);

/* The transaction of the page is over: begins with those that wait, until one is not. */
int home_next(struct dsm_proto *p, struct page_ref *at);

/* The page's transaction takes a copy back, and the requester is the node that has offered it. */
static inline bool entry_takes_back(const struct home_entry *e)
{
	return e->requester != NO_NODE && !(e->sharers & node_bit(e->requester));
}

/* proto_put.c: WIRE_PUT, WIRE_DROPPED. The page is at home here. */
int home_put(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h);
int home_dropped(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h);

/* proto_move.c: what is about a whole region: WIRE_REHOME, WIRE_REHOME_ACK, WIRE_HOME. */
bool move_is_about(const struct wire_hdr *h);
int move_message(struct dsm_proto *p, const struct wire_hdr *h, const void *payload, uint64_t now);

static inline enum region_state region_state(const struct dsm_proto *p, uint64_t gpa)
{
	return (enum region_state)p->region[gpa >> REGION_SHIFT].state;
}

/* proto_cache.c: WIRE_GRANT; WIRE_INV_ACK. */
int cache_grant(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h,
		const void *payload, uint64_t now);
int cache_ack(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h, uint64_t now);
/* WIRE_INV, WIRE_DROP, WIRE_FWD_GETS or WIRE_FWD_GETM: now, or when the turn ends (hold.h). */
int cache_demand(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h, uint64_t now);
/* WIRE_URGE: a hint; one that comes too late, or for another demand, is of no harm. */
int cache_urge(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h);
/* A demand that was checked before it waited for the end of a turn. */
int cache_serve(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h);

#endif
