/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event connection to one peer: interrupts and forwarded exits.
 *
 * Every vCPU thread sends on it, under a lock that is held for one send(2); the main thread alone
 * receives, and flushes under the same lock what a full socket left behind.
 */
#ifndef SSIHV_VMM_LINK_H
#define SSIHV_VMM_LINK_H

#include <pthread.h>

#include "cpu/guest_clock.h"
#include "transport/transport.h"

struct link {
	pthread_mutex_t lock;
	struct conn *conn;		 /* NULL for this node itself */
	const struct guest_clock *clock; /* for the stamps; NULL: there is none */
	int wake; /* eventfd of the main thread: something was left in the queue */
	uint16_t self;
	uint32_t epoch;
};

/**
 * link_send() - send a message of class EVENT; fills in from, epoch, length and stamp
 *
 * Any thread, no lock held that the main thread takes. A broken connection is not reported here:
 * the main thread sees it too and stops the VM.
 */
void link_send(struct link *link, struct wire_hdr hdr, const void *payload, size_t len);

/** link_flush() - the main thread: send what is queued. Return: 0 or negative errno. */
int link_flush(struct link *link);

/** link_waiting() - is anything queued? */
bool link_waiting(struct link *link);

#endif
