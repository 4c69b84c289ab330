/* SPDX-License-Identifier: Apache-2.0 */
/* From configuration to a running guest, in named stages, one table. */
#include "base/clock.h"
#include "vmm/machine.h"

static int up_run(struct node *n, struct err *err)
{
	n->run_ns = clock_now_ns();
	for (unsigned i = 0; i < n->topology.vcpus; i++) {
		int r = n->vcpu[i] ? vcpu_start(n->vcpu[i]) : 0;
		if (r < 0)
			return err_set(err, r, "vCPU %u: cannot start its thread: %s", i,
				       strerror(-r));
	}
	events_emit(&n->ev, "ready", NULL);
	return 0;
}

static const struct stage {
	const char *phase;
	int (*up)(struct node *n, struct err *err);
} stages[] = {
	{"reserving guest memory", up_memory},
	{"opening KVM", up_kvm},
	{"reading the guest", up_input},
	{"connecting", up_connections},
	{"agreeing on CPU features", up_agreement},
	{"agreeing on time", up_clock},
	{"starting the pager", up_pager},
	{"creating vCPUs", up_vcpus},
	{"waiting for all nodes", up_ready},
	{"loading the guest", up_boot},
	{"running", up_run},
};

int node_up(struct node *n)
{
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
		struct err err = {.text = "failed"};

		events_phase(&n->ev, "%s", stages[i].phase);
		int r = stages[i].up(n, &err);
		if (r < 0) {
			/* Keeps the first reason, when a stop is why the stage gave up. */
			node_stop(n, WIRE_STOP_FAILED, -1, "%s: %s", n->cfg->nodes[n->self].name,
				  err.text);
			return r;
		}
	}
	return 0;
}
