/* SPDX-License-Identifier: Apache-2.0 */
/* Traces made by hand: of three nodes and one shard, record by record, without files. */
#ifndef SSIHV_TESTS_TRACE_TRACES_H
#define SSIHV_TESTS_TRACE_TRACES_H

#include "tests/check.h"
#include "trace/trace_set.h"
#include "wire/msg.h"

#define NODES	3
#define RECORDS 256

struct traces {
	struct trace_record record[NODES][RECORDS];
	unsigned count[NODES];
	unsigned made;	  /* records, of all nodes */
	unsigned drop;	  /* the how manieth is left out, from 1 on; 0: none */
	bool open[NODES]; /* the trace has no end */
	struct trace_set set;
};

/* One record of @node. */
void traces_put(struct traces *t, unsigned node, struct trace_record r);
#define PUT(t, node, k, ...)                                                                       \
	traces_put((t), (node), (struct trace_record){.kind = (k), ##__VA_ARGS__})

/* A message is sent, and arrives at once. */
void traces_message(struct traces *t, unsigned from, unsigned to, struct trace_record r);
#define MESSAGE(t, from, to, type, page, requester, ...)                                           \
	traces_message((t), (from), (to),                                                          \
		       (struct trace_record){.what = (type),                                       \
					     .addr = (page),                                       \
					     .node = (uint8_t)(requester),                         \
					     ##__VA_ARGS__})

/* What was put becomes t->set, by way of the bytes of files. */
void traces_close(struct traces *t);
void traces_free(struct traces *t);

#endif
