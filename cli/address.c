/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/address.h"

#define PORT_FIRST 50051
#define PORT_LAST  50100

static int try_bind(const char *host, uint16_t port)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found;
	char service[8];
	int r;

	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(host, service, &hints, &found))
		return -EHOSTUNREACH;

	_cleanup_close_ int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* As the node will: a connection that lingers from an earlier run does not matter. */
	r = fd < 0 ? -errno : 0;
	if (r == 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (r == 0 && (bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 1) < 0))
		r = -errno;
	freeaddrinfo(found);
	return r;
}

static int check_own(const struct cluster_node *n, struct err *err)
{
	char host[sizeof(n->address)];
	uint16_t port;
	int r = address_split(n->address, host, sizeof(host), &port);

	if (r == 0)
		r = try_bind(host, port);
	switch (r) {
	case 0:
		return 0;
	case -EADDRINUSE:
		return err_set(
			err, r,
			"%s: port taken: %s is in use; end what uses it or give another port",
			n->name, n->address);
	case -EADDRNOTAVAIL:
		return err_set(err, r,
			       "%s: %s is no address of this machine; add `ssh: user@host` to the "
			       "node, or correct the address",
			       n->name, n->address);
	case -EHOSTUNREACH:
		return err_set(err, r, "%s: the host of %s is not known; correct the address",
			       n->name, n->address);
	default:
		return err_set(err, r, "%s: cannot listen on %s: %s", n->name, n->address,
			       strerror(-r));
	}
}

static bool port_given(const struct cluster_config *cfg, uint16_t port)
{
	char host[sizeof(cfg->nodes[0].address)];
	uint16_t other;

	for (unsigned i = 0; i < cfg->nodes_count; i++)
		if (cfg->nodes[i].address[0] &&
		    address_split(cfg->nodes[i].address, host, sizeof(host), &other) == 0 &&
		    other == port)
			return true;
	return false;
}

static int pick_port(struct cluster_config *cfg, struct cluster_node *n, struct err *err)
{
	for (uint16_t port = PORT_FIRST; port <= PORT_LAST; port++) {
		if (port_given(cfg, port) || try_bind("127.0.0.1", port) < 0)
			continue;
		snprintf(n->address, sizeof(n->address), "127.0.0.1:%u", port);
		return 0;
	}
	return err_set(err, -EADDRINUSE, "%s: no port of %d-%d is free; give the node an address",
		       n->name, PORT_FIRST, PORT_LAST);
}

int addresses_fill(struct cluster_config *cfg, struct err *err)
{
	for (unsigned i = 0; i < cfg->nodes_count; i++) {
		struct cluster_node *n = &cfg->nodes[i];
		int r = 0;

		if (cfg->placement == CLUSTER_LAB)
			snprintf(n->address, sizeof(n->address), "10.77.0.%u:%d", i + 1,
				 PORT_FIRST);
		else if (!n->address[0])
			r = pick_port(cfg, n, err);
		else if (!n->ssh[0])
			r = check_own(n, err);
		if (r < 0)
			return r;
	}
	return 0;
}
