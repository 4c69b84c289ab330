/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace of one node while it is made: a ring for each shard, and a thread that empties them
 * into the file.
 *
 * The file has a limit. What comes after that is counted and told at the end, and so is what comes
 * after the file could not be written any more (the disk is full): what is in it stays good, since
 * a trace that ends early is a shorter trace. A node that is killed leaves what was written until
 * then, at most TRACE_DRAIN_MS less than it did.
 *
 * The rings hold what a shard can make in some tenths of a second; the thread looks at them more
 * often. Nobody wakes it: that would be a system call of the shard.
 *
 * Threads: trace_writer_new() and _close() from one, each ring's trace_ring_put() from one of its
 * own, before the close.
 */
#ifndef SSIHV_TRACE_WRITER_H
#define SSIHV_TRACE_WRITER_H

#include "base/err.h"
#include "trace/ring.h"

#define TRACE_DRAIN_MS	 5
#define TRACE_FILE_LEAST 4096
#define TRACE_RING	 UINT64_C(32768) /* records */
#define TRACE_RING_BYTES (TRACE_RING * sizeof(struct trace_record))

struct trace_writer;

struct trace_writer_config {
	const char *dir;  /* must exist; the file in it is called NAME.trace */
	const char *name; /* of the node */
	unsigned self, nodes, shards;
	uint32_t epoch;
	uint64_t size;		      /* bytes that the file may have; at least TRACE_FILE_LEAST */
	uint64_t ticks_khz;	      /* of the clock */
	uint64_t (*clock)(void *ctx); /* any thread */
	void *ctx;
	uint64_t ring; /* records of a ring, a power of two; 0: TRACE_RING */
};

/** What became of it. */
struct trace_outcome {
	uint64_t written, lost; /* records */
	int error;		/* of writing: negative errno, or 0 */
};

/**
 * trace_writer_new() - make the file, in place of one that was there, and start the thread
 *
 * Return: 0; negative errno with @err naming the file.
 */
int trace_writer_new(const struct trace_writer_config *cfg, struct trace_writer **ret,
		     struct err *err);

/** trace_writer_ring() - where shard @shard puts its records. */
struct trace_ring *trace_writer_ring(struct trace_writer *w, unsigned shard);

/** trace_writer_close() - write what is left, and end. NULL: nothing. @ret: may be NULL. */
void trace_writer_close(struct trace_writer *w, struct trace_outcome *ret);

#endif
