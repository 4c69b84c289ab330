/* SPDX-License-Identifier: Apache-2.0 */
/* The traces of all nodes of one run. */
#ifndef SSIHV_TRACE_TRACE_SET_H
#define SSIHV_TRACE_TRACE_SET_H

#include "trace/trace_file.h"

struct trace_set {
	unsigned nodes, shards;		    /* of the run; 0: none was added yet */
	struct trace_file *node[MAX_NODES]; /* by number; NULL: missing */
};

/**
 * trace_set_add() - take one more node's trace
 * @name: for errors
 * @f:    the set's from now on, if it is taken: allocated, and freed with it
 *
 * Return: 0; -EINVAL with @err for one of another run, or of a node that is there already.
 */
int trace_set_add(struct trace_set *set, const char *name, struct trace_file *f, struct err *err);

/**
 * trace_set_read() - all files NAME.trace in @dir
 *
 * Return: 0; -ENOENT with @err when there are none, or not those of all nodes; as
 * trace_file_read() and trace_set_add().
 */
int trace_set_read(const char *dir, struct trace_set *ret, struct err *err);

void trace_set_free(struct trace_set *set);

/** trace_set_name() - of a node whose trace is there. */
static inline const char *trace_set_name(const struct trace_set *set, unsigned node)
{
	return set->node[node]->head.name;
}

/** trace_set_record() - the record at @index of a shard of @node, for a report. Return: found? */
bool trace_set_record(const struct trace_set *set, unsigned node, unsigned shard, uint64_t index,
		      struct trace_record *ret);

#endif
