/* SPDX-License-Identifier: Apache-2.0 */
/* What the nodes of the native tests do; native.c runs them. */
#ifndef SSIHV_TESTS_DSM_NATIVE_TESTS_H
#define SSIHV_TESTS_DSM_NATIVE_TESTS_H

#include <linux/userfaultfd.h>

#include "tests/dsm/native_cluster.h"

#define NATIVE_REGIONS 4 /* at home on every node */

/* native_memory.c */
void pattern_populate(struct native_node *n); /* .before of pattern_body() */
void pattern_body(struct native_node *n);
void overhead_body(struct native_node *n);

/* native_mappings.c */
#define MAPPINGS_REGIONS 64	/* for each shard */
#define MAPPINGS_MOST	 100000 /* where more are allowed, using them up takes too much memory */
void mappings_populate(struct native_node *n); /* .before of mappings_body() */
void mappings_body(struct native_node *n);     /* .ctx: a bool, to leave one mapping more */

/* native_errors.c */
/* In place of an ioctl's number: */
#define NATIVE_DONTNEED	    1 /* madvise(MADV_DONTNEED) */
#define NATIVE_TRACK	    2 /* calloc() of a region's table at its home, */
#define NATIVE_TOUCH	    3 /* and elsewhere */
#define NATIVE_MOVE	    _IOWR(UFFDIO, 0x05, uint64_t[5]) /* UFFDIO_MOVE of Linux 6.8, */
#define NATIVE_FEATURE_MOVE (UINT64_C(1) << 16)		     /* and how it is announced */
struct native_errors {					     /* .ctx of errors_body() */
	unsigned long request;
	const char *name; /* of the request */
	int error;
	const char *text; /* in what the node says then; NULL: nobody notices */
};
void errors_body(struct native_node *n);
extern bool native_old_kernel;	/* this process, and those it starts, has one without UFFDIO_MOVE */
bool native_kernel_moves(void); /* it has one with it */
void moves_body(struct native_node *n);

/* native_limit.c */
void limit_body(struct native_node *n);

/* native_ahead.c */
void ahead_populate(struct native_node *n); /* .before of ahead_body() */
void ahead_body(struct native_node *n);	    /* of two nodes with one shard */

/* native_homes.c */
void homes_go_body(struct native_node *n);
void homes_return_body(struct native_node *n);
void homes_watched_body(struct native_node *n);
void homes_shared_body(struct native_node *n);
void homes_refused_body(struct native_node *n);
void homes_pinned_body(struct native_node *n);
void homes_wander_body(struct native_node *n);

/* native_runs.c */
void runs_populate(struct native_node *n); /* .before of runs_body() */
void runs_body(struct native_node *n);	   /* of three nodes and one shard */

/* native_plain.c */
void plain_body(struct native_node *n);

/* native_pages.c */
void pages_body(struct native_node *n);

/* native_trace.c: the next, and what was recorded is what was counted. */
void trace_wander_body(struct native_node *n); /* homes_wander_body() */
void trace_limit_body(struct native_node *n);  /* limit_body() */
void trace_ahead_body(struct native_node *n);  /* ahead_body() */

/* native_order.c */
void totals_body(struct native_node *n);
void message_passing_body(struct native_node *n);
void store_buffering_body(struct native_node *n);
void mixed_body(struct native_node *n);

/* native_clock.c */
void clock_body(struct native_node *n);

/* native_loss.c */
void loss_body(struct native_node *n);
void cut_body(struct native_node *n); /* of two nodes */

#endif
