/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node among hostile peers above the page class: one of three, its devices up, without KVM and
 * without threads. Whatever peers send on control and event connections in whatever order, each
 * message is taken or answered -EPROTO, and what the node sends is what a peer may send.
 *
 * Input: a byte of who this is and how far it has come, then steps: a message, or what vCPU threads
 * and the main loop do meanwhile.
 */
#include "base/clock.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/machine.h"
#include "vmm/node.h"
#include "vmm/phase.h"
#include "wire/vcpu.h"

#define NODES 3
#define VCPUS (2 * NODES) /* 2k and 2k + 1 are node k's */
#define EPOCH 5

struct world {
	struct node *n;
	struct conn conn[NODES][2]; /* by peer: control, event */
};

/* ---- connections that check what is sent ---- */

static int swallow(struct conn *c, const struct wire_hdr *h, const void *payload)
{
	fuzz_check(conn_check(c, h, c->self) == 0);
	return 0;
}

static const struct conn_ops ops = {.send = swallow};

/* ---- a node ---- */

static void on_power(void *ctx, bool reset)
{
}

static void add_vcpus(struct node *n)
{
	for (unsigned i = 0; i < VCPUS; i++) {
		struct vcpu *v = aligned_alloc(64, ALIGN_UP(sizeof(*v), 64));

		fuzz_check(v);
		memset(v, 0, sizeof(*v));
		v->index = i;
		n->vcpu[i] = v;
	}
}

static void connect_peers(struct world *w)
{
	struct node *n = w->n;

	for (unsigned peer = 0; peer < NODES; peer++) {
		for (unsigned event = 0; event < 2; event++)
			w->conn[peer][event] = (struct conn){
				.ops = &ops,
				.epoch = EPOCH,
				.self = (uint16_t)n->self,
				.peer = (uint16_t)peer,
				.class_ = event ? WIRE_CLASS_EVENT : WIRE_CLASS_CONTROL,
			};
		n->mesh.control[peer] = &w->conn[peer][0];
		n->link[peer] = (struct link){.conn = &w->conn[peer][1],
					      .wake = n->wake,
					      .self = (uint16_t)n->self,
					      .epoch = EPOCH};
		pthread_mutex_init(&n->link[peer].lock, NULL);
	}
}

static void set_up(struct world *w, const struct node_options *options, uint64_t setting)
{
	static const struct node_port port = {.commands = -1, .console = -1};
	struct err err;

	fuzz_check(node_new(options, &port, &w->n) == 0);
	struct node *n = w->n;
	connect_peers(w);
	fuzz_check(topology_init(n->cfg, &n->topology, &err) == 0);
	/* All values of an identity are possible: what this host has decides what it refuses. */
	memset(&n->cpu_own, setting & 1 ? 0xff : 0, sizeof(n->cpu_own));
	n->cpu_common = n->cpu_own;
	n->clock.tsc_khz = 1000000;
	rendezvous_init(&n->rendezvous, &n->clock);
	clock_sync_init(&n->sync, &n->clock, &n->rendezvous, n->clock.tsc_khz);
	add_vcpus(n);
	interrupts_init(&n->irq, n->self, &n->topology, n->link, n->vcpu, setting & 2);
	moving_init(&n->moving, &n->irq);
	forward_init(&n->forward, n->link);
	fuzz_check(platform_init(&n->platform, &n->irq, n->wake, 0, on_power, n, &err) == 0);
	n->platform_up = setting & 4;
	n->run_ns = setting & 8;
}

static void tear_down(struct world *w)
{
	struct node *n = w->n;

	for (unsigned i = 0; i < VCPUS; i++) {
		free(n->vcpu[i]->inbox.arrival);
		free(TAKE_PTR(n->vcpu[i]));
	}
	moving_free(&n->moving);
	platform_free(&n->platform);
	for (unsigned peer = 0; peer < NODES; peer++)
		n->mesh.control[peer] = n->link[peer].conn = NULL;
	node_free(n);
}

/* ---- what happens to it ---- */

