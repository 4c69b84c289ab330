/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coherence protocol of one shard on one node: a pure function (state, event) -> (state,
 * actions). No I/O, clock, thread, lock; no allocation after start but a region's table on its
 * first use. The same object file runs under the pager, in the simulator and in the fuzzer.
 *
 * THEORY. Every page has a home node. The home's directory knows who has the page and
 * serialises all requests for it: one transaction at a time, others queue first come, first served.
 *
 *   requester            home                       owner / sharers
 *      | --- GETS/GETM --> |                             |
 *      |                   | -- FWD_GETS / FWD_GETM ---> |  (the one that has the data)
 *      |                   | -- INV -------------------> |  (every other sharer, for GETM)
 *      | <------------ GRANT (data, how many acks) ----- |
 *      | <------------ INV_ACK ------------------------- |
 *      | --- DONE -------> |  next request of this page
 *
 * The home itself sends the GRANT when it has the data, when the page is zero, or when the
 * requester holds a copy already (upgrade: the directory knows, the requester need not say). A
 * copy of its own that has to go is dropped before that GRANT; it is never acknowledged.
 * `acks` counts the sharers but the requester, the home and the one that gives its copy away. An
 * INV_ACK may come before the GRANT. `node` is the requester in every message, whoever sends it.
 *
 * The next transaction of a page starts when this one is over: with DONE, which the requester sends
 * once the page is mapped and all INV_ACKs are in; or, when the home grants and nobody has to
 * acknowledge, with that GRANT, since whatever the home sends next to the requester comes behind
 * it: then there is no DONE. So an INV or FWD that arrives is always about a page that is mapped
 * here, and that no INV_ACK is missing for.
 *
 * ORDER. What one node sends to another arrives in the order in which it was sent. Transports keep
 * that within a connection (transport.h; the conformance suite checks it), and a page's messages
 * between two nodes use one connection. Nothing is assumed of the order between other pairs.
 *
 * Data that arrives before all acks is mapped read-only at once: no writer exists, so it is the
 * last value; write permission follows with the last ack.
 *
 * The home's own faults are requests to itself, its own copy is a copy like another: messages to
 * self are handled inside, never emitted.
 *
 * FAULTS may be reported twice, late or for another's benefit. One that the page's state satisfies
 * is answered at once (WAKE, or UNPROTECT for a write); one for a page that is asked for already
 * joins that request, even a write that joins a read: the MAP wakes it and it faults again.
 *
 * STATES of this node's copy: NONE, SHARED (read-only), OWNED (writable). A page of a region that
 * was never asked for by another node is OWNED by its home and not tracked: no directory entry
 * exists, no fault is raised. The first request from outside makes the home track the 2 MiB region
 * (DSM_TRACK): the driver registers it and says which pages were populated; those that were not
 * are ZERO in the directory and granted for writing without data, also to readers. When the others
 * have given back or lost all their copies the driver may make it untracked again (DSM_UNTRACK).
 *
 * GIVING BACK. A node that wants to be rid of a copy offers it (PUT) and keeps it; the home takes
 * it when nothing else is under way for the page, and forgets the offer otherwise. An owner's page,
 * or the only copy, it fetches as if a thread of its own wanted to write (a GETM of its own). From
 * one of several sharers it takes it by a transaction whose requester is that sharer (DROP,
 * DROPPED): until it has ended nobody is granted the page for writing.
 *
 * HOMES MOVE, region by region, while requests go on: dsm/proto_move.c.
 *
 * TURNS. A page that was just mapped may be needed together with others that are still under way:
 * a node keeps what it fetched until it has run with all of it for `hold_ns`, unless a node that
 * waits for longer asks (dsm/hold.h has the rules and why they end). Requests and demands carry the
 * ticket of their requester's turn. An INV or FWD that must wait holds up its own page only.
 *
 * INVARIANTS (checked by the simulator): one writer or many readers; a read returns the last
 * write; at rest the directory agrees with every copy; every fault ends.
 *
 * LIMITS. At most `max_pending` own requests at once, the same on all nodes; at most nodes *
 * max_pending queue at a home. Memory: 16 bytes a page of a tracked home region, 1 byte a page of
 * a remote region that was touched, nothing for other regions.
 *
 * ERRORS. Every message is checked against the state before anything changes: a peer that breaks
 * the protocol gets -EPROTO and the state is as it was. An error of emit(), or -ENOMEM, ends the
 * core: every later call returns it. What a node does with its own pages cannot be checked by
 * others: a hostile node can spoil data and block pages, never this process.
 *
 * THREADS. One owner thread; no call is re-entrant: emit() and accept() must not call back into the
 * core, but for questions (those that take a const struct dsm_proto), which are answered as of
 * then.
 */
#ifndef SSIHV_DSM_PROTO_H
#define SSIHV_DSM_PROTO_H

#include "base/base.h"
#include "dsm/copy.h"
#include "dsm/turn.h"
#include "wire/msg.h"

