/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node's pager did, record by record: the format of a trace.
 *
 * A trace is one file a node: a header, then chunks. A chunk holds records of one shard, in the
 * order in which its thread made them; chunks of the shards alternate as they come. What a shard
 * says of a page comes before what its thread did next, and messages between two shards are in the
 * order of their connection. So the k-th page message that one node's shard has sent to another is
 * the k-th that the other's shard has received, and the traces of all nodes together tell what came
 * before what without any clock (trace/merge.h).
 *
 * TIME. Of the clock that the cluster keeps, in ticks, so that it can be compared between nodes as
 * far as that clock is right; a correction may make it go back a little. How long something lasted
 * is told in nanoseconds of the host.
 *
 * LOSS. A shard never waits for who writes the file. What finds no room is counted: a record
 * TRACE_GAP tells how many are missing where it stands, an end of chunks how many are missing
 * behind the last one that is there.
 *
 * LAYOUT. Little-endian, which is what the structs are on x86-64, the only host; a trace is read by
 * the build that wrote it, or one whose messages and records are the same.
 */
#ifndef SSIHV_TRACE_RECORD_H
#define SSIHV_TRACE_RECORD_H

#include "base/base.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the structs are the encoding");

#define TRACE_MAGIC   UINT64_C(0x4352545648495353) /* "SSIHVTRC" */
#define TRACE_VERSION 1
#define TRACE_SUFFIX  ".trace"

enum trace_kind {
	TRACE_GAP = 1, /* value: records that are missing here */
	/* A thread faulted. flags: WRITE; value: its thread id. */
	TRACE_FAULT,
	/*
	 * A message about a page. what: enum wire_type; peer: to or from whom; flags (as
	 * `message`), node, acks, ticket and ticket_node: of its header.
	 */
	TRACE_SENT,
	TRACE_RECEIVED,
	/* The page is here from now on. flags: WRITE, ZERO; value: ns that a thread waited, or 0 */
	TRACE_MAP,
	TRACE_UNPROTECT, /* it may be written to; value: as above */
	TRACE_PROTECT,	 /* it may only be read */
	TRACE_DROP,	 /* it is here no longer */
	TRACE_WAKE,	 /* a fault that was served already */
	/* 64 pages from addr on are shared from now on; value: a bit each, those that are here */
	TRACE_TRACK,
	TRACE_UNTRACK, /* the region is its home's alone again, all of it */
	TRACE_CAME,    /* the region is at home here */
	TRACE_LEFT,    /* no longer */
	/* The page was asked for, and nobody waits. what: enum trace_guess; flags: WRITE. */
	TRACE_GUESS,
	/* What became of guesses, by a fault on the page. value: right | wrong << 32 */
	TRACE_JUDGED,
	TRACE_TURN_BEGIN, /* ticket: its number. addr: 0, here and below */
	TRACE_TURN_END,	  /* what: enum trace_turn; ticket; value: ns that it lasted */
	TRACE_KINDS,
};

enum {
	TRACE_WRITE = 1,
	TRACE_ZERO = 2,
};

enum trace_guess {
	TRACE_RECALL, /* it was here, and was taken */
	TRACE_AHEAD,  /* it is on the way of a thread, or came behind the page before */
	TRACE_GUESSES,
};

/* Why a turn was over; see dsm/hold.h. */
enum trace_turn {
	TRACE_TURN_IDLE,      /* no CPU of the node was awake */
	TRACE_TURN_RAN,	      /* it ran as long as a turn lasts */
	TRACE_TURN_YIELDED,   /* likewise, and had sent an interrupt: so it was a short one */
	TRACE_TURN_RAN_OUT,   /* it ran and waited again, for too long */
	TRACE_TURN_NEVER_RAN, /* it waited for too long */
	TRACE_TURNS,
};

struct trace_record {
	uint64_t time;
	uint64_t addr; /* of the page */
	uint64_t value;
	uint8_t kind; /* enum trace_kind; what it does not use is 0 */
	uint8_t what;
	uint8_t flags;
	uint8_t peer;
	uint8_t node;
	uint8_t acks;
	uint8_t ticket;
	uint8_t ticket_node;
};
static_assert(sizeof(struct trace_record) == 32, "file layout");
static_assert(offsetof(struct trace_record, kind) == 24, "file layout");

struct trace_header {
	uint64_t magic;	       /* TRACE_MAGIC */
	uint32_t version;      /* TRACE_VERSION */
	uint32_t wire_version; /* wire_version(): what the records call messages */
	uint32_t epoch;	       /* of the run */
	uint16_t self, nodes, shards;
	uint16_t record_bytes; /* sizeof(struct trace_record) */
	uint64_t ticks_khz;    /* of `time` */
	char name[32];	       /* of the node; NUL-terminated */
	uint64_t reserved[7];
};
static_assert(sizeof(struct trace_header) == 128, "file layout");

#define TRACE_CHUNK	 UINT32_C(0x4b4e4843) /* "CHNK" */
#define TRACE_CHUNK_MOST 32768		      /* records of one chunk */

struct trace_chunk {
	uint32_t magic; /* TRACE_CHUNK */
	uint16_t shard;
	uint16_t end;	/* 1: nothing of this shard follows, and there are no records */
	uint32_t count; /* of records that follow */
	uint32_t reserved;
	uint64_t lost; /* of an end: records that are missing behind the last one */
	uint64_t reserved2;
};
static_assert(sizeof(struct trace_chunk) == 32, "file layout");

/**
 * trace_record_check() - may a sound pager of a cluster with @nodes nodes have made this record?
 *
 * Return: 0; -EBADMSG.
 */
int trace_record_check(const struct trace_record *r, unsigned nodes);

/** trace_record_text() - the record as a person reads it, without its time, in one line of @buf. */
const char *trace_record_text(const struct trace_record *r, char *buf, size_t len);

/** trace_turn_name() - "idle" for TRACE_TURN_IDLE, and so on. */
const char *trace_turn_name(enum trace_turn why);

#endif
