/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the measures share: how a run is set up, what the nodes do on command, what it costs.
 *
 * A MEASURE is a function that runs in node 0 of a cluster of node processes on this machine (real
 * userfaultfd, real sockets, no KVM; tests/dsm/native_cluster.h) and adds figures, round by round:
 * first the yardstick (peer.h), then the same number of what is measured, so that what disturbs
 * this machine for longer than a round disturbs both. Node 1 is the home of the pages, further
 * nodes have copies, are idle, or ask as well.
 *
 * PLACES. All threads of a node have the same CPUs: all nodes on one; or a CPU for each node, where
 * nodes that are more than there are CPUs share those that node 0 has not.
 *
 * COSTS. CPU time is that of all threads of the processes (what a measure does beside the faults,
 * such as handing a turn over, is in it); packets are the segments that the connections of either
 * kind have sent, by TCP_INFO, pure acknowledgements among them.
 *
 * A measure is run by bench/main.c, one process tree a measure, and told by tools/bench.py.
 */
#ifndef SSIHV_BENCH_BENCH_H
#define SSIHV_BENCH_BENCH_H

#include "bench/figures.h"
#include "bench/peer.h"
#include "tests/dsm/native_usage.h"

enum { ASKER, HOME, THIRD }; /* nodes by what they do */

struct bench;
struct asker;

struct measure {
	const char *name;
	unsigned nodes;
	unsigned arg;	 /* the measure's own */
	unsigned shards; /* of each node; 0: one */
	bool guess;	 /* with prefetch, as in real use; else one fault is one request */
	unsigned spread; /* pages at home on each node per page of a round; 0: none */
	bool home_alone; /* with a CPU each, HOME has its to itself, and all others share */
	/*
	 * Not 0: a round is two clusters, one whose homes stay, and one where they move and rest
	 * for so long (homes.c).
	 */
	unsigned homes_rest_ms;
	void (*setup)(struct bench *b);		 /* adjusts b->memory; may be NULL */
	void (*populate)(struct native_node *n); /* NULL: HOME writes to all of its pages */
	void (*run)(struct asker *a);
};

/* Each table ends with a measure without a name. */
extern const struct measure latency_measures[], rate_measures[], scale_measures[], alone_measures[],
	sweep_measures[], homes_measures[];

/* What a node has used since it started. */
struct counters {
	uint64_t cpu_ns;
	uint64_t page_packets, raw_packets;
	uint64_t moves; /* regions whose home it was */
};

/* Shared by all processes of a run. */
struct bench {
	const struct measure *measure;
	int cpu[NATIVE_NODES_MAX]; /* -1: not pinned */
	uint64_t spin_ns;
	unsigned rounds, count; /* so many faults, or pages, in each round */
	char trace[128];	/* directory for a trace of each node; "": none is made */
	uint64_t memory;	/* bytes at home on each node */
	uint64_t copies;	/* bytes that a node may keep of others; 0: any number */
	uint64_t keepers;	/* set of nodes that may keep any number all the same */
	bool moving;		/* of a measure with homes_rest_ms: do homes move this time? */
	double fixed_rate;	/* what it found when they stayed */

	struct counters counters[NATIVE_NODES_MAX];
	struct native_usage usage[NATIVE_NODES_MAX]; /* as of each node's last PEER_USAGE */
	uint64_t took_ns[NATIVE_NODES_MAX];	     /* each node's last PEER_TOUCH */
	struct {
		int fd;
		pid_t pid;
	} plain; /* node 0's own, see alone.c */
	struct figures figures;
};

/* Node 0, while it measures. */
struct asker {
	struct native_node *n;
	struct bench *b;
	struct peer peer[NATIVE_NODES_MAX];
	struct counters begin[NATIVE_NODES_MAX];
	struct samples samples; /* b->count */
};

/** bench_run() - run the cluster. Return: 0, -1 after a failure that was told on stderr. */
int bench_run(struct bench *b);

/** bench_page() - page number @page of those at home on @home. */
static inline volatile uint64_t *bench_page(const struct native_node *n, unsigned home,
					    uint64_t page)
{
	return native_at(n, home, page * PAGE_BYTES);
}

/** touch() - touch pages with threads of this node. Return: ns. */
uint64_t touch(struct native_node *n, const struct touch *t);

/* For node 0; what fails ends the run. */
void ask_touch(struct asker *a, unsigned node, const struct touch *t);
void ask_begin(struct asker *a, unsigned node, const struct touch *t);
void ask_end(struct asker *a, unsigned node);
void ask_usage(struct asker *a); /* of all nodes: into b->usage */
void ask_page(struct asker *a);
void ask_stream(struct asker *a, unsigned pages);

/**
 * phase_begin(), phase_end() - what all nodes have used between them
 *
 * phase_end() adds the figures @side.cpu_asker, .cpu_home, .cpu_others (all but the asker's; us)
 * and .packets, each per one of @count; the packets are those of the pager's connections, or of the
 * yardstick's.
 */
void phase_begin(struct asker *a);
void phase_end(struct asker *a, const char *side, unsigned count, bool raw);

#endif
