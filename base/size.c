/* SPDX-License-Identifier: Apache-2.0 */
#include "base/size.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

int size_parse(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGT";
	unsigned shift = 0;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;

	while (*end == ' ')
		end++;
	const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (*end && strcasecmp(end, "B") && !(unit && strcasecmp(end, "iB") == 0))
		return -EINVAL;
	if (shift && number >> (64 - shift))
		return -ERANGE;
	*ret = (uint64_t)number << shift;
	return 0;
}

const char *size_format(uint64_t bytes, char *buf, size_t len)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	unsigned i = 0;

	while (bytes && bytes % 1024 == 0 && i + 1 < ARRAY_SIZE(names)) {
		bytes /= 1024;
		i++;
	}
	snprintf(buf, len, "%llu %s", (unsigned long long)bytes, names[i]);
	return buf;
}
