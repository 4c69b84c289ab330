/* SPDX-License-Identifier: Apache-2.0 */
#include "base/address.h"

#include <ctype.h>

static int split_port(const char *text, uint16_t *ret)
{
	unsigned value = 0;
	size_t n = 0;

	for (; isdigit((unsigned char)text[n]) && n < 5; n++)
		value = value * 10 + (unsigned)(text[n] - '0');
	if (!n || text[n] || value > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)value;
	return 0;
}

/* Colons and zones are for numbers in brackets only. */
static bool host_valid(const char *host, size_t len, bool brackets)
{
	if (len == 0 || host[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)host[i]) && !memchr(".-_", host[i], 3) &&
		    !(brackets && (host[i] == ':' || host[i] == '%')))
			return false;
	return true;
}

int address_split(const char *address, char *host, size_t len, uint16_t *port)
{
	const char *colon = strrchr(address, ':');
	const bool brackets = address[0] == '[';
	const char *start = address + brackets;
	const char *end = colon ? colon - brackets : NULL;

	if (!colon || end < start || (brackets && *end != ']') ||
	    !host_valid(start, (size_t)(end - start), brackets) || (size_t)(end - start) >= len)
		return -EINVAL;
	if (split_port(colon + 1, port) < 0)
		return -EINVAL;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	return 0;
}
