/* SPDX-License-Identifier: Apache-2.0 */
/* What shard.c (the loop) and shard_act.c (the core's actions) share; see shard.h. */
#ifndef SSIHV_DSM_SHARD_IMPL_H
#define SSIHV_DSM_SHARD_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "dsm/prefetch.h"
#include "dsm/recall.h"
#include "dsm/shard.h"
#include "dsm/timing.h"
#include "dsm/track.h"

/* A page that is being sent; one that leaves for a new owner waits here for its DSM_DROP. */
struct outgoing {
	bool waits;
	uint16_t to;
	struct wire_hdr hdr;
	uint64_t page[PAGE_BYTES / sizeof(uint64_t)];
};

struct shard {
	const struct pager_config *cfg;
	unsigned index;
	int uffd, pagemap, epoll, stop;
	int nudge;	      /* eventfd: look at `idle` and `yields` */
	_Atomic bool idle;    /* no vCPU runs */
	_Atomic bool yields;  /* the turn is to be cut short */
	_Atomic bool holding; /* demands wait for the end of a turn */
	struct dsm_proto *proto;
	struct timing timing;
	struct prefetch prefetch;
	struct recall recall;
	struct tracker tracker;
	struct hist local, remote;
	struct outgoing outgoing;
	uint64_t now;	 /* ns, of the event that is being handled */
	bool taking;	 /* the userfaultfd is polled */
	bool arms;	 /* a connection wants conn_arm() before each wait */
	uint64_t posted; /* peers for which messages wait for the end of this round */
	bool backlog;	 /* some connection has bytes queued that the kernel did not take */
	bool failed;
	pthread_t thread;
	bool running;
};

/* The connection to @peer; NULL for this node. */
static inline struct conn *shard_conn(const struct shard *s, unsigned peer)
{
	return s->cfg->conn ? s->cfg->conn[s->index * s->cfg->nodes + peer] : NULL;
}

static inline uint64_t shard_hva(const struct shard *s, uint64_t gpa)
{
	return (uintptr_t)ram_ptr(s->cfg->ram, gpa, PAGE_BYTES);
}

/* The home of the region at @gpa; -1 when it is no RAM of this shard. */
int shard_home(const struct shard *s, uint64_t gpa);

/* The core's emit(). */
int shard_act(void *ctx, const struct dsm_action *a);

/* Sends what was posted for @peers. Return: 0, or an error that has been told. */
int shard_flush(struct shard *s, uint64_t peers);

/*
 * End the shard's service; the first reason is the one that `fatal` tells. Return: @code.
 * fail_peer(): the connection to @peer broke, or what came over it was wrong.
 * fail_here(): @what could not be done to the page at @gpa on this host; fail_host(): @what failed.
 */
int shard_fail(struct shard *s, int code, int culprit, const char *text);
int shard_fail_peer(struct shard *s, int code, unsigned peer);
int shard_fail_here(struct shard *s, int code, const char *what, uint64_t gpa);
int shard_fail_host(struct shard *s, int code, const char *what);

#endif
