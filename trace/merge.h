/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of all nodes in an order in which they may have happened.
 *
 * Clocks are not asked. Within a shard of a node the order is that of its trace; between nodes a
 * message is received after it was sent, and the k-th that arrives is the k-th that left, since
 * connections keep their order. Each record comes with how much of every node's trace lies before
 * it by these rules alone. What is not before and not after may have happened in any order: a rule
 * that holds only by luck of the times is broken (trace/check.h).
 *
 * Where a trace ends early or has a gap, what depends on it is not handed out. All that is handed
 * out is as certain as in a whole trace.
 */
#ifndef SSIHV_TRACE_MERGE_H
#define SSIHV_TRACE_MERGE_H

#include "trace/trace_set.h"

struct trace_event {
	unsigned node, shard;
	uint64_t index; /* in the trace of the node's shard */
	const struct trace_record *record;
	const uint64_t *seen; /* by node: records of it that are before; of its own with this one */
};

struct trace_merge_ops {
	void (*event)(void *ctx, const struct trace_event *e);
	/* What was received is not what was sent, or nobody has sent it. The last call. */
	void (*torn)(void *ctx, const struct trace_event *e);
};

/**
 * trace_merge() - hand out the records of shard @shard of all nodes, which must all be there
 * @left: records that are in the traces and could not be handed out
 *
 * Return: 0; -ENOMEM.
 */
int trace_merge(const struct trace_set *set, unsigned shard, const struct trace_merge_ops *ops,
		void *ctx, uint64_t *left);

#endif
