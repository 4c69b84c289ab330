/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster in one process: N nodes with the real protocol core, and everything around it made of
 * chance from one seed. Time is simulated; the same seed gives the same run, event by event.
 *
 * THEORY. One timeline of events: a message arrives, a virtual CPU makes its next access, a fault
 * event reaches its node, a turn ends. Each message draws its own delay; most are quick, some very
 * late. From one node to another they keep their order, all others overtake each other. A CPU's
 * access is allowed by the node's simulated mapping of the page, or raises a fault and is tried
 * again when the core's actions wake the CPU. A CPU sleeps now and then; a node of which all do is
 * idle. A fault may make its node ask for another page, too, as a prefetch. A node offers copies
 * back: any at any time, or (`limit`) what it has had for longest whenever it has more than a few.
 * Fault events may come twice, late, or out of nowhere, as those of a userfaultfd do. Page contents
 * are values; `golden` has the last value written to each word by anybody.
 *
 * CHECKED after every event: at most one writer and then no reader over the real mappings; every
 * mapped copy has the golden contents (so every read returns the last write); each action is legal
 * on the mapping it meets; each fault ends within a bound of simulated time. At rest: directory,
 * copies and mappings agree, and statistics add up to what the simulator counted itself.
 *
 * An action can fail, as one of the kernel's calls may: its core must say so with exactly that
 * error, at once and ever after, and do nothing more; until the others are told they see no wrong
 * page.
 *
 * A rule of the protocol can be broken on purpose (enum sim_break), by changing what the core said
 * on its way to the mappings and the network: the checks must notice.
 */
#ifndef SSIHV_TESTS_DSM_SIM_H
#define SSIHV_TESTS_DSM_SIM_H

#include <stdio.h>

#include "base/base.h"

enum sim_break {
	SIM_BREAK_NOTHING,
	SIM_BREAK_INV,	    /* a sharer acknowledges an invalidation but keeps its copy */
	SIM_BREAK_WRITABLE, /* a read-only grant is mapped writable */
	SIM_BREAK_PROTECT,  /* an owner stays writable while it sends its page */
	SIM_BREAK_DROP,	    /* who gives its page away keeps it mapped */
	SIM_BREAK_DONE,	    /* the home hears DONE when it has just begun */
	SIM_BREAK_ORDER,    /* messages from one node to another overtake each other */
	SIM_BREAK_ACKS,	    /* a grant does not wait for the acknowledgements */
	SIM_BREAK_WAKE,	    /* a page is mapped but who waits is not woken */
	SIM_BREAK_LOSE,	    /* one message vanishes on a working connection */
	SIM_BREAK_STALE,    /* the home asks nobody to give up a copy when it grants writing */
	SIM_BREAK_KEEP,	    /* who has offered its copy says that it was dropped, and keeps it */
	SIM_BREAK_URGE,	    /* the home does not lend the age of a request that waits; storms */
	SIM_BREAKS,
};

struct sim_config {
	uint64_t seed;
	enum sim_break rule;
	unsigned nodes; /* 2 to MAX_NODES; 0: by chance, a few */
	bool fail;	/* an action of some node fails */
	bool storm;	/* all nodes need the same pages at once, in turns that outlast requests */
	bool limit;	/* each node gives back what exceeds a few pages, the oldest first */
	FILE *trace;	/* one line an event; NULL for none */
};

struct sim_result {
	char failure[256]; /* empty when all was well */
	char shape[256];   /* what kind of run the seed made */
	bool lost;	   /* a connection was lost, as planned */
	bool failed;	   /* an action failed, as planned */
	uint64_t events, accesses, messages, faults, prefetches, held, queued, joined, returns,
		untracked, moves;
	uint64_t idle;	     /* how often a node fell asleep */
	uint64_t longest;    /* ns, that an instruction took from its beginning on */
	unsigned most_tries; /* faults that one instruction took */
};

/** sim_run() - one schedule, from the seed. Return: 0; -EIO with @ret->failure set; -ENOMEM. */
int sim_run(const struct sim_config *cfg, struct sim_result *ret);

/** sim_break_name() - "inv" for SIM_BREAK_INV; NULL behind the last. */
const char *sim_break_name(enum sim_break rule);

#endif
