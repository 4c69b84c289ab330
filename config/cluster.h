/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cluster is: its nodes, their memory and CPUs, and the settings that all of them share.
 *
 * Read from a YAML file (cluster_load), made up for a number of equal nodes (cluster_default), and
 * written out again for the nodes to read (cluster_save). What cluster_load() returns has passed
 * every check, of each number and of their totals: users of the struct need not look at ranges
 * again.
 */
#ifndef SSIHV_CONFIG_CLUSTER_H
#define SSIHV_CONFIG_CLUSTER_H

#include "base/err.h"

/* The trace of one node: at least, and unless the user says otherwise. */
#define MIN_TRACE_BYTES (UINT64_C(1) << 20)
#define TRACE_BYTES	(UINT64_C(128) << 20)

enum cluster_transport { CLUSTER_TCP };

/* Where the node processes run. */
enum cluster_placement {
	CLUSTER_HOSTS, /* on this machine or over ssh, as the nodes' addresses say */
	CLUSTER_LOCAL, /* all on this machine */
	CLUSTER_LAB,   /* each on an emulated host of its own */
};

struct cluster_node {
	char name[32];	   /* letters, digits, '-', '_', '.'; unique */
	char address[128]; /* "host:port" or "[ipv6]:port"; "" when the run picks it (not for hosts)
			    */
	char ssh[128];	   /* "user@host" to start the node there; "" for this machine */
	uint64_t memory;   /* bytes; a multiple of REGION_BYTES */
	uint64_t limit;	   /* bytes of guest memory that may be on its host; 0: the node decides */
	unsigned vcpus;	   /* 0: it gives memory only; not on the first node */
	unsigned cpus_count;	       /* 0: not pinned; else vcpus */
	unsigned cpus[MAX_NODE_VCPUS]; /* host CPU of each vCPU */
};

struct cluster_config {
	char name[64];
	char *kernel, *initrd, *append; /* NULL when not given; paths are absolute */
	enum cluster_placement placement;
	enum cluster_transport transport;
	unsigned nodes_count; /* 1..MAX_NODES */
	struct cluster_node nodes[MAX_NODES];
	/* As in the SLIT: [from][to], 10 on the diagonal, 11..254 elsewhere; may be asymmetric. */
	uint8_t distance[MAX_NODES][MAX_NODES];
	struct {
		unsigned shards;
		unsigned hold_us; /* how long a node runs with the pages that it fetched */
		unsigned spin_us; /* how long a pager thread spins for an answer before it sleeps */
		unsigned homes; /* a region's home moves to who leads by so many requests; 0: no */
	} pager;
	struct {
		char *dir;     /* where each node writes its trace; absolute; NULL: nowhere */
		uint64_t size; /* bytes that one may have */
	} trace;
	struct {
		unsigned together; /* 1: all vCPUs start on node 0 and move when they have work */
	} boot;
	struct {
		unsigned slow_motion; /* all clocks of the lab's hosts run this many times slower */
		unsigned skew_ppm;    /* those of host n n times this many ppm fast */
		unsigned unlike_cpus; /* 1: every other host has a newer CPU model */
		unsigned free_clocks; /* 1: clocks are set and left alone; 2: nor do stamps count */
		uint64_t host_memory; /* bytes of an emulated host; 0: the run picks it */
	} lab;
};

/**
 * cluster_load() - read and check a cluster file
 *
 * Return: 0 with a configuration for cluster_free(); negative errno with @err naming file, line
 * (where the parser knows it), key and way out: -EINVAL for what is malformed or contradictory,
 * or what opening the file returned.
 */
int cluster_load(const char *path, struct cluster_config **ret, struct err *err);

/**
 * cluster_default() - @nodes equal nodes named node0, node1, ... without addresses
 * @placement: CLUSTER_LOCAL or CLUSTER_LAB
 * @memory:    bytes per node
 * @vcpus:     per node
 *
 * Return: 0, or -EINVAL with @err for a number out of range.
 */
int cluster_default(enum cluster_placement placement, unsigned nodes, uint64_t memory,
		    unsigned vcpus, struct cluster_config **ret, struct err *err);

/**
 * cluster_check() - every rule of cluster_load() on a configuration that was changed since
 * @origin: what the error names first: the file, or the command line
 */
int cluster_check(const struct cluster_config *cfg, const char *origin, struct err *err);

/** cluster_save() - write @cfg so that cluster_load() reads the same. */
int cluster_save(const struct cluster_config *cfg, const char *path, struct err *err);

/**
 * cluster_digest() - 64-bit FNV-1a over the canonical text of what all nodes must agree on
 *
 * That is everything but the guest section and what only one host uses (ssh, cpus, host_memory).
 *
 * Return: 0; -ENOMEM.
 */
int cluster_digest(const struct cluster_config *cfg, uint64_t *ret);

/** cluster_find() - the index of the node called @name, or -ENOENT. */
int cluster_find(const struct cluster_config *cfg, const char *name);

void cluster_free(struct cluster_config *cfg);
static inline void cluster_freep(struct cluster_config **cfg)
{
	cluster_free(*cfg);
}

/* One key of the cluster file: help, validation of numbers and the manual are made from it. */
struct cluster_key {
	const char *path;     /* "pager.shards"; "nodes[].name" for a key of every node */
	const char *form;     /* what the value looks like */
	const char *fallback; /* text: what a missing key means, "required" or "none" */
	const char *help;
};

/** cluster_key() - the keys in the order of the file; NULL from the number of keys on. */
const struct cluster_key *cluster_key(size_t index);

#endif
