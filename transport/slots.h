/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections to be, while a node comes up: what dial.c and accept.c work on, and mesh.c
 * drives.
 *
 * A slot is up at the accepting side when its hello is out, at the dialling side when that hello is
 * in. So the accepting side may be up alone, for a dialler that has given up or died meanwhile.
 * What makes that harmless:
 *
 * - INSTANCE. Each process draws a number, which its hellos carry. All slots of a peer that are up
 *   are of one instance. Another one's hello means that the peer was started again: the old slots
 *   are given up once they are seen to be dead (the accepting side; until then the new one is told
 *   to come again) or at once (the dialling side: who answers at the address is the one that
 * lives).
 * - MESHED. With all its slots up a node says so to every peer, on control. Nobody leaves the
 *   bring-up before it has heard this from all. So each connection is up at both ends by then, and
 * a node may end and be started again at any time before without anyone having left on its account.
 * - DEATH. A slot that is up is watched for a hang-up. Once a peer has said MESHED the death of one
 *   slot takes all of that peer's with it, so that what was said holds for the sockets there are.
 * - LEAVING. Who has heard MESHED from all may be done, say why, and end before another one is even
 *   scheduled. It does not come again, so it is not awaited: once all were up and MESHED was said
 *   to and by everybody, an end is an error of its connections. And who was told MESHED and has
 *   sent what waits to be heard on control is not given up for a hang-up: what waits is MESHED, or
 *   words behind it, which only those say who have left. Once somebody has left, who has gone is
 *   not awaited either: whoever has left would not connect to its next process.
 */
#ifndef SSIHV_TRANSPORT_SLOTS_H
#define SSIHV_TRANSPORT_SLOTS_H

#include <netdb.h>

#include "transport/hello.h"
#include "transport/mesh_config.h"

#define STRANGERS_MAX 64
#define RETRY_NS      (100 * NSEC_PER_MSEC)

enum slot_state {
	SLOT_DOWN,	 /* no channel. To dial: at retry_at; else the peer has to come */
	SLOT_CONNECTING, /* channel_step() under way */
	SLOT_GREETING,	 /* our hello is out, the answer is not in */
	SLOT_UP,
};

/* One connection to be. */
struct slot {
	enum slot_state state;
	uint16_t peer, shard;
	enum wire_class class_;
	struct channel *channel;
	short want; /* events while connecting */
	uint64_t retry_at;
	const struct addrinfo *next; /* address to dial next; NULL: from the first */
	struct greeting greeting;    /* the hello; on control, then MESHED */
};

/* An accepted channel that has not said who it is. */
struct stranger {
	struct channel *channel; /* NULL: to be forgotten */
	bool ready;		 /* channel_step() is done */
	short want;
	uint64_t deadline;
	struct greeting greeting;
};

struct peer {
	struct addrinfo *addresses; /* of those that we dial */
	unsigned up;		    /* of its slots */
	uint32_t instance;	    /* whose they are, while any is up */
	bool told, heard;	    /* MESHED */
	bool left;		    /* the bring-up, as it has heard MESHED from all */
	bool unfit;		    /* its last hello was refused */
	uint64_t busy_since;	    /* it tells us to come again; 0: it does not */
	char trouble[256];	    /* why it is not here yet */
};

struct bringup {
	const struct mesh_config *cfg;
	struct err *err;
	uint32_t instance;
	struct slot *slots;
	unsigned slot_count, slots_per_peer;
	unsigned complete; /* peers that have all slots up */
	struct peer peers[MAX_NODES];
	struct stranger strangers[STRANGERS_MAX];
	unsigned stranger_count;
	struct pollfd *poll;
};

/* The lower number accepts. */
static inline bool slot_dials(const struct bringup *b, const struct slot *s)
{
	return s->peer < b->cfg->self;
}

/** slots_init() - one slot for each connection. Return: 0; -ENOMEM. */
int slots_init(struct bringup *b);

void slots_free(struct bringup *b);

/** slot_up() - the greeting is over; @channel now belongs to @s. @instance: the peer's. */
void slot_up(struct bringup *b, struct slot *s, struct channel *channel, uint32_t instance);

/** slot_down() - close it; a slot that we dial is dialled again at @retry_at. */
void slot_down(struct bringup *b, struct slot *s, uint64_t retry_at);

/** slot_died() - @s was up, and its peer has let go of it. */
void slot_died(struct bringup *b, struct slot *s, uint64_t now);

/** peer_speaks() - does it wait to be heard on control, though it may have let go of its slots? */
bool peer_speaks(const struct bringup *b, unsigned peer);

/** peer_hung_up() - has it let go of all its slots that are up? */
bool peer_hung_up(const struct bringup *b, unsigned peer);

/** peer_down() - close all slots of @peer that are up. */
void peer_down(struct bringup *b, unsigned peer, uint64_t now);

/** peer_trouble() - note why @peer is not here yet, for the deadline's line. */
void peer_trouble(struct bringup *b, unsigned peer, const char *fmt, ...) _printf_(3, 4);

/** slot_hello() - what we say on @s. */
struct wire_hello slot_hello(const struct bringup *b, const struct slot *s);

/** greeting_read() - read what is there. Return: 1 complete, 0 not yet, negative errno. */
int greeting_read(struct channel *c, struct greeting *g);

#endif
