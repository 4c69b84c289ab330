/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/component.h"

#include "vmm/machine.h"

static const struct component components[] = {
	{"memory", "reserving guest memory", memory_up, memory_down},
	{"kvm", "opening KVM", kvm_up, kvm_down},
	{"input", "reading the guest", input_up, input_down},
	{"peers", "connecting", peers_up, peers_down},
	{"agreement", "agreeing on CPU features", agreement_up},
	{"clock", "agreeing on time", clock_up},
	{"pager", "starting the pager", pager_up, pager_down},
	{"devices", "building devices", devices_up, devices_down, .save = devices_save,
	 .load = devices_load},
	{"vcpus", "creating vCPUs", vcpus_up, vcpus_down, .save = vcpus_save, .load = vcpus_load},
	{"ready", "waiting for all nodes", ready_up},
	{"boot", "loading the guest", boot_up},
	{"guest", "running", guest_up, guest_down, guest_pause, guest_resume},
};

int components_up(struct node *n)
{
	for (size_t i = 0; i < ARRAY_SIZE(components); i++) {
		struct err err = {0};

		events_phase(&n->ev, "%s", components[i].phase);
		n->components = (unsigned)i + 1;
		int r = components[i].up(n, &err);
		if (r < 0) {
			/* Keeps the first reason, when a stop is why it gave up. */
			node_stop(n, WIRE_STOP_FAILED, -1, "%s: %s", n->cfg->nodes[n->self].name,
				  err.text[0] ? err.text : strerror(-r));
			return r;
		}
	}
	return 0;
}

void components_down(struct node *n)
{
	while (n->components-- > 0)
		if (components[n->components].down)
			components[n->components].down(n);
	n->components = 0;
}

int components_pause(struct node *n)
{
	for (size_t i = ARRAY_SIZE(components); i-- > 0;) {
		int r = components[i].pause ? components[i].pause(n) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

void components_resume(struct node *n)
{
	for (size_t i = 0; i < ARRAY_SIZE(components); i++)
		if (components[i].resume)
			components[i].resume(n);
}

/* Whose image it is, before the first part. */
struct image_head {
	uint32_t version; /* wire_version() */
	uint32_t self, nodes;
};

static bool is_paused(const struct node *n)
{
	return n->phase.last == WIRE_PHASE_STAND && !n->phase.now;
}

int components_save(struct node *n, struct blob *to)
{
	const struct image_head head = {wire_version(), n->self, n->nodes};
	int r = is_paused(n) ? blob_put(to, &head, sizeof(head)) : -EBUSY;

	for (size_t i = ARRAY_SIZE(components); r == 0 && i-- > 0;)
		if (components[i].save)
			r = components[i].save(n, to);
	return r;
}

int components_load(struct node *n, struct blob *from)
{
	struct image_head head;
	int r = is_paused(n) ? blob_take(from, &head, sizeof(head)) : -EBUSY;

	if (r == 0 &&
	    (head.version != wire_version() || head.self != n->self || head.nodes != n->nodes))
		r = -EBADMSG;
	for (size_t i = ARRAY_SIZE(components); r == 0 && i-- > 0;)
		if (components[i].load)
			r = components[i].load(n, from);
	return r == 0 && from->taken != from->len ? -EBADMSG : r;
}
