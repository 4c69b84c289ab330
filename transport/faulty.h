/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interposer: a transport that wraps another one and does to its connections what networks and
 * dying hosts do, by seed. For tests: every connection of a cluster can be made over it.
 *
 * WHAT IT DOES. Messages are held back at the receiving end, each for a time of its own, but never
 * past one that came after it on the same connection: order within a connection stays, order
 * between connections (classes, shards) is as bad as it may be. A connection stalls: nothing is
 * taken from it for a while, so that the sender's queue grows. A message that is sent is left in
 * the queue, as if the socket were full. A connection is cut before a message, or in the middle of
 * it. A channel is cut in the middle of its greeting, which also arrives in pieces.
 *
 * BY SEED. What happens to a connection follows from the seed, its ends, class and shard, and the
 * number of the message, not from when threads run; what happens to a greeting, from the number of
 * the channel. How long a message waits is decided likewise; when it arrives is the clock's.
 *
 * THREADS. As the connection that it wraps: one thread receives, others take turns to send.
 */
#ifndef SSIHV_TRANSPORT_FAULTY_H
#define SSIHV_TRANSPORT_FAULTY_H

#include "transport/fabric.h"

struct faults {
	uint64_t seed;
	/* How many of 1000 messages: */
	unsigned delays; /* wait for up to delay_ns */
	unsigned stalls; /* stop the connection for up to stall_ns */
	unsigned queues; /* are left in the queue for conn_flush() */
	uint64_t delay_ns, stall_ns;
	/* How many of 1000 channels are cut somewhere in the first two hellos. */
	unsigned greetings;
	/* On connections that `hits` says (NULL: on all): number of the message, from 1; 0: never.
	 */
	bool (*hits)(void *ctx, const struct conn_config *cfg);
	void *ctx;
	uint64_t cut_at;  /* the connection ends before it */
	uint64_t tear_at; /* the connection ends in the middle of it */
};

/**
 * faulty_new() - a transport over @inner
 * @inner:  must outlive it; keeps order (TRANSPORT_FIFO). What cuts and tears is for byte streams
 *          (TRANSPORT_STREAM) only.
 * @faults: copied
 *
 * Return: 0; -ENOTSUP when @inner cannot do that; -ENOMEM.
 */
int faulty_new(const struct transport *inner, const struct faults *faults, struct transport **ret);

/** faulty_free() - its channels and connections must have been closed. NULL is allowed. */
void faulty_free(struct transport *t);

/**
 * faulty_conn_new() - wrap one connection
 * @inner: belongs to the new one on success
 *
 * Return: 0; -ENOMEM, -EMFILE.
 */
int faulty_conn_new(const struct faults *faults, struct conn *inner, struct conn **ret);

/** faulty_random() - the next number of the sequence that @state is in. */
static inline uint64_t faulty_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15); /* SplitMix64 */

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

#endif
