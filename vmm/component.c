/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/component.h"

#include "vmm/machine.h"

static const struct component components[] = {
	{"memory", "reserving guest memory", memory_up, memory_down},
	{"kvm", "opening KVM", kvm_up, kvm_down},
	{"input", "reading the guest", input_up, input_down},
	{"peers", "connecting", peers_up, peers_down},
	{"agreement", "agreeing on CPU features", agreement_up},
	{"clock", "agreeing on time", clock_up, NULL, clock_pause},
	{"pager", "starting the pager", pager_up, pager_down},
	{"devices", "building devices", devices_up, devices_down},
	{"vcpus", "creating vCPUs", vcpus_up, vcpus_down},
	{"ready", "waiting for all nodes", ready_up},
	{"boot", "loading the guest", boot_up},
	{"guest", "running", guest_up, guest_down, guest_pause, guest_resume},
};

int components_up(struct node *n)
{
	for (size_t i = 0; i < ARRAY_SIZE(components); i++) {
		struct err err = {.text = "failed"};

		events_phase(&n->ev, "%s", components[i].phase);
		n->components = (unsigned)i + 1;
		int r = components[i].up(n, &err);
		if (r < 0) {
			/* Keeps the first reason, when a stop is why it gave up. */
			node_stop(n, WIRE_STOP_FAILED, -1, "%s: %s", n->cfg->nodes[n->self].name,
				  err.text);
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
