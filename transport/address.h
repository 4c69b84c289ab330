/* SPDX-License-Identifier: Apache-2.0 */
/* "host:port" and "[v6]:port" to socket addresses. */
#ifndef SSIHV_TRANSPORT_ADDRESS_H
#define SSIHV_TRANSPORT_ADDRESS_H

#include <netdb.h>

#include "base/err.h"

/**
 * address_resolve() - all stream addresses of @address, by getaddrinfo(3)
 * @listening: port 0 is allowed
 *
 * Asks the resolver, which may take as long as it likes where @address holds a name.
 *
 * Return: 0 with a list for freeaddrinfo(); -EINVAL for what is no address or an unknown name,
 * -EAGAIN when no name server answered, -ENOMEM; with @err.
 */
int address_resolve(const char *address, bool listening, struct addrinfo **ret, struct err *err);

#endif
