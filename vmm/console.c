/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console between the UART and the node's port. Neither side waits for the other: what
 * the UART has not taken, or whoever reads the port has not, is kept here.
 * Threads: the main thread.
 */
#include "vmm/machine.h"

void node_console_feed(struct node *n)
{
	if (!n->typed_len)
		return;
	size_t took = platform_input(&n->platform, n->typed, n->typed_len);
	n->typed_len -= took;
	memmove(n->typed, n->typed + took, n->typed_len);
}

void node_console_flush(struct node *n)
{
	for (;;) {
		if (!n->printed_len)
			n->printed_len =
				platform_output(&n->platform, n->printed, sizeof(n->printed));
		if (!n->printed_len)
			return;
		ssize_t put = write(n->port->console, n->printed, n->printed_len);
		if (put < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		/* Nobody reads the console any more: the guest need not know. */
		size_t done = put < 0 ? n->printed_len : (size_t)put;
		n->printed_len -= done;
		memmove(n->printed, n->printed + done, n->printed_len);
	}
}
