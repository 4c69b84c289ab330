/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which region at home here does nobody else use any more? Pure; the shard's thread.
 *
 * WHY. A region that another node once asked for is tracked for good: each touch of a page that is
 * elsewhere faults, and none is huge. When nobody else has asked for a while, it may be that all is
 * back home, and it can be plain memory again (dsm/proto.h, dsm_proto_untrack()).
 *
 * RULE. A region becomes a candidate when no request from outside has come for `quiet` ns. The core
 * knows whether it is free; if not, or when it is asked for again, it waits as long once more. One
 * candidate is named at a time and at most one each USAGE_PAUSE_NS, for what follows takes some
 * milliseconds (the kernel makes a huge page), in which the shard serves nobody.
 *
 * COST. 16 bytes a region of the address space, in memory that costs nothing until it is written
 * to; a call looks at USAGE_LOOK regions at most.
 */
#ifndef SSIHV_DSM_USAGE_H
#define SSIHV_DSM_USAGE_H

#include "base/base.h"

#define USAGE_PAUSE_NS (20 * NSEC_PER_MSEC)
#define USAGE_LOOK     64

struct usage_region {
	uint64_t asked; /* ns: the last request from outside, or when it was named last */
	uint32_t place; /* in `known`, counted from 1; 0: not known */
	uint32_t known; /* [i].known: the i-th region that is known */
};

struct usage {
	uint64_t quiet; /* ns; 0: never */
	struct usage_region *region;
	uint64_t regions;
	uint32_t count; /* of known regions */
	uint32_t next;	/* which of them is looked at next */
	uint64_t pause; /* ns: nothing is named before */
};

/** usage_init() - for guest addresses below @gpa_end. Return: 0; -ENOMEM. */
int usage_init(struct usage *u, uint64_t gpa_end, uint64_t quiet_ns);
void usage_free(struct usage *u);

/** usage_asked() - another node asked for the page at @gpa, which is at home here. */
void usage_asked(struct usage *u, uint64_t gpa, uint64_t now);

/** usage_candidate() - a region that nobody else may use any more. Return: is there one? */
bool usage_candidate(struct usage *u, uint64_t now, uint64_t *ret);

/** usage_forget() - the region at @gpa is plain. */
void usage_forget(struct usage *u, uint64_t gpa);

/** usage_deadline() - when usage_candidate() may have something; UINT64_MAX for never. */
uint64_t usage_deadline(const struct usage *u);

#endif
