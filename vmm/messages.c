/* SPDX-License-Identifier: Apache-2.0 */
/* What peers say on control and event connections, by type. Threads: the main thread. */
#include "base/clock.h"
#include "base/text.h"
#include "vmm/machine.h"
#include "vmm/phase.h"

static int on_stop(struct node *n, unsigned peer, const struct wire_hdr *h, const void *payload)
{
	int culprit = (int)h->addr - 1;
	char text[WIRE_TEXT_MAX + 1];

	if (culprit >= (int)n->nodes)
		return -EPROTO;
	n->stopped |= UINT64_C(1) << peer;
	text_clean(payload, h->len, text, sizeof(text));
	node_stop(n, h->flags, culprit, "%s", text);
	return 0;
}

int messages_control(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct node *n = ctx;

	n->heard[c->peer] = clock_now_ns();
	switch (h->type) {
	case WIRE_JOIN:
		return agreement_join(n, c->peer, payload);
	case WIRE_START:
		return agreement_start(n, c->peer, payload);
	case WIRE_READY:
		n->ready |= UINT64_C(1) << c->peer;
		return 0;
	case WIRE_PING:
		if (n->self != 0)
			return -EPROTO;
		return clock_sync_answer(&n->sync, c, h) == -EINVAL ? -EPROTO : 0;
	case WIRE_PONG:
		if (c->peer != 0)
			return -EPROTO;
		return clock_sync_sample(&n->sync, h, payload);
	case WIRE_PHASE:
		return phase_told(n, c->peer, h);
	case WIRE_PHASE_DONE:
		return phase_done(n, c->peer, h);
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

static int on_vcpu_refused(struct node *n, unsigned peer, const struct wire_hdr *h,
			   const void *payload)
{
	const struct wire_place *place = payload;
	int r = moving_refused(&n->moving, peer, h, payload);

	if (r == 0)
		events_log(&n->ev, "warning", "vCPU %u stays here, node %s cannot run it: %s",
			   (unsigned)h->addr, n->cfg->nodes[peer].name, strerror(-place->error));
	return r;
}

int messages_event(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct node *n = ctx;

	/* A stop may overtake the last ones; else guests send only after every node is ready. */
	if (node_stopping(n))
		return 0;
	if (!n->platform_up)
		return -EPROTO;
	/* Before any vCPU here can see what it did. */
	int r = h->stamp ? guest_clock_reach(&n->clock, c->peer, h->stamp) : 0;
	if (r < 0)
		return r == -ECANCELED ? 0 : r;
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
	case WIRE_VCPU_AT:
		return moving_at(&n->moving, c->peer, h, payload);
	case WIRE_VCPU_REFUSED:
		return on_vcpu_refused(n, c->peer, h, payload);
	case WIRE_IO_REQUEST:
		return on_io_request(n, c, h, payload);
	case WIRE_IO_REPLY:
		return forward_answer(&n->forward, h, payload);
	default:
		return -EPROTO;
	}
}
