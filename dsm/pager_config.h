/* SPDX-License-Identifier: Apache-2.0 */
/* What whoever uses the pager (dsm/pager.h) and each of its shards (dsm/shard.h) both speak of. */
#ifndef SSIHV_DSM_PAGER_CONFIG_H
#define SSIHV_DSM_PAGER_CONFIG_H

#include "base/hist.h"
#include "dsm/evict.h"
#include "dsm/prefetch.h"
#include "dsm/proto.h"
#include "mem/ram.h"
#include "trace/writer.h"
#include "transport/transport.h"

#define PAGER_MAX_PENDING 512

/*
 * What a shard keeps for itself, whatever the guest's size: its struct, pages on their way out, a
 * record for each request of its own and of others. Its connections come on top (CONN_BYTES).
 */
#define PAGER_SHARD_BYTES (2560 * KIB)

struct pager_config {
	unsigned self, nodes, shards; /* shards: the same on all nodes */
	uint32_t epoch;
	uint64_t hold_ns;  /* length of a turn, see dsm/hold.h */
	uint64_t spin_ns;  /* how long a shard polls for an answer before it sleeps */
	uint64_t quiet_ns; /* a region that nobody else asks for is plain memory then; 0: never */
	/*
	 * By how many requests a node must lead for a region to go to live there (dsm/rehome.h),
	 * MAX_HOMES_LEAD at most; 0: homes stay. After that it stays for so long.
	 */
	unsigned homes;
	uint64_t homes_rest_ns;
	/* Does the region at @gpa stay where it is at home? The same on all nodes. NULL: none. */
	bool (*pinned)(void *ctx, uint64_t gpa);
	bool exact;	    /* no prefetch, no recall: one fault, one request */
	uint64_t copies;    /* bytes of other homes' pages that may be here; 0: any number */
	struct ram *ram;    /* stays the caller's, must outlive the pager */
	struct conn **conn; /* [shard * nodes + peer], pages; stay the caller's */
	/*
	 * The guest's clock, for the stamps of messages; NULL: there is none. reach() waits until
	 * the clock is not behind the stamp of a peer; -EPROTO for one that no sound peer sends.
	 */
	uint64_t (*clock)(void *ctx);
	int (*reach)(void *ctx, unsigned peer, uint64_t stamp);
	/* @culprit: the node to blame, -1 for this host. @text: one line for the user. */
	void (*fatal)(void *ctx, int culprit, const char *text);
	/* Where all that happens is recorded; NULL: nowhere. The caller's, outlives the pager. */
	struct trace_writer *trace;
	void *ctx;
};

struct pager_stats {
	struct dsm_stats dsm;
	struct evict_stats evict; /* where there is a limit */
	struct prefetch_stats prefetch;
	struct hist local, remote; /* fault service time, ns: event read -> page usable */
};

/* A question to a shard, see pager_call(). */
typedef void (*pager_call_fn)(const struct dsm_proto *proto, void *arg);

#endif
