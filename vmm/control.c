/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main thread's loop: it waits for peers and for whoever started the node, and lets the file
 * that knows act on each.
 */
#include <poll.h>

#include "base/clock.h"
#include "vmm/machine.h"
#include "vmm/obey.h"
#include "vmm/phase.h"

#define POLL_MAX (2 * MAX_NODES + 3)

static unsigned add(struct pollfd *fds, unsigned count, int fd, short events)
{
	fds[count] = (struct pollfd){.fd = fd, .events = events};
	return count + 1;
}

static short wanted(bool queued)
{
	return (short)(POLLIN | (queued ? POLLOUT : 0));
}

/* Order: wake, commands, output, then control and event of every peer that is alive. */
static unsigned fill(struct node *n, struct pollfd *fds)
{
	unsigned count = 0;

	count = add(fds, count, n->wake, POLLIN);
	count = add(fds, count, n->commands.fd, obey_wants(n) ? POLLIN : 0);
	count = add(fds, count, n->printed_len ? n->port->console : -1, POLLOUT);
	for (unsigned i = 0; i < n->nodes; i++) {
		bool alive = i != n->self && !(n->lost >> i & 1);
		count = add(fds, count, alive ? n->mesh.control[i]->fd : -1,
			    alive ? wanted(conn_queued(n->mesh.control[i]) > 0) : 0);
		count = add(fds, count, alive ? n->mesh.event[i]->fd : -1,
			    alive ? wanted(link_waiting(&n->link[i])) : 0);
	}
	return count;
}

/* Connections that hold what no event will tell, see conn_arm(); as bits by peer. */
struct armed {
	uint64_t control, event;
};

static struct armed arm(const struct node *n)
{
	struct armed here = {0};

	for (unsigned i = 0; i < n->nodes; i++) {
		if (i == n->self || n->lost >> i & 1)
			continue;
		here.control |= (uint64_t)(conn_arm(n->mesh.control[i]) > 0) << i;
		here.event |= (uint64_t)(conn_arm(n->mesh.event[i]) > 0) << i;
	}
	return here;
}

int control_step(struct node *n, int timeout_ms)
{
	struct pollfd fds[POLL_MAX];
	unsigned count = fill(n, fds);
	struct armed here = arm(n);
	uint64_t token;

	/* Typed bytes wait for the guest to read, of which nobody tells: look again soon. */
	timeout_ms = MIN(timeout_ms, clock_sync_wait_ms(&n->sync));
	if (here.control | here.event)
		timeout_ms = 0;
	int ready = poll(fds, count, n->typed_len ? MIN(timeout_ms, 5) : timeout_ms);
	if (ready < 0 && errno != EINTR)
		return -errno;
	if (ready > 0 || (here.control | here.event)) {
		if (fds[0].revents && read(n->wake, &token, sizeof(token)) < 0)
			token = 0;
		if (fds[1].revents)
			obey_read(n, fds[1].revents);
		for (unsigned i = 0; i < n->nodes; i++) {
			bool control = fds[3 + 2 * i].revents || here.control >> i & 1;
			bool event = fds[4 + 2 * i].revents || here.event >> i & 1;
			/* What a thread left in the queue is flushed when it wakes us, too. */
			if (control || event || (fds[0].revents && fds[4 + 2 * i].fd >= 0))
				peers_serve(n, i, control, event || fds[0].revents);
		}
	}
	obey_all(n);
	phase_step(n, clock_now_ns());
	if (n->platform_up) {
		node_console_feed(n);
		node_console_flush(n);
	}
	/* Not what the phases had: nobody was heard after now. */
	peers_time(n, clock_now_ns());
	return 0;
}
