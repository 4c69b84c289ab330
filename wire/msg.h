/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message between two nodes: one fixed header, then `len` bytes of payload.
 *
 * Goal: a message can be read, checked and answered without allocation. All integers are
 * little-endian; x86-64 is the only host, so the structs are the encoding and static_asserts hold
 * their layout. A receiver calls wire_check() before it looks at anything else: it bounds `len` by
 * type, so that no peer can make us read or keep more than WIRE_PAYLOAD_MAX bytes.
 *
 * What a type's generic fields mean stands beside its enumerator.
 *
 * RUN. A message about a page may speak of the pages behind it, too: `more` of them, all in one
 * region of 2 MiB. It means as many messages, alike but for `addr`, in the order of their pages; a
 * payload holds the pages one behind the other. wire/run.h joins them and takes them apart.
 *
 * STAMP. A message through which a vCPU can learn what another one did (a page, the leave to write
 * one that others have read, an interrupt, the result of an access, a vCPU) carries the guest TSC
 * of its sender, read after that was done. The receiver lets nobody see the message's effect before
 * its own guest TSC has reached it, so a later reading is never smaller than an earlier one,
 * however far the hosts' clocks are apart. 0: the sender has no clock (bench/, tests).
 */
#ifndef SSIHV_WIRE_MSG_H
#define SSIHV_WIRE_MSG_H

#include "base/base.h"

#define WIRE_MAGIC	 UINT32_C(0x56485353) /* "SSHV" */
#define WIRE_RUN_PAGES	 64		      /* neighbouring pages that one message may speak of */
#define WIRE_PAYLOAD_MAX (WIRE_RUN_PAGES * PAGE_BYTES)
#define WIRE_EVENT_MAX	 PAGE_BYTES /* payload of WIRE_CLASS_EVENT */
#define WIRE_TEXT_MAX	 512	    /* a line for the user: not terminated, no newline */

/* Connections between two nodes, by class; a class never waits behind another. */
enum wire_class {
	WIRE_CLASS_CONTROL, /* bring-up, clock, stop: the main thread */
	WIRE_CLASS_EVENT,   /* interrupts, forwarded exits */
	WIRE_CLASS_PAGE,    /* requests, demands, grants; one connection a shard */
	WIRE_CLASSES,
};

enum wire_type {
	/*
	 * Any class, first on every connection and never again. Payload: struct wire_hello.
	 * The header's layout, this number and the hello's magic and version are the same in all
	 * versions, so that any two can tell their users that they differ.
	 */
	WIRE_HELLO = 1,
	/*
	 * First answer when the hello is refused. flags: 1 when it may fit later (come again), else
	 * 0. Payload: a line for the user, not empty.
	 */
	WIRE_REFUSE,
	/* Control, last of the greeting: the sender has all its connections, to all nodes. */
	WIRE_MESHED,

	/*
	 * WIRE_CLASS_PAGE; addr = guest-physical address of the page, everywhere below.
	 * node = the node that asked for the page (the requester). more: see RUN, but for URGE and
	 * what is about a region.
	 */
	WIRE_GETS = 16, /* requester -> home: let me read */
	WIRE_GETM,	/* requester -> home: let me write */
	/* Demands; ticket: of the oldest turn that waits for the page. */
	WIRE_FWD_GETS, /* home -> owner or sharer: send a copy to `node`, keep a read-only one */
	WIRE_FWD_GETM, /* home -> owner or sharer: give your copy to `node`; acks as for GRANT */
	WIRE_INV,      /* home -> sharer: drop your copy, acknowledge to `node` */
	WIRE_INV_ACK,  /* sharer -> requester: dropped */
	/* requester -> home, if others granted or acknowledged: it is mapped, now the next */
	WIRE_DONE,
	WIRE_URGE, /* home -> all: an older turn waits behind the demand for `node` (as there) */
	/* A copy goes back to its home; `node` is the node that has it. */
	WIRE_PUT,     /* sharer or owner -> home: a hint, take my copy when it suits */
	WIRE_DROP,    /* home -> sharer: a demand, drop the copy that you have offered */
	WIRE_DROPPED, /* sharer -> home: so it was done, the page is free for the next */
	/* A region of 2 MiB gets another home, dsm/proto_move.c; addr = it, node = the new home. */
	WIRE_REHOME,	 /* old home -> the new one, then all others */
	WIRE_REHOME_ACK, /* the answer. flags: WIRE_REHOME_REFUSED, by the new home, or 0 */
	WIRE_HOME, /* old home -> new. addr = first page of a part. Payload: struct wire_home */

