/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other half of a benchmark: node 0 measures and tells the other nodes, over a plain TCP socket
 * to each, what to do. That socket is also the yardstick.
 *
 * THE YARDSTICK. A request of the size of a message's header is answered with a header and a page,
 * by the plainest code there is: one send() and one recv() that sleeps, on either side. With
 * spin_ns node 0 tries to receive for that long before it sleeps, as the pager does. The socket is
 * the control connection of the mesh, which nobody else uses here: same options, same processes,
 * same CPUs as the connections of the pager.
 *
 * COMMANDS are answered when they are done. What a node counts and how long it took lie in memory
 * that all processes share (struct bench).
 *
 * Threads: the main thread of each node.
 */
#ifndef SSIHV_BENCH_PEER_H
#define SSIHV_BENCH_PEER_H

#include "tests/dsm/native_cluster.h"

enum peer_op {
	PEER_PAGE = 1, /* answer with a page */
	PEER_STREAM,   /* answer with `count` pages, as fast as they go */
	PEER_COUNT,    /* note what this node has used so far */
	PEER_USAGE,    /* note what this node has now */
	PEER_TOUCH,    /* touch pages, see struct touch */
	PEER_END,
};

/*
 * Pages to touch: `count` of the count * stride from page `first` on of those at home on `home`:
 * every stride-th in order, or any in no order, each at most once. They are dealt to the threads
 * in equal parts.
 */
struct touch {
	uint16_t home, threads;
	uint8_t write, random;
	uint16_t stride;
	uint32_t count;
	uint64_t first;
};

struct peer_request {
	uint32_t op, count;
	struct touch touch;
};

struct peer {
	int fd;
	uint64_t spin_ns; /* node 0 only */
};

/** peer_open() - the socket to node @peer. Return: 0 or negative errno. */
int peer_open(const struct native_node *n, unsigned peer, uint64_t spin_ns, struct peer *ret);

/* Node 0. All return 0 or a negative errno. */
int peer_page(struct peer *p);
int peer_stream(struct peer *p, unsigned pages);
/* An order, and the wait for its answer: between them others can be given orders, too. */
int peer_order(struct peer *p, const struct peer_request *request);
int peer_await(struct peer *p);
int peer_end(struct peer *p);

/** peer_serve() - do what node 0 says until it says PEER_END. Return: 0 or negative errno. */
typedef void (*peer_do_fn)(struct native_node *n, const struct peer_request *request);
int peer_serve(struct peer *p, struct native_node *n, peer_do_fn command);

#endif
