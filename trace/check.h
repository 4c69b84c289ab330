/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does what the pagers of a run did keep the rules of coherence?
 *
 * From the traces alone: nothing here is shared with the protocol core, whose rules these are. Each
 * page is followed in the order of trace/merge.h, and where two nodes have to come one after the
 * other, what the messages tell must say so.
 *
 *   ONE_WRITER  who comes to write to a page knows that all others have lost it; who comes to read
 *               it, that nobody can write to it
 *   NO_COPY     a node uses a page, sends or gives it, or says that it has lost it, as its copy is:
 *               nothing is used after it was invalidated, given away or put back
 *   NO_GRANT    a grant answers a request or demand that is open, and a page is mapped only after a
 *               grant that allows it
 *   NO_HOME     only the page's home asks others for it, it has one home at a time, and asks only
 *               who has a copy
 *   TORN        what was received is what was sent
 *
 * A page whose rule was broken is not followed any further: the first break says most.
 */
#ifndef SSIHV_TRACE_CHECK_H
#define SSIHV_TRACE_CHECK_H

#include "trace/merge.h"

enum trace_rule {
	TRACE_ONE_WRITER,
	TRACE_NO_COPY,
	TRACE_NO_GRANT,
	TRACE_NO_HOME,
	TRACE_TORN,
	TRACE_RULES,
};

/* A record: of which node, and where in the trace of its shard. */
struct trace_place {
	unsigned node;
	uint64_t index;
};

struct trace_finding {
	enum trace_rule rule;
	uint64_t page;
	unsigned shard;
	struct trace_place at;	  /* the record that breaks it */
	bool has_other;		  /* with regard to this one: */
	struct trace_place other; /* what the other node did to the page last */
	const char *text;	  /* what is wrong */
};

struct trace_verdict {
	uint64_t records; /* that were checked */
	uint64_t left;	  /* that could not be, since others are missing */
	uint64_t regions; /* of 2 MiB that were shared */
	uint64_t findings;
};

/**
 * trace_check() - follow all pages
 * @found: is told of each break, in an order that has no meaning
 *
 * Return: 0, also when rules are broken; -ENOMEM.
 */
int trace_check(const struct trace_set *set,
		void (*found)(void *ctx, const struct trace_finding *f), void *ctx,
		struct trace_verdict *ret);

/** trace_rule_name() - "one-writer" for TRACE_ONE_WRITER, and so on. */
const char *trace_rule_name(enum trace_rule rule);

#endif
