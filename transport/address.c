/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/address.h"

#include <stdio.h>

#include "base/address.h"

int address_resolve(const char *address, bool listening, struct addrinfo **ret, struct err *err)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | (listening ? AI_PASSIVE : 0),
	};
	char host[NI_MAXHOST], service[8];
	uint16_t port;
	int r;

	if (address_split(address, host, sizeof(host), &port) < 0 || (port == 0 && !listening))
		return err_set(err, -EINVAL,
			       "\"%s\" is no address: write host:port or [IPv6 address]:port",
			       address);
	snprintf(service, sizeof(service), "%u", port);
	r = getaddrinfo(host, service, &hints, ret);
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
