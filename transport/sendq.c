/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/sendq.h"

struct sendq_chunk {
	struct list link;  /* in sendq.chunks or spare; first, so that a link is its chunk */
	size_t start, end; /* the bytes data[start..end) wait */
	uint8_t data[];
};

#define CHUNK_ROOM (SENDQ_CHUNK - sizeof(struct sendq_chunk))

static struct sendq_chunk *chunk_of(struct list *link)
{
	return container_of(link, struct sendq_chunk, link);
}

static struct sendq_chunk *chunk_add(struct sendq *q)
{
	struct sendq_chunk *c;

	if (q->spares) {
		c = chunk_of(list_first(&q->spare));
		list_del(&c->link);
		q->spares--;
	} else {
		c = malloc(SENDQ_CHUNK);
		if (!c)
			return NULL;
	}
	c->start = c->end = 0;
	list_add_tail(&q->chunks, &c->link);
	return c;
}

static void chunk_drop(struct sendq *q, struct sendq_chunk *c)
{
	list_del(&c->link);
	if (q->spares == SENDQ_SPARES) {
		free(c);
		return;
	}
	list_add_tail(&q->spare, &c->link);
	q->spares++;
}

void sendq_init(struct sendq *q)
{
	*q = (struct sendq){0};
	list_init(&q->chunks);
	list_init(&q->spare);
}

void sendq_free(struct sendq *q)
{
	list_for_each_safe (link, &q->chunks)
		free(chunk_of(link));
	list_for_each_safe (link, &q->spare)
		free(chunk_of(link));
	sendq_init(q);
}

int sendq_append(struct sendq *q, const void *data, size_t len)
{
	const uint8_t *from = data;
	struct sendq_chunk *c = list_empty(&q->chunks) ? NULL : chunk_of(q->chunks.prev);

	while (len) {
		if (!c || c->end == CHUNK_ROOM)
			c = chunk_add(q);
		if (!c)
			return -ENOMEM;
		size_t n = MIN(len, CHUNK_ROOM - c->end);

		memcpy(c->data + c->end, from, n);
		c->end += n;
		q->bytes += n;
		from += n;
		len -= n;
	}
	return 0;
}

unsigned sendq_peek(const struct sendq *q, struct iovec *iov, unsigned max)
{
	unsigned n = 0;

	list_for_each (link, &q->chunks) {
		struct sendq_chunk *c = chunk_of(link);

		if (n == max)
			break;
		iov[n++] = (struct iovec){c->data + c->start, c->end - c->start};
	}
	return n;
}

void sendq_consume(struct sendq *q, size_t len)
{
	assert(len <= q->bytes);
	q->bytes -= len;
	while (len) {
		struct sendq_chunk *c = chunk_of(list_first(&q->chunks));
		size_t n = MIN(len, c->end - c->start);

		c->start += n;
		len -= n;
		if (c->start == c->end)
			chunk_drop(q, c);
	}
}