/* The vCPU's thread looks into its inbox; @dice decides how well it gets on. */
static void vcpu_acts(struct node *n, unsigned index, unsigned dice)
{
	static const struct wire_vcpu image;
	struct vcpu *v = n->vcpu[index];
	uint32_t events = atomic_exchange(&v->inbox.events, 0);
	bool here = place_get(&n->irq.at[index]).node == n->self;

	if (events & VCPU_EVENT_ARRIVE) {
		fuzz_check(v->inbox.arrival && here);
		free(TAKE_PTR(v->inbox.arrival));
		if (dice & 1)
			moving_refuse(&n->moving, v, -EIO);
	} else if (here && dice & 2) {
		unsigned to = (n->self + 1 + (dice >> 2) % (NODES - 1)) % NODES;
		struct wire_vcpu gone = image;

		gone.index = index;
		moving_leave(&n->moving, v, to, &gone);
	}
	fuzz_check(!v->inbox.arrival);
}

/* A part of a good image with some byte changed. Return: its length. */
static size_t image_part(struct fuzz_input *in, uint64_t index, uint8_t *payload)
{
	struct wire_vcpu image = {.index = (uint32_t)index, .state = WIRE_VCPU_RUNNING};
	uint32_t offset = (uint32_t)(fuzz_take(in, 2) % sizeof(image));
	const struct wire_part head = {.offset = offset, .generation = (uint32_t)fuzz_take(in, 2)};
	size_t len = MIN(sizeof(image) - offset, WIRE_PART_MAX);

	image.lapic.dfr = UINT32_MAX;
	memcpy(payload, &head, sizeof(head));
	memcpy(payload + sizeof(head), (const uint8_t *)&image + offset, len);
	uint64_t where = fuzz_take(in, 2);
	payload[sizeof(head) + where % len] ^= (uint8_t)fuzz_take(in, 1);
	/* Mostly all of it. */
	return sizeof(head) + (where < 0xff00 ? len : where & 0xff);
}

static size_t length_of(const struct wire_hdr *h, struct fuzz_input *in)
{
	switch (h->type) {
	case WIRE_JOIN:
		return sizeof(struct wire_join);
	case WIRE_START:
		return sizeof(struct wire_start);
	case WIRE_PONG:
		return sizeof(struct wire_pong);
	case WIRE_IPI:
		return sizeof(struct wire_ipi);
	case WIRE_VCPU_AT:
	case WIRE_VCPU_REFUSED:
		return sizeof(struct wire_place);
	case WIRE_STOP:
		return fuzz_take(in, 1);
	case WIRE_IO_REQUEST:
	case WIRE_IO_REPLY:
		return sizeof(struct wire_io) + (fuzz_take(in, 2) & 0x803f);
	default:
		return 0;
	}
}

/* @payload: room for any. */
static struct wire_hdr some_message(struct world *w, struct fuzz_input *in, uint8_t *payload)
{
	static const uint8_t types[] = {
		WIRE_IPI,	 WIRE_EOI,	    WIRE_IO_REQUEST, WIRE_IO_REPLY, WIRE_VCPU_STATE,
		WIRE_VCPU_AT,	 WIRE_JOIN,	    WIRE_START,	     WIRE_PING,	    WIRE_PONG,
		WIRE_STOP,	 WIRE_READY,	    WIRE_PHASE,	     WIRE_HELLO,    WIRE_GETS,
		WIRE_PHASE_DONE, WIRE_VCPU_REFUSED,
	};
	uint64_t type = fuzz_take(in, 1), from = fuzz_take(in, 1);
	struct wire_hdr h = {
		.type = types[type % sizeof(types)],
		.from = (uint8_t)((w->n->self + 1 + from % (NODES - 1)) % NODES),
		.epoch = EPOCH,
	};

