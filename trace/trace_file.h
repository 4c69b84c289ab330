/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace of one node, read back. A file may come from anywhere: all of it is checked before any
 * of it is believed, and what has passed needs no second look.
 *
 * A file that ends in the middle is that of a node that was killed, or of a disk that was full: it
 * is read as far as its last whole record, and `cut` says so. Anything else that is wrong is an
 * error that tells where.
 */
#ifndef SSIHV_TRACE_TRACE_FILE_H
#define SSIHV_TRACE_TRACE_FILE_H

#include "base/file.h"
#include "trace/record.h"

struct trace_part {
	const uint8_t *at; /* of any alignment */
	uint64_t count;
	unsigned shard;
};

struct trace_file {
	struct file file;
	struct trace_header head;
	struct trace_part *part; /* in the order of the file */
	size_t parts;
	bool cut;
	struct {
		uint64_t records;
		uint64_t lost; /* missing somewhere: gaps, and what is missing at the end */
		bool ended;    /* all that the shard did is here, but for what is lost */
	} shard[MAX_SHARDS];
};

/**
 * trace_file_parse() - a trace in memory, which stays the caller's and must outlive @ret
 * @name: for errors
 *
 * Return: 0, then trace_file_free(); -EBADMSG; -EPROTONOSUPPORT: of another version; -ENOMEM.
 */
int trace_file_parse(const char *name, const uint8_t *data, size_t len, struct trace_file *ret,
		     struct err *err);

/** trace_file_read() - the same of a file. Return: as above; as file_read(). */
int trace_file_read(const char *path, struct trace_file *ret, struct err *err);

void trace_file_free(struct trace_file *f);

/* The records of one shard, one after the other. Start with {f, shard}. */
struct trace_cursor {
	const struct trace_file *file;
	unsigned shard;
	size_t part;
	uint64_t at;	/* in the part */
	uint64_t index; /* of the next record among all of the shard */
};

/** trace_cursor_next() - Return: false at the end. */
bool trace_cursor_next(struct trace_cursor *c, struct trace_record *ret);

#endif
