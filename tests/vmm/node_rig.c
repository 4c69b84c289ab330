/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vmm/node_rig.h"

#include "tests/check.h"
#include "vmm/obey.h"
#include "vmm/phase.h"

static int keep(struct conn *c, const struct wire_hdr *h, const void *payload)
{
	const struct rig_conn *rc = (const struct rig_conn *)c;
	struct node_rig *rig = rc->rig;

	if (rc->error)
		return rc->error;
	assert_int_equal(conn_check(c, h, c->self), 0);
	assert_true(rig->count < RIG_SENT);
	rig->sent[rig->count] = *h;
	rig->sent_to[rig->count++] = c->peer;
	if (rig->on_send)
		rig->on_send(rig, h);
	return 0;
}

static const struct conn_ops ops = {.send = keep};

static void connect_peer(struct node_rig *rig, unsigned peer)
{
	struct node *n = rig->n;

	for (unsigned event = 0; event < 2; event++) {
		struct rig_conn *c = event ? &rig->event[peer] : &rig->control[peer];

		c->rig = rig;
		c->conn = (struct conn){
			.ops = &ops,
			.fd = -1,
			.epoch = RIG_EPOCH,
			.self = (uint16_t)n->self,
			.peer = (uint16_t)peer,
			.class_ = event ? WIRE_CLASS_EVENT : WIRE_CLASS_CONTROL,
		};
	}
	n->mesh.control[peer] = &rig->control[peer].conn;
	n->link[peer].conn = &rig->event[peer].conn;
}

static void on_power(void *ctx, bool reset)
{
}

void node_rig_open(struct node_rig *rig, unsigned self, bool alone)
{
	static const struct node_port port = {.commands = -1, .console = -1};
	struct err err;

	*rig = (struct node_rig){.options = {.self = self, .epoch = RIG_EPOCH}};
	assert_int_equal(
		cluster_default(CLUSTER_LOCAL, alone ? 1 : RIG_NODES, 64 * MIB, 1, &rig->cfg, &err),
		0);
	rig->options.cfg = rig->cfg;
	assert_int_equal(node_new(&rig->options, &port, &rig->n), 0);
	struct node *n = rig->n;

	assert_int_equal(topology_init(n->cfg, &n->topology, &err), 0);
	n->clock.tsc_khz = 1000000;
	clock_sync_init(&n->sync, &n->clock, &n->rendezvous, n->clock.tsc_khz);
	clock_sync_start_reference(&n->sync);
	interrupts_init(&n->irq, n->self, &n->topology, n->link, n->vcpu, true);
	moving_init(&n->moving, &n->irq);
	forward_init(&n->forward, n->link);
	assert_int_equal(platform_init(&n->platform, &n->irq, n->wake, 0, on_power, n, &err), 0);
	for (unsigned i = 0; i < n->nodes; i++)
		if (i != self)
			connect_peer(rig, i);
	n->platform_up = true;
	n->run_ns = 1;
}

void node_rig_close(struct node_rig *rig)
{
	struct node *n = rig->n;

	phase_end(n);
	commands_close(&n->commands);
	for (unsigned i = 0; i < n->topology.vcpus; i++)
		free(TAKE_PTR(n->vcpu[i]));
	moving_free(&n->moving);
	platform_free(&n->platform);
	node_free(n);
	cluster_free(rig->cfg);
}

static void on_answer(void *ctx, const json_t *reply)
{
	struct node_rig *rig = ctx;

	rig->answers++;
	rig->ok = json_is_true(json_object_get(reply, "ok"));
}

void node_rig_command(struct node_rig *rig, const char *name)
{
	assert_int_equal(node_command(rig->n, json_pack("{s:s}", "command", name), on_answer, rig),
			 0);
	obey_all(rig->n);
}

int node_rig_hear(struct node_rig *rig, enum wire_class class_, unsigned peer, struct wire_hdr h,
		  const void *payload)
{
	bool event = class_ == WIRE_CLASS_EVENT;
	struct conn *c = event ? &rig->event[peer].conn : &rig->control[peer].conn;

	h.from = (uint8_t)peer;
	h.epoch = RIG_EPOCH;
	/* What does not pass here is the transport's to refuse. */
	assert_int_equal(conn_check(c, &h, c->peer), 0);
	return (event ? messages_event : messages_control)(rig->n, c, &h, payload);
}

void node_rig_expect_stop(const struct node_rig *rig, const char *text)
{
	assert_true(node_stopping(rig->n));
	if (!strstr(rig->n->stop.text, text))
		fail_msg("'%s' is not in '%s'", text, rig->n->stop.text);
}
