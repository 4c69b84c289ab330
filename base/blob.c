/* SPDX-License-Identifier: Apache-2.0 */
#include "base/blob.h"

#define FIRST_ROOM 4096

int blob_put(struct blob *b, const void *bytes, size_t len)
{
	if (len > b->room - b->len) {
		size_t room = MAX(2 * b->room, (size_t)FIRST_ROOM);

		while (room - b->len < len)
			room *= 2;
		uint8_t *data = realloc(b->data, room);
		if (!data)
			return -ENOMEM;
		b->data = data;
		b->room = room;
	}
	memcpy(b->data + b->len, bytes, len);
	b->len += len;
	return 0;
}

int blob_take(struct blob *b, void *ret, size_t len)
{
	if (len > b->len - b->taken)
		return -EBADMSG;
	memcpy(ret, b->data + b->taken, len);
	b->taken += len;
	return 0;
}

void blob_free(struct blob *b)
{
	free(b->data);
	*b = (struct blob){0};
}
