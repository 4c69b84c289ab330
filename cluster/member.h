/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The insides of a run, for the files of cluster/. See cluster/cluster_run.h. run.c uses the
 * others, none of them run.c.
 */
#ifndef SSIHV_CLUSTER_MEMBER_H
#define SSIHV_CLUSTER_MEMBER_H

#include <stdio.h>

#include "cluster/child.h"
#include "cluster/cluster_run.h"
#include "cluster/lines.h"

/* How far the nodes that still run were pressed to stop. */
enum press { PRESS_NONE, PRESS_STDIN_CLOSED, PRESS_TERM, PRESS_KILL };

/* How it ends. */
struct verdict {
	enum cluster_result result;
	char reason[640];
	bool final;		    /* all nodes have ended */
	const struct member *named; /* the node that was told to be lost */
};

/* A node of the run. */
struct member {
	struct cluster_run *run;
	const struct cluster_node *cfg;
	unsigned index;
	struct child child;
	pid_t pid;	  /* stays after the end, for messages */
	bool lost;	  /* it ended without a word, unasked */
	bool stop_forced; /* it had to be ended with a signal */
	struct lines events;
	FILE *log;
	char phase[64];
	char last_words[200]; /* the last line that was no event */
	char queue[8 * KIB];  /* lines for its stdin that it has not taken */
	size_t queue_len;
	json_t *report;

	/* From its "stopped" event. */
	bool stopped, blames; /* blames: because another node was lost */
	enum cluster_result stop_result;
	char stop_text[520];
};

struct cluster_run {
	struct cluster_run_setup setup;
	unsigned count;
	struct member *member;
	int epoll;
	bool hold;
	uint32_t last_id;
	uint64_t running_ns;
	struct verdict verdict;
	uint64_t press_at_ns; /* when nodes that still run are pressed further */
	enum press press;
};

/** run_patience() - @ms of a node's time in nanoseconds of ours. */
static inline uint64_t run_patience(const struct cluster_run *run, unsigned ms)
{
	const struct cluster_config *cfg = run->setup.cfg;
	unsigned slow = cfg->placement == CLUSTER_LAB ? cfg->lab.slow_motion : 1;

	return (uint64_t)ms * slow * NSEC_PER_MSEC;
}

/* launch.c */

/** member_start() - start the node behind its launcher. */
int member_start(struct member *m, struct err *err);

/* events.c */

/** member_line() - one line that the node (@ctx, a struct member) wrote to its standard error. */
void member_line(void *ctx, char *line, size_t len);

/* verdict.c */

/**
 * verdict_end() - the run ends with @result, if nothing ended it before
 * @natural_ms: how long the nodes may take to end by themselves before they are asked
 */
void verdict_end(struct cluster_run *run, enum cluster_result result, unsigned natural_ms,
		 const char *fmt, ...) _printf_(4, 5);
/** verdict_stopped() - a node has said why it stops. */
void verdict_stopped(struct member *m, const struct member *culprit);
/** verdict_reaped() - a node's process has ended, and all that it wrote was read. */
void verdict_reaped(struct member *m);
/** verdict_final() - after the last node: which of the ends is the cause. */
void verdict_final(struct cluster_run *run);

/* input.c */

/** member_flush() - write what is queued for the node's stdin as far as it takes it. */
void member_flush(struct member *m);

#endif
