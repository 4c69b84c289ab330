/* SPDX-License-Identifier: Apache-2.0 */
/* What mesh.c, dial.c and accept.c share while the connections come up; see mesh.c. */
#ifndef SSIHV_TRANSPORT_BRINGUP_H
#define SSIHV_TRANSPORT_BRINGUP_H

#include <netdb.h>
#include <poll.h>

#include "transport/hello.h"
#include "transport/mesh.h"

#define STRANGERS_MAX 64

enum slot_state {
	SLOT_DOWN,	 /* no socket. To dial: at retry_at; else the peer has to come */
	SLOT_CONNECTING, /* connect(2) under way */
	SLOT_GREETING,	 /* our hello is out, the answer is not in */
	SLOT_UP,
};

/* One connection to be. */
struct slot {
	enum slot_state state;
	uint16_t peer, shard;
	enum wire_class class_;
	int fd;
	uint64_t retry_at;
	const struct addrinfo *next; /* address to dial next; NULL: from the first */
	struct greeting greeting;
};

/* An accepted socket that has not said who it is. */
struct stranger {
	int fd;
	uint64_t deadline;
	struct greeting greeting;
};

struct peer {
	struct addrinfo *addresses; /* of those that we dial */
	unsigned up;		    /* of its slots */
	bool refused;
	char trouble[256]; /* why it is not here yet */
};

struct bringup {
	const struct mesh_config *cfg;
	struct err *err;
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

/* mesh.c */
void slot_up(struct bringup *b, struct slot *s, int fd);
void slot_down(struct bringup *b, struct slot *s, uint64_t retry_at);
void peer_trouble(struct bringup *b, unsigned peer, const char *fmt, ...) _printf_(3, 4);
struct wire_hello slot_hello(const struct bringup *b, const struct slot *s);
int greeting_read(int fd, struct greeting *g); /* 1 complete, 0 not yet, negative errno */
int greeting_send(int fd, const void *bytes, size_t len);

/* dial.c; negative errno with b->err ends the bring-up. */
int dial_start(struct bringup *b, struct slot *s, uint64_t now);
int dial_ready(struct bringup *b, struct slot *s, uint64_t now);

/* accept.c; likewise. */
int accept_ready(struct bringup *b, uint64_t now);
void stranger_ready(struct bringup *b, struct stranger *s);
void strangers_expire(struct bringup *b, uint64_t now); /* and forgets the closed ones */

#endif
