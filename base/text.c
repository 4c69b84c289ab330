/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

/*
 * Bytes of the printable character at @p (Unicode 15, table 3-7), 0 if there is none. The second
 * byte's range excludes overlong forms, surrogates, what is above U+10FFFF, and U+0080..U+009F.
 */
static size_t character(const uint8_t *p, size_t len)
{
	static const struct {
		uint8_t first, last, low, high, bytes;
	} forms[] = {
		{0xc2, 0xc2, 0xa0, 0xbf, 2}, {0xc3, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (p[0] < forms[i].first || p[0] > forms[i].last)
			continue;
		if (forms[i].bytes > len || p[1] < forms[i].low || p[1] > forms[i].high)
			return 0;
		for (size_t k = 2; k < forms[i].bytes; k++)
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		return forms[i].bytes;
	}
	return 0;
}

void text_clean(const char *from, size_t len, char *ret, size_t room)
{
	const uint8_t *p = (const uint8_t *)from, *end = p + strnlen(from, len);
	size_t at = 0;

	while (p < end) {
		const size_t whole = character(p, (size_t)(end - p));
		const size_t n = MAX(whole, (size_t)1);

		if (at + n >= room)
			break;
		memcpy(ret + at, whole ? (const char *)p : "?", n);
		at += n;
		p += n;
	}
	ret[at] = '\0';
}

char *text_printf(const char *fmt, ...)
{
	char *text;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	return n < 0 ? NULL : text;
}
