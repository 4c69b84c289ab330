/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "transport/address.h"

/* Splits at the last colon; brackets keep the colons of an IPv6 address together. */
static int split(const char *address, char *host, size_t len, const char **port)
{
	const char *colon = strrchr(address, ':');
	size_t n;

	if (!colon || colon == address)
		return -EINVAL;
	n = (size_t)(colon - address);
	if (address[0] == '[') {
		if (address[n - 1] != ']')
			return -EINVAL;
		address++;
		n -= 2;
	} else if (memchr(address, ':', n)) {
		return -EINVAL;
	}
	if (n == 0 || n >= len)
		return -EINVAL;
	memcpy(host, address, n);
	host[n] = '\0';
	*port = colon + 1;
	return 0;
}

static int check_port(const char *text, bool listening)
{
	unsigned value = 0;
	size_t n = 0;

	for (; text[n]; n++) {
		if (text[n] < '0' || text[n] > '9' || n == 5)
			return -EINVAL;
		value = value * 10 + (unsigned)(text[n] - '0');
	}
	return n && value <= UINT16_MAX && (value || listening) ? 0 : -EINVAL;
}

int address_resolve(const char *address, bool listening, struct addrinfo **ret, struct err *err)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | (listening ? AI_PASSIVE : 0),
	};
	char host[NI_MAXHOST];
	const char *port;
	int r;

	if (split(address, host, sizeof(host), &port) < 0 || check_port(port, listening) < 0)
		return err_set(err, -EINVAL,
			       "\"%s\" is no address: write host:port or [IPv6 address]:port",
			       address);
	r = getaddrinfo(host, port, &hints, ret);
	switch (r) {
	case 0:
		return 0;
	case EAI_AGAIN:
		return err_set(err, -EAGAIN,
			       "no name server answers for \"%s\": try again or write its IP "
			       "address",
			       host);
	case EAI_MEMORY:
		return err_set(err, -ENOMEM, "out of memory");
	default:
		return err_set(err, -EINVAL, "unknown host \"%s\" (%s): check the address", host,
			       gai_strerror(r));
	}
}
