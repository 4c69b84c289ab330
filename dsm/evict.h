/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which copies does a node give back when it has as many as it may? Pure; the shard's thread.
 *
 * WHY. A node that keeps every copy it ever fetched fills its host. So there is a limit, and copies
 * of other nodes' pages that were not needed for long are offered to their homes (dsm/proto.h,
 * dsm_proto_put()) before it is reached, in the background.
 *
 * RECENCY. The processor tells nothing of a page that is here: no fault, and the accessed bits are
 * the kernel's. What can be seen are faults: that a page came, that a reader of it came to write,
 * and that a page which was given back was wanted again. So there are two queues in order of
 * arrival. A page that comes for the first time joins the *small* one, a tenth of the limit: a
 * sweep passes through it and displaces nothing else. A page that was given back not long ago and
 * is here again (its *ghost* was still remembered) joins the *main* one, as does one that was used
 * once more while it was in the small one. The first of the small queue goes when that has more
 * than its tenth, else the first of the main one; what was used meanwhile gets another round.
 *
 * STATE. A byte and two links a page of the address space, in memory that costs nothing until it is
 * written to. The links of a ghost are free: they hold its number in the order of evictions. It is
 * remembered for as many evictions as the limit has pages.
 *
 * WATERMARKS. Above `high` pages some are offered until no more than `low` would be left if all
 * homes took what was offered. A home may pass an offer over, since the page is under way; so what
 * was not taken after EVICT_RETRY_NS does not count any more, and others are offered, or the same
 * again when their turn comes. At `limit` there is no room: the caller takes no new faults until
 * there is.
 *
 * COST. 9 bytes a page that was ever here; each call is O(1), evict_next() amortised: a page that
 * was used gets another round.
 */
#ifndef SSIHV_DSM_EVICT_H
#define SSIHV_DSM_EVICT_H

#include "base/base.h"

/* Pages: what the instructions of some CPUs need at once, many times over. */
#define EVICT_LIMIT_MIN UINT64_C(256)
#define EVICT_RETRY_NS	(5 * NSEC_PER_MSEC)

struct evict;

struct evict_stats {
	uint64_t limit;	    /* as many may be here, in force now */
	uint64_t resident;  /* copies of other homes' pages that are here */
	uint64_t offered;   /* pages offered to their homes, so far */
	uint64_t evicted;   /* of which have left */
	uint64_t refaulted; /* pages that came back while their ghost was remembered */
};

/**
 * evict_new() - nothing is here yet
 * @gpa_end: first address behind all guest RAM
 * @limit:   pages; at least EVICT_LIMIT_MIN
 *
 * Return: 0; -EINVAL, also for RAM above 2^44 bytes: page numbers have 32 bits; -ENOMEM.
 */
int evict_new(uint64_t gpa_end, uint64_t limit, struct evict **ret);
void evict_free(struct evict *e);

/**
 * evict_set_limit() - from now on @limit pages, in place of what it was
 *
 * May be fewer than are here: then there is no room until enough have gone. Return: 0; -EINVAL as
 * evict_new().
 */
int evict_set_limit(struct evict *e, uint64_t limit);
uint64_t evict_limit(const struct evict *e);

/** evict_came() - a copy of the page at @gpa, of another home, was mapped here. */
void evict_came(struct evict *e, uint64_t gpa);

/** evict_used() - the page at @gpa is here and a fault on it was seen. */
void evict_used(struct evict *e, uint64_t gpa);

/** evict_left() - the copy of the page at @gpa is gone, for whatever reason; it may not have been.
 */
void evict_left(struct evict *e, uint64_t gpa);

/** evict_settled() - the page at @gpa is at home here now: if it is here, it is no copy any more.
 */
void evict_settled(struct evict *e, uint64_t gpa);

/** evict_here() - is the page at @gpa a copy that is here? */
bool evict_here(const struct evict *e, uint64_t gpa);

/**
 * evict_next() - the page to offer to its home next
 * @now: ns, never less than in an earlier call
 *
 * Return: false when none should be offered now.
 */
bool evict_next(struct evict *e, uint64_t now, uint64_t *gpa);

/** evict_deadline() - when evict_next() should be asked even if nothing happens; UINT64_MAX: never.
 */
uint64_t evict_deadline(const struct evict *e);

/** evict_room() - how many more pages may come; 0 at the limit. */
uint64_t evict_room(const struct evict *e);

const struct evict_stats *evict_stats(const struct evict *e);

#endif