	if (h.type == WIRE_IPI)
		h.node = (uint8_t)(from / 2 % (NODES + 1));
	if (h.type == WIRE_STOP || h.type == WIRE_PHASE || h.type == WIRE_PHASE_DONE)
		h.flags = (uint8_t)(from >> 4 & 7);
	if (from & 128)
		h.addr = fuzz_value(in);
	else if (type & 128)
		h.addr = from / 8 % VCPUS;
	if (h.type == WIRE_VCPU_STATE) {
		h.len = (uint32_t)image_part(in, h.addr, payload);
		return h;
	}
	h.len = (uint32_t)length_of(&h, in);
	/* Of a large one the beginning will do. */
	for (size_t i = 0; i < MIN(h.len, 256u); i++)
		payload[i] = (uint8_t)fuzz_take(in, 1);
	return h;
}

/* Return: whether the connection goes on. */
static bool message(struct world *w, struct fuzz_input *in)
{
	uint8_t bytes[WIRE_EVENT_MAX] = {0};
	struct wire_hdr h = some_message(w, in, bytes);
	bool event = wire_check(&h, WIRE_CLASS_EVENT) == 0;

	/* What fits to neither is refused by the transport. */
	if (!event && wire_check(&h, WIRE_CLASS_CONTROL) < 0)
		return true;
	/* As a transport gives it: aligned; here with nothing behind it. */
	_cleanup_free_ uint8_t *payload = malloc(h.len ?: 1);
	fuzz_check(payload);
	memcpy(payload, bytes, h.len);

	struct conn *c = &w->conn[h.from][event];
	fuzz_check(conn_check(c, &h, c->peer) == 0);
	int r = event ? messages_event(w->n, c, &h, payload)
		      : messages_control(w->n, c, &h, payload);
	fuzz_check(r == 0 || r == -EPROTO);
	return r == 0;
}

static void check(const struct node *n)
{
	const uint64_t all = (1 << NODES) - 1;

	fuzz_check(!((n->joined | n->ready | n->stopped) & ~all));
	fuzz_check(n->stop.culprit >= -1 && n->stop.culprit < NODES);
	for (const char *c = n->stop.text; *c; c++)
		fuzz_check((unsigned char)*c >= ' ' && *c != 0x7f);
	for (unsigned i = 0; i < VCPUS; i++)
		fuzz_check(place_get(&n->irq.at[i]).node < NODES);
	/* Each is here once, or on its way, or elsewhere. */
	fuzz_check(atomic_load(&n->moving.here) <= VCPUS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_input in = fuzz_input(data, len);
	uint64_t setting = fuzz_take(&in, 1);
	struct cluster_config *cfg;
	struct world w;
	struct err err;

	fuzz_check(cluster_default(CLUSTER_LOCAL, NODES, 64 * MIB, 2, &cfg, &err) == 0);
	const struct node_options options = {
		.cfg = cfg, .self = (unsigned)setting / 16 % NODES, .epoch = EPOCH};
	set_up(&w, &options, setting);
	bool goes_on = true;
	while (goes_on && fuzz_left(&in)) {
		uint64_t op = fuzz_take(&in, 1);

		if (op < 200)
			goes_on = message(&w, &in);
		else if (op < 240)
			vcpu_acts(w.n, (unsigned)op % VCPUS, (unsigned)fuzz_take(&in, 1));
		else
			phase_step(w.n, clock_now_ns());
		check(w.n);
	}
	tear_down(&w);
	cluster_free(cfg);
	return 0;
}

/* Both parts of an image, for a vCPU of this node that is elsewhere, and noise behind it. */
size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	uint64_t dice = fuzz_random(random), self = dice % NODES;
	size_t len = 0;

	data[len++] = (uint8_t)(self * 16 | (dice >> 8 & 15) | 4);
	for (unsigned i = 0; i < 2 && dice & 16; i++) {
		const uint16_t offset = (uint16_t)(i * WIRE_PART_MAX), generation = 1;
		const uint8_t head[] = {0, 4 + 17 * 8, (uint8_t)(2 * self * 8)};

		memcpy(data + len, head, sizeof(head));
		memcpy(data + len + 3, &offset, sizeof(offset));
		memcpy(data + len + 5, &generation, sizeof(generation));
		memset(data + len + 7, 0, 3);
		len += 10;
	}
	return len + fuzz_noise(random, data + len, 20 + fuzz_random(random) % 300);
}
