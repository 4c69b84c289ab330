/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait at their page's home behind another, first come, first served.
 *
 * A page's queue is one index: of its last request, whose `next` is the first (a ring), 0 for an
 * empty queue. A node has at most one request a page here and at most `per_node` in all, so that a
 * peer that floods us runs into its own limit and nobody else's.
 */
#ifndef SSIHV_DSM_REQUESTS_H
#define SSIHV_DSM_REQUESTS_H

#include "dsm/ticket.h"

struct request {
	uint32_t next;
	uint8_t node;
	uint8_t ticket; /* number of the requester's turn */
	bool write;
};

struct request_pool {
	struct request *slot; /* [0] is not used */
	uint32_t unused;      /* singly linked through `next` */
	unsigned per_node;
	unsigned waiting[MAX_NODES];
};

int requests_init(struct request_pool *p, unsigned nodes, unsigned per_node);
void requests_free(struct request_pool *p);

/**
 * requests_push() - queue a request of @node behind those of @queue
 *
 * Return: 0; -EPROTO when @node is in this queue already or over its limit.
 */
int requests_push(struct request_pool *p, uint32_t *queue, const struct request *request);

static inline struct ticket request_ticket(const struct request *r)
{
	return (struct ticket){.number = r->ticket, .node = r->node};
}

/** requests_nodes() - who is in the queue, as bits; @readers: not who wants to write. */
uint64_t requests_nodes(const struct request_pool *p, uint32_t queue, bool readers);

/** requests_oldest() - the oldest of @ticket and the tickets in the queue. */
struct ticket requests_oldest(const struct request_pool *p, uint32_t queue, struct ticket ticket);

/** requests_pop() - the request that came first. Return: false when there is none. */
bool requests_pop(struct request_pool *p, uint32_t *queue, struct request *ret);

#endif
