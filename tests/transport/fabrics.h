/* SPDX-License-Identifier: Apache-2.0 */
/* The transports that must conform, and how a test gets the ends of a connection over each. */
#ifndef SSIHV_TESTS_TRANSPORT_FABRICS_H
#define SSIHV_TESTS_TRANSPORT_FABRICS_H

#include "tests/transport/loopback.h"
#include "transport/faulty.h"
#include "transport/tcp.h"

enum { NODE_A = 2, NODE_B = 5, EPOCH = 77, SHARD = 3 };

struct fabric {
	const char *name;
	/* Node A's end and node B's. */
	void (*pair)(enum wire_class class_, struct conn *ret[2]);
	/* Node A's end; what is written to *@fd is what node B sends. */
	struct conn *(*raw)(enum wire_class class_, int *fd);
};

static struct conn *tcp_end(int fd, uint16_t self, uint16_t peer, enum wire_class class_)
{
	const struct conn_config cfg = {
		.self = self, .peer = peer, .shard = SHARD, .class_ = class_, .epoch = EPOCH};
	struct conn *c;

	assert_int_equal(tcp_tune(fd), 0);
	assert_int_equal(tcp_conn_new(fd, &cfg, &c), 0);
	return c;
}

static void tcp_pair(enum wire_class class_, struct conn *ret[2])
{
	int fd[2];

	loopback_pair(fd);
	ret[0] = tcp_end(fd[0], NODE_A, NODE_B, class_);
	ret[1] = tcp_end(fd[1], NODE_B, NODE_A, class_);
}

static struct conn *tcp_raw(enum wire_class class_, int *fd)
{
	int both[2];

	loopback_pair(both);
	*fd = both[1];
	return tcp_end(both[0], NODE_A, NODE_B, class_);
}

/* All that the interposer may do without ending a connection. */
static struct conn *faulty_end(struct conn *inner)
{
	const struct faults faults = {.seed = 20,
				      .delays = 300,
				      .delay_ns = 100 * 1000,
				      .stalls = 2,
				      .stall_ns = 2 * NSEC_PER_MSEC,
				      .queues = 300};
	struct conn *c;

	assert_int_equal(faulty_conn_new(&faults, inner, &c), 0);
	return c;
}

static void faulty_pair(enum wire_class class_, struct conn *ret[2])
{
	tcp_pair(class_, ret);
	for (unsigned i = 0; i < 2; i++)
		ret[i] = faulty_end(ret[i]);
}

static struct conn *faulty_raw(enum wire_class class_, int *fd)
{
	return faulty_end(tcp_raw(class_, fd));
}

static const struct fabric fabrics[] = {
	{"tcp", tcp_pair, tcp_raw},
	{"faulty", faulty_pair, faulty_raw},
};

#endif
