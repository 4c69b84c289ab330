/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection carries messages of one class between two nodes, in order, or it is broken.
 *
 * FIFO. What one end has sent or posted is received at the other end in that order, each message
 * once and whole, and none after one that was lost. Between connections there is no order: a
 * message may overtake any number of those on another one, of another class or shard too. The
 * protocols above rely on the first and must live with the second; tests/transport/conformance.c
 * checks every transport for it, transport/faulty.h makes the most of it.
 *
 * Goal: the same calls over any fabric (tcp today). A connection belongs to one thread at a time,
 * or its halves to two: one that calls conn_receive(), and one (under a lock, several) that calls
 * conn_send(), conn_post(), conn_flush() and conn_queued(). Nothing here blocks: what the socket
 * does not take at once is copied into the connection's queue and leaves with a later conn_flush().
 * Backpressure: conn_queued() tells how much waits; the owner stops making new requests above its
 * limit (answers to peers always go out), and above CONN_QUEUE_MAX the peer counts as dead
 * (-ENOBUFS), so that a peer that stops reading cannot eat our memory.
 */
#ifndef SSIHV_TRANSPORT_TRANSPORT_H
#define SSIHV_TRANSPORT_TRANSPORT_H

#include "wire/msg.h"

#define CONN_QUEUE_MAX (64 * MIB)

/* What a connection may come to keep in this process for good, be anything queued or not. */
#define CONN_BYTES (960 * KIB)

struct conn;

/*
 * Takes one message; @payload is aligned to 8 bytes and valid only until it returns. May call
 * conn_send() on any connection of its thread, not conn_receive() or conn_close() on @c. A negative
 * return ends the connection: conn_ready() passes it on.
 */
typedef int (*conn_recv_fn)(void *ctx, struct conn *c, const struct wire_hdr *h,
			    const void *payload);

/* What a transport leaves out has a default, which stands with the function below. */
struct conn_ops {
	int (*send)(struct conn *c, const struct wire_hdr *h, const void *payload);
	int (*post)(struct conn *c, const struct wire_hdr *h, const void *payload);
	int (*flush)(struct conn *c);
	int (*receive)(struct conn *c, conn_recv_fn take, void *ctx);
	int (*arm)(struct conn *c);
	void (*close)(struct conn *c);
};

/* What a connection is for: known when the greeting is over. */
struct conn_config {
	uint16_t self, peer; /* node numbers */
	uint16_t shard;
	enum wire_class class_;
	uint32_t epoch;
};

/* The part of a connection that every transport has; embedded first in the transport's own. */
struct conn {
	const struct conn_ops *ops;
	/*
	 * To poll, level-triggered: for reading; for writing while conn_queued() > 0. Any event
	 * means that both are worth a try. Before each wait on it conn_arm() is asked.
	 */
	int fd;
	uint32_t epoch;
	uint16_t self;
	uint16_t peer;
	uint16_t shard;
	enum wire_class class_;
	size_t queued;	       /* bytes that wait to be sent */
	bool polled_for_write; /* the owner's: what its epoll set has now */
	uint64_t sent_messages, sent_bytes, received_messages, received_bytes;
};

/**
 * conn_check() - may this header travel on @c, sent by node @from?
 *
 * For transports, on what arrives (@from is the peer) and on what leaves (@from is self).
 *
 * Return: 0; -EBADMSG.
 */
static inline int conn_check(const struct conn *c, const struct wire_hdr *h, unsigned from)
{
	if (h->from != from || h->epoch != c->epoch)
		return -EBADMSG;
	if (h->type <= WIRE_MESHED) /* the greeting is over before the connection exists */
		return -EBADMSG;
	return wire_check(h, c->class_);
}

/**
 * conn_send() - send a message, or queue a copy of what cannot go out now
 * @h:       header; @h->len bytes of @payload follow it
 * @payload: may be NULL when @h->len is 0. Not touched after the return. May be guest memory that
 *           is present and write-protected.
 *
 * Return: 0 (sent or queued); -EPIPE, -ECONNRESET, ... the connection is broken; -ENOBUFS: so is
 * it, a message is lost; -ENOMEM likewise. A broken connection returns its first error for ever,
 * but conn_receive() still delivers what the peer sent before. -EINVAL: the peer would refuse @h
 * (wire_check(), `from`, epoch); nothing is sent and the connection is as it was.
 */
static inline int conn_send(struct conn *c, const struct wire_hdr *h, const void *payload)
{
	return c->ops->send(c, h, payload);
}

/**
 * conn_post() - queue a copy of a message; it leaves with the next conn_flush()
 *
 * For messages that come in groups: together they cost one system call, and on a network fewer
 * packets. A transport for which that is nothing sends at once. Return: as conn_send().
 */
static inline int conn_post(struct conn *c, const struct wire_hdr *h, const void *payload)
{
	return c->ops->post ? c->ops->post(c, h, payload) : c->ops->send(c, h, payload);
}

/** conn_flush() - send what is queued, as far as it goes now. Return: as conn_send(). */
static inline int conn_flush(struct conn *c)
{
	return c->ops->flush(c);
}

/**
 * conn_arm() - the receiving thread is about to look at @c->fd: is something here already?
 *
 * A transport may hold what its fd does not tell: a record that was decrypted whole, a completion
 * that came before the next event was asked for. To be called before each wait for events, also one
 * that does not sleep or that others keep busy. TCP holds nothing back and leaves this out (NULL).
 *
 * Return: 1: do not wait, call conn_receive(); 0: the fd will tell.
 */
static inline int conn_arm(struct conn *c)
{
	return c->ops->arm ? c->ops->arm(c) : 0;
}

/**
 * conn_receive() - receive what is there
 * @take: gets every message that has passed wire_check() and has the right `from` and epoch
 *
 * Takes a bounded share, so that a fast peer cannot hold the thread: @c->fd stays readable when
 * there is more. May be called at any time, also when nothing is there. May run in one thread while
 * others, one at a time, send and flush.
 *
 * Return: number of messages received; -ECONNRESET when the peer has gone, -ETIMEDOUT and the
 * like when its host has; -EBADMSG when it sent what it may not; what @take returned when that was
 * negative. After an error only conn_close() makes sense.
 */
static inline int conn_receive(struct conn *c, conn_recv_fn take, void *ctx)
{
	return c->ops->receive(c, take, ctx);
}

/**
 * conn_ready() - both, for an owner with one thread
 *
 * A failure to send is told once nothing is left to receive: the peer's last words may say why.
 * What has ended the connection (-EPIPE, -ECONNRESET) ends receiving, too, behind those words.
 *
 * Return: as conn_receive(), or the error of conn_flush().
 */
static inline int conn_ready(struct conn *c, conn_recv_fn take, void *ctx)
{
	int sent = conn_flush(c);
	int got = conn_receive(c, take, ctx);

	if (got == 0 && sent != -EPIPE && sent != -ECONNRESET)
		return sent;
	/* Sending may have learnt why receiving finds the end. */
	return got == -ECONNRESET && sent == -ETIMEDOUT ? sent : got;
}

static inline size_t conn_queued(const struct conn *c)
{
	return c->queued;
}

/** conn_close() - close and free; unsent messages are lost. NULL is allowed. */
static inline void conn_close(struct conn *c)
{
	if (c)
		c->ops->close(c);
}

#endif