	/*
	 * WIRE_CLASS_PAGE, home or owner -> requester. flags: WIRE_GRANT_*; acks = number of
	 * WIRE_INV_ACK that must arrive before the page may be written (WIRE_GRANT_WRITE only).
	 * Payload: the page, or all of a run, if WIRE_GRANT_DATA.
	 */
	WIRE_GRANT = 32,

	/* WIRE_CLASS_EVENT. Data of forwarded I/O: at most WIRE_IO_DATA_MAX bytes a message. */
	WIRE_IPI = 48, /* for vCPUs of `node`, wherever they are. Payload: struct wire_ipi */
	WIRE_EOI,      /* broadcast EOI of a level interrupt to the IOAPIC's node; addr = vector */
	WIRE_IO_REQUEST, /* vCPU's node -> device's. Payload: struct wire_io + data for writes */
	WIRE_IO_REPLY,	 /* addr = the request's cookie. Payload: struct wire_io + data for reads */

	/*
	 * A vCPU moves; addr = its index in the cluster. What is sent to a node which is not its
	 * place any more is passed on from there; see irq/place.h.
	 */
	WIRE_VCPU_STATE,   /* old place -> new. Payload: struct wire_part + bytes, in order */
	WIRE_VCPU_AT,	   /* new place -> all others: it is here. Payload: struct wire_place */
	WIRE_VCPU_REFUSED, /* new -> old: it cannot run here, have it. Payload: struct wire_place */

	/* WIRE_CLASS_CONTROL */
	WIRE_JOIN = 64, /* node -> node 0: what this host can do. Payload: struct wire_join */
	WIRE_START,	/* node 0 -> all: what the cluster does. Payload: struct wire_start */
	WIRE_PING,	/* addr = sender's host TSC */
	WIRE_PONG,	/* addr = the ping's addr. Payload: struct wire_pong */
	/* The VM ends. flags: WIRE_STOP_*; addr = the lost node + 1, or 0; payload: a line why */
	WIRE_STOP,
	WIRE_READY, /* node -> node 0: everything is up, the guest may start */
	/* What all nodes do together, see vmm/phase.h. flags: WIRE_PHASE_* */
	WIRE_PHASE,	 /* node 0 -> all. addr: for TIME, how many ticks the guest stood still */
	WIRE_PHASE_DONE, /* node -> node 0: this one was carried out */
};

enum {
	WIRE_GRANT_WRITE = 1, /* else read-only */
	WIRE_GRANT_DATA = 2,  /* the page follows */
	WIRE_GRANT_ZERO = 4,  /* the page is all zero, no data follows; neither: requester has it */
};

#define WIRE_REHOME_REFUSED 1

enum wire_stop {
	WIRE_STOP_POWEROFF = 1, /* the guest switched itself off */
	WIRE_STOP_RESET,	/* the guest asked for a reset */
	WIRE_STOP_FAILED,	/* something broke: the text says what */
	WIRE_STOP_ASKED,	/* the user ended it */
};

enum wire_phase {
	WIRE_PHASE_PAUSE = 1, /* vCPUs park */
	WIRE_PHASE_STAND,     /* the clock stands */
	WIRE_PHASE_TIME,      /* the clock goes on */
	WIRE_PHASE_RESUME,    /* vCPUs run */
};

struct wire_hdr {
	uint32_t len;	     /* bytes of payload that follow */
	uint8_t type;	     /* enum wire_type */
	uint8_t flags;	     /* by type, else 0 */
	uint8_t from;	     /* sending node */
	uint8_t more;	     /* pages of a run behind the one at `addr`, see above; else 0 */
	uint32_t epoch;	     /* the cluster's epoch; another one's messages are refused */
	uint8_t node;	     /* by type, else 0 */
	uint8_t ticket;	     /* requests and demands: number of a turn, see dsm/hold.h; else 0 */
	uint8_t acks;	     /* by type, else 0 */
	uint8_t ticket_node; /* demands: whose turn `ticket` is of; else 0 */
	uint64_t addr;	     /* by type, else 0 */
	uint64_t stamp;	     /* what the guest may learn from: sender's guest TSC, else 0 */
};
static_assert(sizeof(struct wire_hdr) == 32, "wire layout");
static_assert(offsetof(struct wire_hdr, addr) == 16, "wire layout");
static_assert(offsetof(struct wire_hdr, stamp) == 24, "wire layout");

/* A part of a region's directory. */
#define WIRE_HOME_PAGES 256
struct wire_home {
	uint64_t sharers[WIRE_HOME_PAGES]; /* nodes that have a copy; 0: the page is all zero */
	uint8_t owner[WIRE_HOME_PAGES];	   /* the sharer that may write; UINT8_MAX: none */
};
static_assert(sizeof(struct wire_home) == 2304, "wire layout");

