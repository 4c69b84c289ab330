/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main thread's loop: what peers send on control and event connections, what the guest prints,
 * what the user types, signals, the clock's pings.
 *
 * LIVENESS. A process that dies or a host that vanishes breaks its connections (the transport sees
 * to that within 5 s). A process that hangs is noticed by silence: every node but 0 pings node 0
 * four times a second, and either side gives up after SILENCE_MS.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "vmm/machine.h"

#define SILENCE_MS 20000
#define POLL_MAX   (2 * MAX_NODES + 4)

void node_stop(struct node *n, enum wire_stop reason, int culprit, const char *fmt, ...)
{
	const uint64_t one = 1;
	va_list ap;

	pthread_mutex_lock(&n->stop.lock);
	if (!node_stopping(n)) {
		va_start(ap, fmt);
		vsnprintf(n->stop.text, sizeof(n->stop.text), fmt, ap);
		va_end(ap);
		n->stop.culprit = culprit;
		atomic_store(&n->stop.reason, reason);
	}
	pthread_mutex_unlock(&n->stop.lock);
	/* The main thread also looks at the reason at its next timeout. */
	if (write(n->wake, &one, sizeof(one)) < 0)
		return;
}

void control_send(struct node *n, unsigned peer, struct wire_hdr hdr, const void *payload,
		  size_t len)
{
	hdr.from = (uint16_t)n->self;
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

/* ---- messages ---- */

static int on_join(struct node *n, unsigned peer, const struct wire_join *join)
{
	uint64_t bit = UINT64_C(1) << peer;

	if (n->self != 0 || (n->joined & bit))
		return -EPROTO;
	for (unsigned i = 0; i < CPUID_WORDS; i++)
		n->cpuid_common[i] &= join->cpuid[i];
	if (!cpuid_vendor_agrees(n->cpuid_own, n->cpuid_common))
		node_stop(n, WIRE_STOP_FAILED, -1,
			  "%s and %s have CPUs of different vendors: one guest cannot run on both",
			  n->cfg->nodes[0].name, n->cfg->nodes[peer].name);
	n->joined |= bit;
	return 0;
}

static int on_start(struct node *n, unsigned peer, const struct wire_start *start)
{
	if (peer != 0 || n->started || start->tsc_khz == 0 || start->tsc_khz > UINT32_MAX ||
	    start->together > 1 || start->reserved)
		return -EPROTO;
	memcpy(n->cpuid_common, start->cpuid, sizeof(n->cpuid_common));
	n->clock.tsc_khz = start->tsc_khz;
	n->clock.unix_ns = start->unix_ns;
	n->together = start->together;
	n->started = true;
	return 0;
}

static int on_stop(struct node *n, unsigned peer, const struct wire_hdr *h, const char *text)
{
	int culprit = (int)h->addr - 1;

	if (culprit >= (int)n->nodes)
		return -EPROTO;
	n->stopped |= UINT64_C(1) << peer;
	node_stop(n, h->flags, culprit, "%.*s", (int)h->len, text);
	return 0;
}

static int on_control(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct node *n = ctx;

	n->heard[c->peer] = clock_now_ns();
	switch (h->type) {
	case WIRE_JOIN:
		return on_join(n, c->peer, payload);
	case WIRE_START:
		return on_start(n, c->peer, payload);
	case WIRE_READY:
		n->ready |= UINT64_C(1) << c->peer;
		return 0;
	case WIRE_PING:
		return clock_sync_answer(&n->sync, c, h) == -EINVAL ? -EPROTO : 0;
	case WIRE_PONG:
		if (c->peer != 0)
			return -EPROTO;
		clock_sync_sample(&n->sync, h, payload);
		return 0;
	case WIRE_STOP:
		return on_stop(n, c->peer, h, payload);
	default:
		return -EPROTO;
	}
}

static int on_io_request(struct node *n, struct conn *c, const struct wire_hdr *h,
			 const void *payload)
{
	uint8_t data[WIRE_IO_DATA_MAX];
	struct vcpu_io io;

	if (n->self != PLATFORM_NODE || forward_decode(h, payload, data, &io) < 0)
		return -EPROTO;
	platform_access(&n->platform, &io, guest_clock_now(&n->clock).ns);
	forward_reply(&n->link[c->peer], payload, &io);
	return 0;
}

static int on_vcpu_state(struct node *n, unsigned peer, const struct wire_hdr *h,
			 const void *payload)
{
	int r = moving_state(&n->moving, peer, h, payload);

	if (r > 0)
		events_log(&n->ev, "info", "vCPU %u has moved here", (unsigned)h->addr);
	return MIN(r, 0);
}

static int on_event(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct node *n = ctx;

	/* Guests send events only after every node is ready; a stop may overtake the last ones. */
	if (!n->platform_up)
		return -EPROTO;
	if (node_stopping(n))
		return 0;
	switch (h->type) {
	case WIRE_IPI:
		return interrupts_receive(&n->irq, h->node, payload);
	case WIRE_EOI:
		if (n->self != PLATFORM_NODE)
			return -EPROTO;
		platform_eoi(&n->platform, (uint8_t)h->addr);
		return 0;
	case WIRE_VCPU_STATE:
		return on_vcpu_state(n, c->peer, h, payload);
	case WIRE_VCPU_HOME:
		return moving_home(&n->moving, c->peer, h);
	case WIRE_IO_REQUEST:
		return on_io_request(n, c, h, payload);
	case WIRE_IO_REPLY:
		return forward_answer(&n->forward, h, payload);
	default:
		return -EPROTO;
	}
}

/* ---- console, signals, clock ---- */

static void on_input(struct node *n, short events)
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
static void feed_console(struct node *n)
{
	if (!n->typed_len)
		return;
	size_t took = platform_input(&n->platform, n->typed, n->typed_len);
	n->typed_len -= took;
	memmove(n->typed, n->typed + took, n->typed_len);
}

void control_flush_console(struct node *n)
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

static void on_signal(struct node *n)
{
	struct signalfd_siginfo info;

	if (read(n->signals, &info, sizeof(info)) == sizeof(info))
		node_stop(n, WIRE_STOP_ASKED, -1, "ended by signal %u", info.ssi_signo);
}

static void check_silence(struct node *n, unsigned peer, uint64_t now)
{
	if (now - n->heard[peer] > SILENCE_MS * NSEC_PER_MSEC)
		node_stop(n, WIRE_STOP_FAILED, (int)peer,
			  "node %s was lost (silent for %d s): the guest cannot go on",
			  n->cfg->nodes[peer].name, SILENCE_MS / 1000);
}

/* The star of pings around node 0 starts when the guest's time has been agreed on. */
static void on_time(struct node *n)
{
	uint64_t now = clock_now_ns();

	if (n->nodes == 1 || !n->run_ns || now < n->next_ping)
		return;
	n->next_ping = now + CLOCK_SYNC_EVERY_MS * NSEC_PER_MSEC;
	if (n->self != 0) {
		clock_sync_ping(n->mesh.control[0]);
		check_silence(n, 0, now);
		return;
	}
	for (unsigned i = 1; i < n->nodes; i++)
		check_silence(n, i, now);
}

/* ---- the loop ---- */

static unsigned add(struct pollfd *fds, unsigned count, int fd, short events)
{
	fds[count] = (struct pollfd){.fd = fd, .events = events};
	return count + 1;
}

static short wanted(bool queued)
{
	return (short)(POLLIN | (queued ? POLLOUT : 0));
}

/* Order: wake, signals, input, output, then control and event of every peer that is alive. */
static unsigned fill(struct node *n, struct pollfd *fds)
{
	bool can_type = n->typed_len < sizeof(n->typed);
	unsigned count = 0;

	count = add(fds, count, n->wake, POLLIN);
	count = add(fds, count, n->signals, POLLIN);
	count = add(fds, count, n->input_open ? STDIN_FILENO : -1, can_type ? POLLIN : 0);
	count = add(fds, count, n->printed_len ? STDOUT_FILENO : -1, POLLOUT);
	for (unsigned i = 0; i < n->nodes; i++) {
		bool alive = i != n->self && !(n->lost >> i & 1);
		count = add(fds, count, alive ? n->mesh.control[i]->fd : -1,
			    alive ? wanted(conn_queued(n->mesh.control[i]) > 0) : 0);
		count = add(fds, count, alive ? n->mesh.event[i]->fd : -1,
			    alive ? wanted(link_waiting(&n->link[i])) : 0);
	}
	return count;
}

static void serve_peer(struct node *n, unsigned peer, bool control, bool event)
{
	int r = control ? conn_ready(n->mesh.control[peer], on_control, n) : 0;

	if (r >= 0 && event) {
		r = link_flush(&n->link[peer]);
		if (r >= 0)
			r = conn_receive(n->mesh.event[peer], on_event, n);
	}
	if (r < 0)
		on_lost(n, peer, r);
}

int control_step(struct node *n, int timeout_ms)
{
	struct pollfd fds[POLL_MAX];
	unsigned count = fill(n, fds);
	uint64_t token;

	/* Typed bytes wait for the guest to read, of which nobody tells: look again soon. */
	int ready = poll(fds, count, n->typed_len ? MIN(timeout_ms, 5) : timeout_ms);
	if (ready < 0 && errno != EINTR)
		return -errno;
	if (ready > 0) {
		if (fds[0].revents && read(n->wake, &token, sizeof(token)) < 0)
			token = 0;
		if (fds[1].revents)
			on_signal(n);
		if (fds[2].revents)
			on_input(n, fds[2].revents);
		for (unsigned i = 0; i < n->nodes; i++) {
			short control = fds[4 + 2 * i].revents, event = fds[5 + 2 * i].revents;
			/* What a thread left in the queue is flushed when it wakes us, too. */
			if (control || event || (fds[0].revents && fds[5 + 2 * i].fd >= 0))
				serve_peer(n, i, control, event || fds[0].revents);
		}
	}
	if (n->platform_up) {
		feed_console(n);
		control_flush_console(n);
	}
	on_time(n);
	return 0;
}
