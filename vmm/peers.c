/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections to the other nodes: made, served, watched, lost, closed.
 *
 * LIVENESS. A process that dies or a host that vanishes breaks its connections (the transport sees
 * to that within 5 s). A process that hangs is noticed by silence: every node but 0 pings node 0
 * four times a second, and either side gives up after SILENCE_MS.
 *
 * Threads: the main thread.
 */
#include <sys/epoll.h>

#include "base/clock.h"
#include "transport/tcp.h"
#include "vmm/machine.h"
#include "vmm/node.h"

#define GOODBYE_MS 2000
#define LOOK_MS	   250 /* how often node 0 looks who is silent */

static void on_peer(void *ctx, unsigned peer, unsigned complete, unsigned peers)
{
	struct node *n = ctx;

	events_phase(&n->ev, "connected to %s (%u of %u)", n->cfg->nodes[peer].name, complete,
		     peers);
}

static void on_refused(void *ctx, const char *text)
{
	struct node *n = ctx;

	events_log(&n->ev, "warning", "%s", text);
}

/*
 * What ends the connecting: a stop, or that whoever started this node has gone, which its command
 * stream tells by hanging up. (A stream that cannot be polled, a file, tells nothing until read.)
 */
static int open_cancel(const struct node *n, struct err *err)
{
	struct epoll_event ending = {.events = EPOLLIN}, gone = {.events = 0};
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, n->ending, &ending) < 0 ||
	    (n->commands.fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, n->commands.fd, &gone) < 0 &&
	     errno != EPERM)) {
		int r = err_set(err, -errno, "epoll: %s", strerror(errno));
		closep(&fd);
		return r;
	}
	return fd;
}

static int connect_all(struct node *n, int cancel, struct err *err)
{
	const char *address[MAX_NODES], *name[MAX_NODES];
	struct mesh_config mesh = {
		.nodes = n->nodes,
		.self = n->self,
		.shards = n->cfg->pager.shards,
		.address = address,
		.name = name,
		.epoch = n->epoch,
		.timeout_ms = PEERS_TIMEOUT_MS,
		.cancel_fd = cancel,
		.progress = on_peer,
		.refused = on_refused,
		.progress_ctx = n,
	};
	int r = cluster_digest(n->cfg, &mesh.config_digest);

	if (r < 0)
		return err_set(err, r, "cluster: out of memory");
	for (unsigned i = 0; i < n->nodes; i++) {
		address[i] = n->cfg->nodes[i].address;
		name[i] = n->cfg->nodes[i].name;
	}
	r = transport_listen(n->options->transport ?: tcp_transport(), address[n->self], NULL,
			     &n->listener, err);
	if (r < 0)
		return r;
	mesh.listener = n->listener;
	return mesh_connect(&mesh, &n->mesh, err);
}

int peers_up(struct node *n, struct err *err)
{
	if (n->nodes == 1) /* nobody to talk to, no port to open */
		return 0;
	_cleanup_close_ int cancel = open_cancel(n, err);
	int r = cancel < 0 ? cancel : connect_all(n, cancel, err);

	if (r == -ECANCELED)
		node_quit(n, "whoever started this node has gone");
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n->nodes; i++) {
		n->link[i].conn = n->mesh.event[i];
		n->heard[i] = clock_now_ns();
	}
	return 0;
}

/*
 * Connections stay open until every peer has said that it stops, too: otherwise a peer could take
 * our end for the reason of its own.
 */
static void wait_for_goodbyes(struct node *n)
{
	uint64_t end = clock_now_ns() + GOODBYE_MS * NSEC_PER_MSEC;

	while ((~(n->stopped | n->lost) & node_peers(n)) && clock_now_ns() < end)
		if (control_step(n, 50) < 0)
			break;
}

void peers_down(struct node *n)
{
	if (n->mesh.shards)
		wait_for_goodbyes(n);
	mesh_close(&n->mesh);
	n->mesh = (struct mesh){0};
	listener_close(TAKE_PTR(n->listener));
}

void control_send(struct node *n, unsigned peer, struct wire_hdr hdr, const void *payload,
		  size_t len)
{
	hdr.from = (uint8_t)n->self;
	hdr.epoch = n->epoch;
	hdr.len = (uint32_t)len;
	/* A broken connection also ends receiving: on_lost() is told there. */
	(void)conn_send(n->mesh.control[peer], &hdr, payload);
}

static void on_lost(struct node *n, unsigned peer, int code)
{
	uint64_t bit = UINT64_C(1) << peer;

	if (n->lost & bit)
		return;
	n->lost |= bit;
	/* Who has said that it stops may go. */
	if (!(n->stopped & bit))
		node_stop(n, WIRE_STOP_FAILED, (int)peer,
			  "node %s was lost (%s): the guest cannot go on", n->cfg->nodes[peer].name,
			  code == -ECONNRESET || code == -EPIPE ? "its process ended"
			  : code == -EBADMSG || code == -EPROTO ? "it broke the protocol"
								: strerror(-code));
}

void peers_serve(struct node *n, unsigned peer, bool control, bool event)
{
	int r = control ? conn_ready(n->mesh.control[peer], messages_control, n) : 0;

	if (r >= 0 && event) {
		r = link_flush(&n->link[peer]);
		if (r >= 0)
			r = conn_receive(n->mesh.event[peer], messages_event, n);
	}
	if (r < 0)
		on_lost(n, peer, r);
}

static void check_silence(struct node *n, unsigned peer, uint64_t now)
{
	if (now - n->heard[peer] > SILENCE_MS * NSEC_PER_MSEC)
		node_stop(n, WIRE_STOP_FAILED, (int)peer,
			  "node %s was lost (silent for %d s): the guest cannot go on",
			  n->cfg->nodes[peer].name, SILENCE_MS / 1000);
}

/* The star of pings around node 0 starts when the guest's time has been agreed on. */
static uint64_t next_ping(struct node *n, uint64_t now)
{
	if (n->self == 0 || !servo_is_ready(&n->sync.servo))
		return now + LOOK_MS * NSEC_PER_MSEC;
	clock_sync_ping(n->mesh.control[0]);
	return now + servo_ping_ms(&n->sync.servo) * NSEC_PER_MSEC;
}

void peers_time(struct node *n, uint64_t now)
{
	if (n->nodes == 1)
		return;
	clock_sync_tick(&n->sync);
	if (now < n->next_ping)
		return;
	n->next_ping = next_ping(n, now);
	if (!n->run_ns)
		return;
	clock_check(n);
	for (unsigned i = 0; i < n->nodes; i++)
		if (i != n->self && (i == 0 || n->self == 0))
			check_silence(n, i, now);
}