enum dsm_action_type {
	/*
	 * Send `hdr` to node `to`. With WIRE_GRANT_DATA: append this node's copy of the page,
	 * which is mapped and write-protected. The driver that finds it all zero may say
	 * WIRE_GRANT_ZERO in place of WIRE_GRANT_DATA and send no payload.
	 */
	DSM_SEND,
	/*
	 * The same for a grant whose page leaves this node: take the page out, which may be mapped
	 * writable, then send what it was at its end. Once the receiver has it, it may write, and a
	 * thread of this node must not read the old page.
	 */
	DSM_GIVE,
	DSM_MAP, /* put `data` (NULL: zeros) at `gpa`, write-protected unless `writable`; wake */
	DSM_UNPROTECT, /* make the page at `gpa`, which is mapped, writable; wake */
	DSM_PROTECT,   /* write-protect the mapped, writable page at `gpa` */
	DSM_DROP,      /* unmap the page at `gpa`: the next touch faults */
	DSM_WAKE,      /* a fault at `gpa` that is served already: wake who waits */
	/*
	 * Start tracking the 2 MiB region at `gpa` (home only): from now on accesses to missing
	 * pages fault. Fill `populated`, one bit a page: those that have content.
	 */
	DSM_TRACK,
	/*
	 * Stop tracking the region at `gpa`: nobody else has anything of it, and its pages that
	 * are mapped here become writable. Wake who waits for any of them.
	 */
	DSM_UNTRACK,
	/*
	 * The region at `gpa` is at home here from now on, or no longer. Its pages stay as they
	 * are; here as there all accesses fault that the copies do not suffice for.
	 */
	DSM_CAME,
	DSM_LEFT,
};

struct dsm_action {
	enum dsm_action_type type;
	uint64_t gpa;
	/* MAP, UNPROTECT: `now` of the first fault that waits and is served by this; 0: none. */
	uint64_t since;
	union {
		struct {
			uint16_t to;
			struct wire_hdr hdr;
			const void *payload; /* of WIRE_HOME: hdr.len bytes; else NULL */
		} send;
		struct {
			const void *data;
			bool writable;
		} map;
		struct {
			uint64_t *populated; /* REGION_PAGES bits, zeroed by the core */
		} track;
	};
};

/*
 * Executes one action, at once or so that nobody can tell the difference (dsm/batch.h). A negative
 * return is fatal: the core passes it up and is dead.
 */
typedef int (*dsm_emit_fn)(void *ctx, const struct dsm_action *a);

struct dsm_proto_config {
	unsigned self, nodes; /* nodes: 1..MAX_NODES */
	uint32_t epoch;
	uint64_t hold_ns;     /* length of a turn, see dsm/hold.h; 0: no turns */
	unsigned max_pending; /* 1..2^20 */
	/*
	 * The first home of a page of guest RAM, -1 when @gpa is no RAM (of this shard). All RAM of
	 * a 2 MiB region has one home. Called often: no more than arithmetic.
	 */
	int (*home)(void *ctx, uint64_t gpa);
	/* May the region at @gpa come to live here? NULL: always. */
	bool (*accept)(void *ctx, uint64_t gpa);
	dsm_emit_fn emit; /* executes in the order of the calls */
	void *ctx;
	uint64_t gpa_end; /* first address behind all guest RAM; at most 2^52 */
};

struct dsm_stats {
	/* Fault events but those that joined a request: served within the call, or not. */
	uint64_t faults_local;	/* served without another node */
	uint64_t faults_remote; /* waited for another node */
	uint64_t prefetches;	/* requests for pages that nobody waited for yet */
	uint64_t zero_grants, data_grants, upgrade_grants; /* received from others */
	uint64_t invalidations;	  /* copies given up here: INV, DROP and FWD_GETM */
	uint64_t downgrades;	  /* copies made read-only here: FWD_GETS */
	uint64_t served;	  /* requests of other nodes served as home */
	uint64_t offers, returns; /* PUT: sent; those of others that were acted on */
	uint64_t held;		  /* INV, DROP or FWD that waited for the end of a turn */
	uint64_t held_ns;	  /* for how long, all of them, as far as they were served */
	uint64_t queued;	  /* requests that waited behind another at this home */
	uint64_t bytes_sent, bytes_received; /* page payload (sent: before a driver's zero check) */
	uint64_t regions_left, regions_came; /* homes that moved */
	uint64_t regions_refused;	     /* that were to leave, and the new home had no room */
	uint64_t tracked_regions;	     /* home regions with a directory */
	uint64_t memory;		     /* bytes of tables by page, for the overhead figure */
};

struct dsm_proto;

/* What a thread faulted for. */
enum dsm_want {
	DSM_READ,
	DSM_WRITE,
	DSM_READ_SOON_WRITE, /* reads, and will write: asks for both rights at once */
};

/**
 * dsm_proto_new() - the state of one shard on one node
 *
 * Return: 0; -ENOMEM; -EINVAL for a configuration out of range.
 */
int dsm_proto_new(const struct dsm_proto_config *cfg, struct dsm_proto **ret);
void dsm_proto_free(struct dsm_proto *p);

