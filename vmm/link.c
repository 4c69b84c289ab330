/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/link.h"

void link_send(struct link *link, struct wire_hdr hdr, const void *payload, size_t len)
{
	const uint64_t one = 1;

	hdr.from = (uint8_t)link->self;
	hdr.epoch = link->epoch;
	hdr.len = (uint32_t)len;
	if (link->clock && wire_has_stamp(hdr.type))
		hdr.stamp = guest_clock_tsc(link->clock);
	pthread_mutex_lock(&link->lock);
	int r = conn_send(link->conn, &hdr, payload);
	bool left = conn_queued(link->conn) > 0;
	pthread_mutex_unlock(&link->lock);
	/* An eventfd whose counter is full wakes its reader just as well. */
	if ((r < 0 || left) && write(link->wake, &one, sizeof(one)) < 0)
		return;
}

int link_flush(struct link *link)
{
	pthread_mutex_lock(&link->lock);
	int r = conn_flush(link->conn);
	pthread_mutex_unlock(&link->lock);
	return r;
}

bool link_waiting(struct link *link)
{
	pthread_mutex_lock(&link->lock);
	bool waiting = conn_queued(link->conn) > 0;
	pthread_mutex_unlock(&link->lock);
	return waiting;
}