struct wire_hello {
	uint32_t magic;	  /* WIRE_MAGIC */
	uint32_t version; /* wire_version() */
	uint64_t config;  /* digest of the cluster's configuration, config_digest() */
	uint16_t from;	  /* sender's node number */
	uint16_t to;	  /* whom the sender thinks it talks to */
	uint16_t class_;  /* enum wire_class */
	uint16_t shard;	  /* of WIRE_CLASS_PAGE, else 0 */
	uint32_t epoch;
	uint32_t instance; /* a random number of the sender's process */
};
static_assert(sizeof(struct wire_hello) == 32, "wire layout");

/* An interrupt command of a vCPU, IOAPIC or MSI, already routed to vCPUs of one node. */
struct wire_ipi {
	uint8_t vector;
	uint8_t mode; /* delivery mode, as in the ICR: 0 fixed, 4 NMI, 5 INIT, 6 SIPI */
	uint8_t level;
	uint8_t reserved;
	uint32_t generation; /* of the vCPUs' place, as the sender knows it: irq/place.h */
	uint64_t vcpus;	     /* bit k: the node's k-th vCPU */
};
static_assert(sizeof(struct wire_ipi) == 16, "wire layout");

struct wire_io {
	uint64_t cookie; /* chosen by the requester, returned in the reply */
	uint64_t addr;	 /* port or guest-physical address */
	uint32_t count;	 /* string I/O: how many of `size`; data is size * count bytes */
	uint8_t size;	 /* a port: 1, 2 or 4; memory: 1 to 8 */
	uint8_t write;	 /* 0 read, 1 write */
	uint8_t mmio;	 /* 0 port, 1 memory */
	uint8_t reserved;
};
static_assert(sizeof(struct wire_io) == 24, "wire layout");
#define WIRE_IO_DATA_MAX (WIRE_EVENT_MAX - sizeof(struct wire_io))

/* A piece of a vCPU's state, which is larger than a message. */
struct wire_part {
	uint32_t offset;     /* of the bytes that follow */
	uint32_t generation; /* of the place that it moves to */
};
static_assert(sizeof(struct wire_part) == 8, "wire layout");
#define WIRE_PART_MAX (WIRE_EVENT_MAX - sizeof(struct wire_part))

struct wire_place {
	uint32_t generation; /* of the place: the sender for AT, the receiver for REFUSED */
	int32_t error;	     /* REFUSED: negative errno that says why; else 0 */
};
static_assert(sizeof(struct wire_place) == 8, "wire layout");

/* What a CPU can do: one host's, or what all have in common. See cpu/identity.h. */
#define WIRE_CPU_WORDS 75
#define WIRE_CPU_MSRS  3
struct wire_cpu {
	uint64_t msr[WIRE_CPU_MSRS];
	uint32_t word[WIRE_CPU_WORDS];
	uint32_t reserved;
};
static_assert(sizeof(struct wire_cpu) == 328, "wire layout");

struct wire_join {
	struct wire_cpu cpu; /* of the sender's host */
	uint64_t tsc_khz;
};
static_assert(sizeof(struct wire_join) == 336, "wire layout");

struct wire_start {
	struct wire_cpu cpu; /* what all hosts have in common */
	uint64_t tsc_khz;    /* guest TSC frequency */
	uint64_t unix_ns;    /* wall clock at guest TSC 0 */
	uint32_t together;   /* 1: all vCPUs start on node 0 */
	uint32_t reserved;
};
static_assert(sizeof(struct wire_start) == 352, "wire layout");

struct wire_pong {
	uint64_t reference; /* node 0's clock when it answered: guest TSC, pauses counted in */
};
static_assert(sizeof(struct wire_pong) == 8, "wire layout");

/**
 * wire_check() - is this header one that a peer may send on a connection of class @class_?
 *
 * Checks the type against the class, the payload's length against the type, flags, reserved zero
 * fields, for page messages the page alignment of @addr and the length and region of a run. Does
 * not know of the cluster's size:
 * @from and @node are below MAX_NODES, no more. Looks at no payload. Pure; any thread.
 *
 * Return: 0; -EBADMSG.
 */
int wire_check(const struct wire_hdr *h, enum wire_class class_);

/**
 * wire_version() - the messages' version: a hash of all that this folder says
 *
 * Made by the build (tools/wire_version.py): two builds whose messages differ anywhere have
 * different ones. Return: not 0.
 */
uint32_t wire_version(void);

/** wire_may_run() - may messages of @type speak of several pages? */
bool wire_may_run(uint8_t type);

/** wire_has_stamp() - do messages of @type carry one? */
bool wire_has_stamp(uint8_t type);

/** wire_type_name() - "GETS" for WIRE_GETS; "?" for what is none. */
const char *wire_type_name(uint8_t type);

#endif
