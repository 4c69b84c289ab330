/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that wait to be sent: a FIFO in chunks, so that it grows without copying what it holds and
 * gives memory back while it drains. Some empty chunks are kept, so that a connection that queues a
 * message now and then does not allocate each time. One thread.
 */
#ifndef SSIHV_TRANSPORT_SENDQ_H
#define SSIHV_TRANSPORT_SENDQ_H

#include <sys/uio.h>

#include "base/list.h"

#define SENDQ_CHUNK  (64 * KIB)
#define SENDQ_SPARES 5 /* chunks that are kept: a message of the largest size */

struct sendq_chunk;

struct sendq {
	struct list chunks, spare;
	unsigned spares;
	size_t bytes;
};

void sendq_init(struct sendq *q);

/** sendq_free() - drop all that is queued. */
void sendq_free(struct sendq *q);

/**
 * sendq_append() - copy @len bytes to the end
 *
 * Return: 0; -ENOMEM, and then some of the bytes may be in the queue: the stream is broken.
 */
int sendq_append(struct sendq *q, const void *data, size_t len);

/** sendq_peek() - describe the first bytes in at most @max iovecs. Return: how many were filled. */
unsigned sendq_peek(const struct sendq *q, struct iovec *iov, unsigned max);

/** sendq_consume() - drop the first @len bytes; at most `bytes`. */
void sendq_consume(struct sendq *q, size_t len);

#endif
