/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transport: how connections come to be, from listening to the moment when a greeted channel
 * becomes a struct conn (transport.h).
 *
 * Goal: the bring-up (mesh.h) works with this table alone, so that another fabric is one more file:
 * TLS is a handshake in step(), RDMA a connection manager in listen(), accept(), dial() and step().
 * What a transport does not need it leaves out; the functions below know the default.
 *
 * A channel is what is between accept() or dial() and open(): a stream of bytes on which the two
 * ends greet each other. Nothing here blocks; one thread. `fd` of a listener is readable when
 * accept() has something to do. `fd` of a channel is to be polled for what step() wants, then for
 * POLLIN when bytes are awaited, and for `hangup` when only the peer's end is: gone() tells whether
 * that was it.
 */
#ifndef SSIHV_TRANSPORT_FABRIC_H
#define SSIHV_TRANSPORT_FABRIC_H

#include <poll.h>
#include <sys/socket.h>

#include "base/err.h"
#include "transport/transport.h"

enum {
	/* A connection keeps order, see transport.h. The protocols above need it. */
	TRANSPORT_FIFO = 1,
	/* `fd` of a connection is a byte stream; a message can be torn in the middle. */
	TRANSPORT_STREAM = 2,
};

struct transport;
struct listener;
struct channel;

struct transport_ops {
	const char *name;
	uint32_t caps; /* TRANSPORT_* */
	int (*listen)(const struct transport *t, const char *address, uint16_t *port,
		      struct listener **ret, struct err *err);
	int (*accept)(struct listener *l, struct channel **ret);
	void (*unlisten)(struct listener *l);
	int (*dial)(const struct transport *t, const struct sockaddr *to, socklen_t len,
		    struct channel **ret);
	int (*step)(struct channel *c, short *want); /* default: ready at once */
	int (*say)(struct channel *c, const void *bytes, size_t len);
	ssize_t (*hear)(struct channel *c, void *bytes, size_t len);
	bool (*waits)(struct channel *c);
	bool (*gone)(struct channel *c);
	int (*open)(struct channel *c, const struct conn_config *cfg, struct conn **ret);
	void (*drop)(struct channel *c);
};

/* Each is embedded first in the transport's own. */
struct transport {
	const struct transport_ops *ops;
};

struct listener {
	const struct transport *transport;
	int fd;
};

struct channel {
	const struct transport *transport;
	int fd;
	short hangup; /* events that may mean that the peer has gone */
};

/**
 * transport_listen() - peers may dial from now on
 * @address: "host:port"; port 0 picks a free one
 * @port:    may be NULL; the port that was bound
 *
 * Return: 0; negative errno with @err naming address and way out (-EADDRINUSE, -EADDRNOTAVAIL,
 * -EINVAL for what is no address).
 */
static inline int transport_listen(const struct transport *t, const char *address, uint16_t *port,
				   struct listener **ret, struct err *err)
{
	return t->ops->listen(t, address, port, ret, err);
}

/** listener_close() - nobody may dial any more. NULL is allowed. */
static inline void listener_close(struct listener *l)
{
	if (l)
		l->transport->ops->unlisten(l);
}

/**
 * listener_accept() - the next channel that was dialled to us; it may not be ready: channel_step()
 *
 * Return: 0; -EAGAIN: none now; -ECONNABORTED: one, but it was lost again; -EMFILE, -ENFILE: no
 * room for one, it stays waiting, as with -ENOMEM; other negative errno: this listener is of no
 * use.
 */
static inline int listener_accept(struct listener *l, struct channel **ret)
{
	return l->transport->ops->accept(l, ret);
}

/**
 * transport_dial() - begin to connect
 *
 * Return: 0: go on with channel_step(); negative errno: not to be reached now, or -EMFILE, -ENFILE,
 * -ENOMEM for what this host lacks.
 */
static inline int transport_dial(const struct transport *t, const struct sockaddr *to,
				 socklen_t len, struct channel **ret)
{
	return t->ops->dial(t, to, len, ret);
}

/**
 * channel_step() - go on with connecting or a handshake
 * @want: events of the channel's fd to wait for before the next call
 *
 * Return: 1: ready for the greeting; 0: wait for *@want; negative errno.
 */
static inline int channel_step(struct channel *c, short *want)
{
	return c->transport->ops->step ? c->transport->ops->step(c, want) : 1;
}

/** channel_say() - send all of a greeting, which a fresh channel takes. Return: 0; negative errno.
 */
static inline int channel_say(struct channel *c, const void *bytes, size_t len)
{
	return c->transport->ops->say(c, bytes, len);
}

/**
 * channel_hear() - receive at most @len bytes, none more than are taken here
 *
 * Return: bytes, at least 1; -EAGAIN: none now; -ECONNRESET: the peer has gone; negative errno.
 */
static inline ssize_t channel_hear(struct channel *c, void *bytes, size_t len)
{
	return c->transport->ops->hear(c, bytes, len);
}

/** channel_waits() - are there bytes to be heard? None is taken. */
static inline bool channel_waits(struct channel *c)
{
	return c->transport->ops->waits(c);
}

/** channel_gone() - has the peer closed it, or is it broken? Bytes may still wait to be heard. */
static inline bool channel_gone(struct channel *c)
{
	return c->transport->ops->gone(c);
}

/** channel_open() - make a connection of it. Return: 0, and @c is the connection's; -ENOMEM. */
static inline int channel_open(struct channel *c, const struct conn_config *cfg, struct conn **ret)
{
	return c->transport->ops->open(c, cfg, ret);
}

/** channel_drop() - close and free. NULL is allowed. */
static inline void channel_drop(struct channel *c)
{
	if (c)
		c->transport->ops->drop(c);
}

#endif
