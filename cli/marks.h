/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all nodes have counted at moments that the guest chooses: between two loads that are to be
 * told apart, say. A line `PROOF-MARK NAME` on the console asks every node for its counts; when all
 * have answered the mark is whole, and both are in the report. One at a time, MARKS_MAX of a run at
 * most: what the guest asks for beyond that is not done. A node that ends does not answer, and so
 * the mark under way then stays as it is.
 */
#ifndef SSIHV_CLI_MARKS_H
#define SSIHV_CLI_MARKS_H

#include <jansson.h>

#include "cluster/cluster_run.h"

#define MARKS_MAX 256

/* All zero: none yet. */
struct marks {
	json_t *all;		   /* [{"name": ..., "nodes": [counts or null, ...]}, ...] */
	uint32_t asked[MAX_NODES]; /* 0: not, or answered */
	unsigned missing;	   /* answers to the last one */
};

/** marks_add() - a mark: ask all nodes. */
void marks_add(struct marks *m, struct cluster_run *run, unsigned nodes, const char *name);

/**
 * marks_reply() - an answer, as struct cluster_run_ops has it
 * @ret_whole: the name of the mark that it completes, or NULL
 *
 * Return: whether the answer was to a mark.
 */
bool marks_reply(struct marks *m, unsigned node, uint32_t id, const json_t *body,
		 const char **ret_whole);

void marks_free(struct marks *m);

#endif
