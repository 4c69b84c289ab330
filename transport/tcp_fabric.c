/* SPDX-License-Identifier: Apache-2.0 */
/* TCP from listening to the connection (tcp.c). */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "transport/address.h"
#include "transport/tcp.h"

struct tcp_channel {
	struct channel channel;
	bool connecting;
};

static int listen_on(const struct addrinfo *a)
{
	const int on = 1;
	_cleanup_close_ int fd =
		socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	/* A node that is started again need not wait for its old connections to fade. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static uint16_t port_of(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} name = {0};
	socklen_t len = sizeof(name);

	if (getsockname(fd, &name.any, &len) < 0)
		return 0;
	return ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port);
}

static int explain(const char *address, int code, struct err *err)
{
	switch (code) {
	case -EADDRINUSE:
		return err_set(err, code,
			       "cannot listen on %s: the port is in use: end the program that has "
			       "it or give the node another port",
			       address);
	case -EADDRNOTAVAIL:
		return err_set(err, code,
			       "cannot listen on %s: that is no address of this machine: check the "
			       "node's address and that it runs on the right host",
			       address);
	case -EACCES:
		return err_set(err, code,
			       "cannot listen on %s: not allowed: take a port above 1023", address);
	default:
		return err_set(err, code, "cannot listen on %s: %s", address, strerror(-code));
	}
}

static int tcp_listen(const struct transport *t, const char *address, uint16_t *port,
		      struct listener **ret, struct err *err)
{
	_cleanup_free_ struct listener *l = malloc(sizeof(*l));
	struct addrinfo *list;
	int r, fd = -EINVAL;

	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	r = address_resolve(address, true, &list, err);
	if (r < 0)
		return r;
	for (const struct addrinfo *a = list; a; a = a->ai_next) {
		fd = listen_on(a);
		/* A taken port is the user's matter; an address family we lack is not. */
		if (fd >= 0 || fd == -EADDRINUSE)
			break;
	}
	freeaddrinfo(list);
	if (fd < 0)
		return explain(address, fd, err);
	if (port)
		*port = port_of(fd);
	*l = (struct listener){.transport = t, .fd = fd};
	*ret = TAKE_PTR(l);
	return 0;
}

static void tcp_unlisten(struct listener *l)
{
	close(l->fd);
	free(l);
}

/* Takes @fd, also when it fails. */
static int channel_new(const struct transport *t, int fd, bool connecting, struct channel **ret)
{
	struct tcp_channel *c = malloc(sizeof(*c));

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	*c = (struct tcp_channel){
		.channel = {.transport = t, .fd = fd, .hangup = POLLRDHUP},
		.connecting = connecting,
	};
	*ret = &c->channel;
	return 0;
}

static int tcp_accept(struct listener *l, struct channel **ret)
{
	_cleanup_close_ int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		switch (errno) {
		case EAGAIN:
		case EMFILE:
		case ENFILE:
		case EBADF:
		case EINVAL:
		case ENOTSOCK:
			return -errno;
		case ENOBUFS:
		case ENOMEM:
			return -ENOMEM;
		default: /* that one's trouble: gone again, network error (accept(2)) */
			return -ECONNABORTED;
		}
	}
	if (tcp_tune(fd) < 0)
		return -ECONNABORTED;
	return channel_new(l->transport, TAKE_FD(fd), false, ret);
}

static int tcp_dial(const struct transport *t, const struct sockaddr *to, socklen_t len,
		    struct channel **ret)
{
	_cleanup_close_ int fd =
		socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = tcp_tune(fd);
	if (r < 0)
		return r;
	if (connect(fd, to, len) < 0 && errno != EINPROGRESS && errno != EINTR)
		return -errno;
	return channel_new(t, TAKE_FD(fd), true, ret);
}

/*
 * A socket that connects to a free port of its own host can meet itself, when the kernel picks the
 * very port as its source: it would even take the port from the peer that is about to start.
 */
static bool met_itself(int fd)
{
	struct sockaddr_storage local = {0}, remote = {0};
	socklen_t local_len = sizeof(local), remote_len = sizeof(remote);

	if (getsockname(fd, (struct sockaddr *)&local, &local_len) < 0 ||
	    getpeername(fd, (struct sockaddr *)&remote, &remote_len) < 0)
		return false;
	return local_len == remote_len && memcmp(&local, &remote, local_len) == 0;
}

static int tcp_step(struct channel *channel, short *want)
{
	struct tcp_channel *c = container_of(channel, struct tcp_channel, channel);
	struct pollfd p = {.fd = channel->fd, .events = POLLOUT};
	int error = 0;
	socklen_t len = sizeof(error);

	if (!c->connecting)
		return 1;
	if (poll(&p, 1, 0) <= 0) {
		*want = POLLOUT;
		return 0;
	}
	if (getsockopt(channel->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	if (error)
		return -error;
	if (met_itself(channel->fd))
		return -ECONNREFUSED;
	c->connecting = false;
	return 1;
}

static int tcp_say(struct channel *c, const void *bytes, size_t len)
{
	ssize_t n;

	do
		n = send(c->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO; /* a fresh one that does not take it is of no use */
}

static ssize_t tcp_hear(struct channel *c, void *bytes, size_t len)
{
	ssize_t n;

	do
		n = recv(c->fd, bytes, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	return n == 0 ? -ECONNRESET : n;
}

static bool tcp_waits(struct channel *c)
{
	char byte;
	ssize_t n;

	do
		n = recv(c->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

static bool tcp_gone(struct channel *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

static int tcp_open(struct channel *c, const struct conn_config *cfg, struct conn **ret)
{
	int r = tcp_conn_new(c->fd, cfg, ret);

	if (r == 0)
		free(container_of(c, struct tcp_channel, channel));
	return r;
}

static void tcp_drop(struct channel *c)
{
	close(c->fd);
	free(container_of(c, struct tcp_channel, channel));
}

static const struct transport_ops tcp_ops = {
	.name = "tcp",
	.caps = TRANSPORT_FIFO | TRANSPORT_STREAM,
	.listen = tcp_listen,
	.accept = tcp_accept,
	.unlisten = tcp_unlisten,
	.dial = tcp_dial,
	.step = tcp_step,
	.say = tcp_say,
	.hear = tcp_hear,
	.waits = tcp_waits,
	.gone = tcp_gone,
	.open = tcp_open,
	.drop = tcp_drop,
};

const struct transport *tcp_transport(void)
{
	static const struct transport tcp = {.ops = &tcp_ops};

	return &tcp;
}
