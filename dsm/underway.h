/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page under way: one record holds all that a node knows of a page for a while only.
 *
 *   - its request for the page, from when it is made until it is answered;
 *   - since when a thread waits, for the figures;
 *   - the page's place in the turn (dsm/hold.h) from when it was mapped until it is given up or
 *     protected no longer, and the demand that waits for that.
 *
 * WHY. An event of a page needs most of that. With a table for each, a remote read took 13 look-ups
 * by hash at its two ends; now it takes one for each of its three events, and the pointer is handed
 * on.
 *
 * LIFE. A record is made for a request, and is there while it has a request or a place in the turn.
 * It does not move. Who handles an event of the page releases it, when the event is over: until
 * then the pointer is good, whatever became of the record meanwhile.
 *
 * LIMITS. One record a page. The requests and the places in the turn are limited by those who give
 * them, so there is a record for each; nothing is allocated after start. With at least as many
 * buckets as records a look-up is one or two steps, whatever the guest touches (the hash is
 * multiplicative: strides do not pile up). Pure; the shard's thread.
 */
#ifndef SSIHV_DSM_UNDERWAY_H
#define SSIHV_DSM_UNDERWAY_H

#include "base/list.h"
#include "wire/msg.h"

struct underway {
	uint64_t gpa;
	struct underway *next; /* in its bucket, or of those that are not used */

	/* This node's request. */
	bool asked;	/* it waits for its answer; what follows is of no meaning otherwise */
	bool write;	/* what it asks for */
	bool wanted;	/* a thread waits for it, it is no prefetch */
	bool granted;	/* the page is mapped read-only or was so: only acks are missing */
	bool over;	/* for the home, since it has granted: no DONE */
	uint16_t acks;	/* how many must come; known once granted */
	uint64_t acked; /* nodes whose INV_ACK has come; it may come before the grant */

	/* The first fault whose thread waits. */
	uint64_t since; /* ns; 0: none does */
	bool to_write;	/* the right to read does not end it */

	/* The turn: dsm/hold.h alone changes it. */
	bool kept;	  /* it is in one of the turn's lists */
	bool waits;	  /* `demand` is set: the INV, DROP or FWD that waits */
	struct list link; /* in quiet, loud or due */
	uint64_t mapped;  /* ns */
	uint64_t held;	  /* ns, since when the demand waits */
	struct wire_hdr demand;
};

struct underway_table {
	struct underway **bucket;
	unsigned shift; /* 64 - log2(buckets) */
	struct underway *pool, *unused;
	unsigned asked;	 /* requests */
	unsigned wanted; /* of which a thread waits for */
};

/** underway_init() - room for @capacity records, at least 1. Return: 0; -ENOMEM. */
int underway_init(struct underway_table *t, unsigned capacity);
void underway_free(struct underway_table *t);

/** underway_find() - the record of the page at @gpa (page aligned), or NULL. */
struct underway *underway_find(const struct underway_table *t, uint64_t gpa);

/** underway_add() - a new record; the page has none, and fewer exist than the table has room for.
 */
struct underway *underway_add(struct underway_table *t, uint64_t gpa);

/** underway_release() - @u goes if it is not in use; the pointer is no good after this. */
void underway_release(struct underway_table *t, struct underway *u);

/** underway_ask() - a request is made; the page has none. */
void underway_ask(struct underway_table *t, struct underway *u, bool write);

/** underway_want() - a thread waits for the request of @u from now on. */
void underway_want(struct underway_table *t, struct underway *u);

/** underway_answered() - the request of @u is no more. */
void underway_answered(struct underway_table *t, struct underway *u);

/** underway_fault() - a thread that faulted at @now waits, to write if @write; the first counts. */
void underway_fault(struct underway *u, bool write, uint64_t now);

/**
 * underway_woke() - the page was mapped
 * @writable: a read-only page does not end a write fault; its thread faults again
 *
 * Return: `now` of the fault that this ends; 0 for none.
 */
uint64_t underway_woke(struct underway *u, bool writable);

#endif
