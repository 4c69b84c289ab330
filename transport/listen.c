/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "transport/address.h"
#include "transport/mesh.h"

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

int mesh_listen(const char *address, uint16_t *port, int *ret, struct err *err)
{
	struct addrinfo *list;
	int r, fd = -EINVAL;

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
	*ret = fd;
	return 0;
}
