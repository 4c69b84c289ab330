/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that are put behind each other, and taken out in the same order. */
#ifndef SSIHV_BASE_BLOB_H
#define SSIHV_BASE_BLOB_H

#include "base/base.h"

/* All zero: empty. Freed with blob_free(). */
struct blob {
	uint8_t *data;
	size_t len, room;
	size_t taken; /* by blob_take() */
};

/** blob_put() - append @len bytes. Return: 0; -ENOMEM. */
int blob_put(struct blob *b, const void *bytes, size_t len);

/** blob_take() - the next @len bytes. Return: 0; -EBADMSG: there are not so many. */
int blob_take(struct blob *b, void *ret, size_t len);

void blob_free(struct blob *b);

#endif
