/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/lines.h"

static bool grow(struct lines *l, size_t want)
{
	size_t size = MAX(l->size * 2, (size_t)4096);
	char *buf;

	while (size < want)
		size *= 2;
	buf = realloc(l->buf, size);
	if (!buf)
		return false;
	l->buf = buf;
	l->size = size;
	return true;
}

static void flush(struct lines *l, line_fn fn, void *ctx)
{
	size_t len = l->len;

	if (len && l->buf[len - 1] == '\r')
		len--;
	l->buf[len] = '\0';
	fn(ctx, l->buf, len);
	l->len = 0;
}

void lines_add(struct lines *l, const char *data, size_t len, line_fn fn, void *ctx)
{
	for (size_t i = 0; i < len; i++) {
		/* Always room for one more byte and the NUL. */
		if (l->len + 2 > l->size && !grow(l, l->len + 2))
			return;
		if (data[i] == '\n' || l->len >= l->max)
			flush(l, fn, ctx);
		if (data[i] != '\n')
			l->buf[l->len++] = data[i];
	}
}

void lines_end(struct lines *l, line_fn fn, void *ctx)
{
	if (l->len)
		flush(l, fn, ctx);
	free(l->buf);
	*l = (struct lines){.max = l->max};
}
