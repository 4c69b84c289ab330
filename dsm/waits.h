/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long each thread of this node has waited for pages of a shard, for the report. Pure.
 *
 * A thread waits for one page at a time: from when the shard learns of its fault until the page is
 * there. Those that wait just now are in a list, and only that is searched when a page has come
 * that somebody may wait for: a few steps at most, nothing where nobody waits. A page that came
 * read-only ends the waits of those who read it; who writes faults again, and waits on.
 *
 * A thread that a signal took out of its wait (Linux 6.2 and later) still waits when it faults on
 * the same page again; when on another, the first wait has ended by that.
 *
 * LIMITS. WAITS_THREADS threads, which is more than a node has; others are not counted. The shard's
 * thread alone, but for waits_of().
 */
#ifndef SSIHV_DSM_WAITS_H
#define SSIHV_DSM_WAITS_H

#include <stdatomic.h>

#include "base/base.h"

#define WAITS_THREADS 2048u

static_assert(WAITS_THREADS > MAX_VCPUS + MAX_NODE_VCPUS && !(WAITS_THREADS & (WAITS_THREADS - 1)),
	      "node 0 has a thread for each vCPU of the cluster");

struct waits_thread {
	_Atomic uint32_t tid; /* 0: not in use */
	_Atomic uint64_t ns;  /* waits that are over */
	uint64_t since;	      /* ns; 0: it does not wait */
	uint64_t gpa;
	bool write;
};

struct waits {
	unsigned waiting;
	struct waits_thread *now[WAITS_THREADS]; /* those that wait */
	struct waits_thread thread[WAITS_THREADS];
};

/** waits_begin() - the thread faulted on the page at @gpa, at @now, which is not 0. */
void waits_begin(struct waits *w, uint32_t tid, uint64_t gpa, bool write, uint64_t now);

void waits_end_all(struct waits *w, uint64_t gpa, bool writable, uint64_t now);

/** waits_end() - the page is there: whoever waits for it goes on. */
static inline void waits_end(struct waits *w, uint64_t gpa, bool writable, uint64_t now)
{
	if (w->waiting)
		waits_end_all(w, gpa, writable, now);
}

/** waits_of() - ns that the thread has waited, without a wait that goes on. Any thread. */
uint64_t waits_of(const struct waits *w, uint32_t tid);

#endif
