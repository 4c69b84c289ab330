/* SPDX-License-Identifier: Apache-2.0 */
/* Where a node listens, as people write it: "host:port" or "[IPv6 address]:port". */
#ifndef SSIHV_BASE_ADDRESS_H
#define SSIHV_BASE_ADDRESS_H

#include "base/base.h"

/**
 * address_split() - take an address apart
 * @host: the name or number without brackets; it holds nothing that a shell or an option parser
 *        would take for something else
 * @len:  of @host, with room for the NUL
 * @port: 0..65535; whether 0 is allowed is the caller's to say
 *
 * Return: 0; -EINVAL when it is no such address or does not fit.
 */
int address_split(const char *address, char *host, size_t len, uint16_t *port);

#endif
