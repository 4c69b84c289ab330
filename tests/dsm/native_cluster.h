/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster of node processes on this machine, for tests and benchmarks of the pager: real
 * userfaultfd, real sockets on 127.0.0.1, no KVM.
 *
 * native_run() forks one process a node. Each maps the RAM of all nodes, connects to the others,
 * starts its pager and calls the body; in the end all wait for each other before they part. A node
 * that fails says why on stderr and exits, and the others are killed. Nothing outlives the call:
 * nodes die with their parent, and the parent kills them at the deadline.
 */
#ifndef SSIHV_TESTS_DSM_NATIVE_CLUSTER_H
#define SSIHV_TESTS_DSM_NATIVE_CLUSTER_H

#include <pthread.h>
#include <stdatomic.h>

#include "dsm/pager.h"
#include "transport/faulty.h"
#include "transport/mesh.h"

#define NATIVE_NODES_MAX 8
#define NATIVE_WORDS	 4096

/* Ordinary shared memory of all processes: what the test itself agrees on. Zero at the start. */
struct native_shared {
	pthread_barrier_t barrier;
	pid_t pid[NATIVE_NODES_MAX];
	char address[NATIVE_NODES_MAX][32];
	_Atomic uint64_t word[NATIVE_WORDS];
};

struct native_node;

struct native_config {
	unsigned nodes, shards;
	uint64_t memory; /* bytes at home on each node */
	uint64_t hold_ns, spin_ns, quiet_ns;
	unsigned homes; /* see struct pager_config, and the next */
	uint64_t homes_rest_ns;
	uint64_t pinned;  /* bytes from the start of the guest whose homes stay */
	bool exact;	  /* see struct pager_config */
	uint64_t copies;  /* see there */
	uint64_t keepers; /* set of nodes that may keep any number of copies all the same */
	uint64_t skew_ns; /* node 0's clock is ahead of the others' by that; 0: there is none */
	void (*before)(struct native_node *n); /* memory is there, the pager is not; may be NULL */
	void (*body)(struct native_node *n);
	void *ctx;
	int lost; /* the node that the body kills, -1 for none; NATIVE_NODES_MAX: only connections
		   */
	const char *trace;	     /* directory for a trace of each node; NULL: none is made */
	uint64_t trace_ring;	     /* records of its ring; 0: as in real use */
	const struct faults *faults; /* of all connections; NULL: plain TCP */
	unsigned timeout_s;
};

struct native_node {
	const struct native_config *cfg;
	struct native_shared *shared;
	unsigned self;
	struct listener *listener;
	struct ram *ram;
	struct mesh mesh;
	struct pager *pager;
	struct trace_writer *trace;
	_Atomic uint64_t waits; /* for stamps of peers */
	/* What the pager's `fatal` said, first call. */
	_Atomic int fatal_calls, culprit;
	_Atomic bool told; /* set after the two others */
	char fatal_text[256];
};

/** native_usable() - may this user have a userfaultfd here? Return: 0; negative errno with @err. */
int native_usable(struct err *err);

/** native_run() - run a cluster to its end. Return: 0, or -1 when any node failed. */
int native_run(const struct native_config *cfg);

/** native_barrier() - wait for the main threads of all nodes. */
void native_barrier(struct native_node *n);

/** native_die() - say why on stderr and end this node as failed. */
_Noreturn void native_die(const struct native_node *n, const char *fmt, ...) _printf_(2, 3);

#define NATIVE_CHECK(n, cond, ...)                                                                 \
	do {                                                                                       \
		if (!(cond))                                                                       \
			native_die((n), #cond ": " __VA_ARGS__);                                   \
	} while (0)

/** native_trace_end() - the node's trace, if there is one, is whole; its pager has stopped. */
void native_trace_end(struct native_node *n);

/** native_clock() - this node's clock, ns. */
uint64_t native_clock(const struct native_node *n);

/** native_at() - the memory @offset bytes into what is at home on node @home. */
static inline void *native_at(const struct native_node *n, unsigned home, uint64_t offset)
{
	return n->ram->base + home * n->cfg->memory + offset;
}

/** native_threads() - run @fn in @count threads of this node and wait for all of them. */
struct native_thread {
	struct native_node *node;
	unsigned index; /* among all threads of all nodes: node * count + i */
	unsigned local; /* i */
	pthread_t id;
};
void native_threads(struct native_node *n, unsigned count, void *(*fn)(void *));
void native_thread_start(struct native_thread *t, void *(*fn)(void *));

#endif
