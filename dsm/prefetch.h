/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages will the faulting thread want next? Learns from the order of faults; pure.
 *
 * WHY. One instruction of a guest can need many pages: the processor's walk of the guest's page
 * tables takes one a level, for code, data and stack. (On AMD, and on Intel with eptad=1, such a
 * walk counts as a write, so tables that two nodes use go back and forth as a set.) Fetched one
 * after the other each costs a round trip, and the first may have gone again before the last comes.
 *
 * CHAINS. For each page the table holds the page that the same thread faulted on next. A link that
 * was seen twice is trusted: a fault on a page then also fetches what follows it, up to the end of
 * the chain. Fetched pages do not fault, so the thread's next fault is learned as what follows the
 * end of the chain. Now and then a chain is not followed, so that links which have become wrong are
 * seen to be.
 *
 * RUNS. A thread that faults on neighbouring pages in order gets the next pages of the region, too:
 * each time that it goes on behind them twice as many, from PREFETCH_RUN_FIRST on.
 *
 * LIMITS. Fixed tables, direct mapped: a collision forgets. A wrong guess moves a page for nothing,
 * never breaks anything: it is a request like any other. One thread (the shard's).
 */
#ifndef SSIHV_DSM_PREFETCH_H
#define SSIHV_DSM_PREFETCH_H

#include "base/base.h"

#define PREFETCH_CHAIN_MAX 15u
#define PREFETCH_RUN_FIRST 15u
#define PREFETCH_MAX	   63u /* of both */
#define PREFETCH_THREADS   64
#define PREFETCH_LINKS	   4096

struct prefetch_page {
	uint64_t gpa;
	bool write;
};

struct prefetch {
	struct prefetch_thread {
		uint32_t tid;
		bool write;	   /* kind of the last fault */
		unsigned run;	   /* how many faults in a row continued each other */
		uint64_t expected; /* page that continues the run */
		uint64_t tail;	   /* page whose successor the next fault will be */
	} thread[PREFETCH_THREADS];
	struct prefetch_link {
		uint64_t gpa, next;
		bool write; /* how `next` was wanted */
		uint8_t trust, uses;
	} link[PREFETCH_LINKS];
};

/**
 * prefetch_fault() - thread @tid waits for the page at @gpa: what else to ask for?
 * @ret: room for PREFETCH_MAX pages
 *
 * To be called for faults that made a new request, not for those that joined one.
 *
 * Return: number of pages in @ret, never @gpa's own.
 */
unsigned prefetch_fault(struct prefetch *p, uint32_t tid, uint64_t gpa, bool write,
			struct prefetch_page *ret);

#endif
