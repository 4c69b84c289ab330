/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster file as libcyaml reads it: every value as the file has it, NULL where a key is
 * missing. Private to config/: load.c turns it into struct cluster_config.
 */
#ifndef SSIHV_CONFIG_SCHEMA_H
#define SSIHV_CONFIG_SCHEMA_H

#include "base/err.h"
#include "config/cluster.h"

struct file_node {
	char *name, *address, *memory, *ssh;
	unsigned *vcpus;
	char *limit;
	unsigned *cpus;
	unsigned cpus_count;
};

struct cluster_file {
	struct {
		char *name;
	} cluster;
	struct {
		char *kernel, *initrd, *append;
	} guest;
	struct file_node *nodes;
	unsigned nodes_count;
	struct {
		enum cluster_transport kind;
	} transport;
	struct {
		unsigned *local_distance, *remote_distance;
	} numa;
	struct {
		unsigned *shards, *hold_us, *spin_us, *homes;
		char *trace, *trace_size;
	} pager;
	struct {
		unsigned *together;
	} boot;
	struct {
		unsigned *slow_motion, *skew_ppm, *unlike_cpus, *free_clocks;
		char *host_memory;
	} lab;
	enum cluster_placement placement;
};

/* numa.distances, read in a second pass: the length of a row is known only with the nodes. */
struct file_distances {
	struct {
		unsigned *distances;	  /* rows of nodes_count numbers */
		unsigned distances_count; /* rows; 0 when the key is missing */
	} numa;
};

/**
 * schema_read() - parse @text (@len bytes) of the file called @origin
 *
 * Return: 0 with @ret for schema_free(); -EINVAL with @err naming line and key; -ENOMEM.
 */
int schema_read(const char *origin, const char *text, size_t len, struct cluster_file **ret,
		struct err *err);
void schema_free(struct cluster_file *file);

/** schema_read_distances() - the same for the distance matrix of @nodes nodes. */
int schema_read_distances(const char *origin, const char *text, size_t len, unsigned nodes,
			  struct file_distances **ret, struct err *err);
void schema_free_distances(struct file_distances *d, unsigned nodes);

/* A row of the table of keys. Numbers outside of nodes have a range, a default and two places. */
struct key {
	struct cluster_key doc;
	bool number;
	unsigned min, max, fallback;
	size_t file_offset;   /* of the `unsigned *` in struct cluster_file */
	size_t config_offset; /* of the `unsigned` in struct cluster_config; SIZE_MAX: none */
};

/** key_at() - as cluster_key(), with what the conversion needs. */
const struct key *key_at(size_t index);

#endif
