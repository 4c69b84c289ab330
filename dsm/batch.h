/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core speaks of single pages; what it says of neighbours, one after the other, is done at once
 * here: one call to the kernel, one message (RUN, wire/msg.h).
 *
 * THEORY. One effect on memory is open, and for each peer one message. An action that continues
 * what is open joins it; another closes it and is open then. So the messages to one peer leave in
 * the order of the actions (FIFO, transport.h), and so are effects done. Between the two:
 *
 *   A message is posted when all effects of the actions before it have been done: it says that
 *   they are. A page that a message carries is read when that is posted, so an effect on such a
 *   page closes the message first.
 *
 * A page that leaves with its message (DSM_GIVE) is taken out when that is posted. Until then it is
 * as the core found it, and this node's threads may still read it, and write to it where they
 * could: it is the only such copy before the message has left, and what they wrote goes with it.
 *
 * The owner settles before what an effect reads (batch_effect.data) is gone and when the threads of
 * this node have waited enough, and closes at the end of each round of events.
 *
 * Pure but for the calls of `ops`, which must not call back. An error of theirs is passed up, and
 * ends the use of the batch. One thread.
 */
#ifndef SSIHV_DSM_BATCH_H
#define SSIHV_DSM_BATCH_H

#include "dsm/proto.h"

/* DSM_MAP, DSM_UNPROTECT, DSM_PROTECT or DSM_DROP of neighbouring pages of one region. */
struct batch_effect {
	enum dsm_action_type type;
	unsigned pages; /* 0: none is open; at most WIRE_RUN_PAGES */
	uint64_t gpa;
	const uint8_t *data;   /* MAP: the pages, one behind the other; NULL: zeros */
	bool writable;	       /* MAP */
	const uint64_t *since; /* MAP, UNPROTECT: of each page's action */
};

/* Return: 0; negative errno. */
struct batch_ops {
	int (*effect)(void *ctx, const struct batch_effect *e);
	/*
	 * Send @run to @to. With WIRE_GRANT_DATA the pages go with it, as for DSM_SEND; @gives: as
	 * for DSM_GIVE. @last: nothing follows for this peer in this round.
	 */
	int (*post)(void *ctx, unsigned to, const struct wire_hdr *run, bool gives, bool last);
};

struct batch {
	const struct batch_ops *ops;
	void *ctx;
	struct batch_effect effect;
	uint64_t since[WIRE_RUN_PAGES]; /* of the effect */
	uint64_t open;			/* peers with an open message */
	uint64_t whole;			/* of which those whose message nothing joins any more */
	uint64_t carries;		/* of which those whose message carries pages */
	uint64_t gives;			/* of which those whose pages leave */
	struct wire_hdr run[MAX_NODES];
};

/** batch_init() - nothing is open. @ops must outlive the use. */
void batch_init(struct batch *b, const struct batch_ops *ops, void *ctx);

/** batch_effect() - an action that is an effect. Return: 0, or an error of `ops`, as below. */
int batch_effect(struct batch *b, const struct dsm_action *a);

/** batch_send() - DSM_SEND of a message whose payload is its pages, if any; or DSM_GIVE. */
int batch_send(struct batch *b, const struct dsm_action *a);

/** batch_settle() - all effects are done. */
int batch_settle(struct batch *b);

/** batch_end() - all effects are done and all for @to is posted: the caller's own may follow. */
int batch_end(struct batch *b, unsigned to);

/** batch_cut() - all effects are done, and no later message joins an open one. */
int batch_cut(struct batch *b);

/** batch_close() - all effects are done and all is posted; nothing is open. */
int batch_close(struct batch *b);

#endif