/**
 * dsm_proto_fault() - a thread of this node faulted
 * @gpa:   any address in the page
 * @wants: DSM_WRITE also for a write-protect fault
 * @now:   ns, for the turns; not 0, never less than in an earlier call
 *
 * Return: 1 when the fault was served at once, 0 when it waits for an answer (or joined one that
 * does), -EAGAIN when max_pending requests wait already: call again after a grant; -EFAULT for an
 * address that is no RAM of this shard (both change nothing); or an error that ends the core.
 */
int dsm_proto_fault(struct dsm_proto *p, uint64_t gpa, enum dsm_want wants, uint64_t now);

/**
 * dsm_proto_prefetch() - ask for a page that nobody waits for yet
 *
 * As dsm_proto_fault(), but does nothing when the page is here, under way, demanded by another
 * node, no RAM of this shard, or when max_pending requests wait.
 *
 * Return: 0, or what emit() returned.
 */
int dsm_proto_prefetch(struct dsm_proto *p, uint64_t gpa, bool write, uint64_t now);

/**
 * dsm_proto_put() - offer this node's copy of the page to its home, which is another node
 *
 * The copy stays until the home demands it, perhaps at once, perhaps never: then offer it again.
 * Does nothing when the page is not here, under way, demanded by another node, at home here or no
 * RAM of this shard. What leaves in answer leaves as any other page does: who remembers pages that
 * were taken, to fetch them again, should except it.
 *
 * Return: 1 when the offer was sent, 0 when nothing was done, or what emit() returned.
 */
int dsm_proto_put(struct dsm_proto *p, uint64_t gpa);

/**
 * dsm_proto_untrack() - make the 2 MiB region at @gpa plain memory again, as before DSM_TRACK
 *
 * Does nothing unless the region is at home here and tracked, no other node has a page of it, and
 * nothing is under way for any of its pages.
 *
 * Return: 1 when it was done, 0 when not, or what emit() returned.
 */
int dsm_proto_untrack(struct dsm_proto *p, uint64_t gpa);

/**
 * dsm_proto_move() - let the 2 MiB region at @gpa live at node @to
 *
 * Does nothing unless the region is at home here and tracked, nothing is under way for any of its
 * pages, and no other region leaves.
 *
 * Return: 1 when the move has begun, 0 when not, or what emit() returned.
 */
int dsm_proto_move(struct dsm_proto *p, uint64_t gpa, unsigned to);

/** dsm_proto_home() - the home of the page at @gpa, as far as is known here; -1 for none. */
int dsm_proto_home(const struct dsm_proto *p, uint64_t gpa);

/**
 * dsm_proto_message() - a message arrived that has passed wire_check()
 * @h:       about one page: a run is taken apart before (wire/run.h)
 * @payload: @h->len bytes; valid for the call. Not looked at, passed on to DSM_MAP.
 *
 * The caller knows that @h->from is who sent it.
 *
 * Return: 0; -EPROTO when the peer broke the protocol (the VM must stop, naming @h->from); or an
 * error that ends the core.
 */
int dsm_proto_message(struct dsm_proto *p, const struct wire_hdr *h, const void *payload,
		      uint64_t now);

/**
 * dsm_proto_tick() - serve the demands that waited for a turn which is over
 *
 * Return: 0, or a negative error as above.
 */
int dsm_proto_tick(struct dsm_proto *p, uint64_t now);

/**
 * dsm_proto_set_idle() - tell whether any CPU of this node would use a page now
 *
 * While none would, every turn is over: demands are served at once, and those that wait with the
 * next dsm_proto_tick(), for which dsm_proto_deadline() then asks at once.
 */
void dsm_proto_set_idle(struct dsm_proto *p, bool idle);

/** dsm_proto_yield() - the turn is cut short, see dsm/hold.h; ask dsm_proto_deadline() again. */
void dsm_proto_yield(struct dsm_proto *p);

/** dsm_proto_deadline() - when dsm_proto_tick() has work to do; UINT64_MAX for never. */
uint64_t dsm_proto_deadline(const struct dsm_proto *p);

/** dsm_proto_turn() - this node's turn, as of @now; a question that changes nothing. */
struct turn_info dsm_proto_turn(const struct dsm_proto *p, uint64_t now);

/** dsm_proto_waiting() - own requests that wait for an answer. */
unsigned dsm_proto_waiting(const struct dsm_proto *p);

/** dsm_proto_unwanted() - of which no thread waits for. */
unsigned dsm_proto_unwanted(const struct dsm_proto *p);

const struct dsm_stats *dsm_proto_stats(const struct dsm_proto *p);

/* What this node knows of a page; for the simulator's invariants and for GET /pages. */
struct dsm_page_info {
	enum dsm_copy copy; /* this node's copy; DSM_OWNED for an untracked page of its home */
	bool tracked;	    /* a directory entry exists here (home only) */
	bool busy;	    /* a transaction is under way at this home, or waits here */
	bool zero;	    /* directory: nobody has it */
	int owner;	    /* directory: who may write, -1 for none */
	uint64_t sharers;   /* directory: who has a copy, the owner included */
};
void dsm_proto_page(const struct dsm_proto *p, uint64_t gpa, struct dsm_page_info *ret);

#endif
