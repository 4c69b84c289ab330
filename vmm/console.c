/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console between the UART and the node's standard input and output. Neither side
 * waits for the other: what the UART has not taken, or standard output has not, is kept here.
 * Threads: the main thread.
 */
#include <poll.h>

#include "vmm/machine.h"

void node_console_input(struct node *n, short events)
{
	size_t room = sizeof(n->typed) - n->typed_len;
	ssize_t got = -1;

	if (events & POLLIN)
		got = read(STDIN_FILENO, n->typed + n->typed_len, room);
	else if (events & (POLLHUP | POLLERR))
		got = 0;
	if (got == 0) {
		n->input_open = false;
		node_stop(n, WIRE_STOP_ASKED, -1, "whoever started this node has gone");
	}
	if (got > 0)
		n->typed_len += (size_t)got;
}

/* The UART takes 16 bytes at a time; what is left is offered again at the next step. */
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
		ssize_t put = write(STDOUT_FILENO, n->printed, n->printed_len);
		if (put < 0 && errno == EAGAIN)
			return;
		/* Nobody reads the console any more: the guest need not know. */
		size_t done = put < 0 ? n->printed_len : (size_t)put;
		n->printed_len -= done;
		memmove(n->printed, n->printed + done, n->printed_len);
	}
}
