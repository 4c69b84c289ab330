/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages will the faulting thread want next? Learns from the order of faults; pure.
 *
 * WHY. One instruction of a guest can need many pages: the processor's walk of the guest's page
 * tables takes one a level, for code, data and stack. (On AMD, and on Intel with eptad=1, such a
 * walk counts as a write, so tables that two nodes use go back and forth as a set.) Fetched one
 * after the other each costs a round trip, and the first may have gone again before the last comes.
 *
 * STREAMS. A thread that walks through memory gets the next pages of its way: dsm/stream.h.
 *
 * CHAINS. Where there is no way: for each page the table holds the page that the same thread
 * faulted on next. A link that was seen twice is trusted: a fault on a page then also fetches what
 * follows it, up to the end of the chain. Fetched pages do not fault, so the thread's next fault is
 * learned as what follows the end of the chain. Now and then a chain is not followed, so that links
 * which have become wrong are seen to be. Unlike a stream a chain also asks for writing, for what
 * was written to: else the tables, which are never read only, would come one by one all the same.
 *
 * LIMITS. Fixed tables, direct mapped: a collision forgets. A wrong guess moves a page for nothing,
 * never breaks anything: it is a request like any other. One thread (the shard's).
 */
#ifndef SSIHV_DSM_PREFETCH_H
#define SSIHV_DSM_PREFETCH_H

#include "dsm/stream.h"

#define PREFETCH_CHAIN_MAX 15u
#define PREFETCH_MAX	   STREAM_MAX /* of both */
#define PREFETCH_THREADS   64
#define PREFETCH_LINKS	   4096

struct prefetch_page {
	uint64_t gpa;
	bool write;
};

struct prefetch_stats {
	struct stream_stats streams;
	uint64_t chained; /* pages asked for by chains; whether they were used cannot be seen */
};

struct prefetch {
	struct prefetch_thread {
		uint32_t tid;
		bool chain;    /* the last guess was one */
		uint64_t tail; /* page whose successor the next fault will be */
		struct streams streams;
	} thread[PREFETCH_THREADS];
	struct prefetch_link {
		uint64_t gpa, next;
		bool write; /* how `next` was wanted */
		uint8_t trust, uses;
	} link[PREFETCH_LINKS];
	struct prefetch_stats stats;
};

/**
 * prefetch_fault() - thread @tid waits for the page at @gpa: what else to ask for?
 * @ret: room for PREFETCH_MAX pages
 *
 * To be called for faults that made a new request. Some pages may be here already: what was done
 * about the others is told with prefetch_asked().
 *
 * Return: number of pages in @ret, never @gpa's own.
 */
unsigned prefetch_fault(struct prefetch *p, uint32_t tid, uint64_t gpa, bool write,
			struct prefetch_page *ret);

/** prefetch_asked() - the first @tried pages of the last guess were looked at, @asked asked for. */
void prefetch_asked(struct prefetch *p, uint32_t tid, unsigned tried, unsigned asked);

/** prefetch_joined() - thread @tid waits for the page at @gpa, which is under way already. */
void prefetch_joined(struct prefetch *p, uint32_t tid, uint64_t gpa);

#endif
