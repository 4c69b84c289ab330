/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a node, in one order for every reason:
 *
 *  1. tell the peers why (WIRE_STOP);
 *  2. tell the vCPUs to stop and take away what they may wait for: forwarded exits, then pages
 *     (closing the userfaultfd lets a fault go on, but the vCPU leaves KVM before it enters the
 *     guest again: its stop is pending);
 *  3. keep the connections open until every peer has said that it stops, too: otherwise a peer
 *     could take our end for the reason of its own;
 *  4. report, close, free.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "vmm/machine.h"

#define GOODBYE_MS 2000

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

static void tell_peers(struct node *n)
{
	const struct wire_hdr hdr = {
		.type = WIRE_STOP,
		.flags = (uint8_t)atomic_load(&n->stop.reason),
		.addr = (uint64_t)(n->stop.culprit + 1),
	};

	for (unsigned i = 0; i < n->nodes; i++)
		if (n->mesh.control[i] && !(n->lost >> i & 1))
			control_send(n, i, hdr, n->stop.text, strlen(n->stop.text));
}

static void stop_vcpus(struct node *n)
{
	for (unsigned i = 0; i < n->topology.vcpus; i++)
		if (n->vcpu[i])
			vcpu_signal(n->vcpu[i], VCPU_EVENT_STOP, 0);
	forward_cancel(&n->forward);
	if (n->pager)
		pager_stop(n->pager);
	for (unsigned i = 0; i < n->topology.vcpus; i++)
		if (n->vcpu[i])
			vcpu_join(n->vcpu[i]);
	if (n->platform_up)
		n->report = node_report(n);
	pager_free(n->pager);
	n->pager = NULL;
}

static void wait_for_goodbyes(struct node *n)
{
	uint64_t end = clock_now_ns() + GOODBYE_MS * NSEC_PER_MSEC;

	if (!n->mesh.shards)
		return;
	while ((~(n->stopped | n->lost) & node_peers(n)) && clock_now_ns() < end)
		if (control_step(n, 50) < 0)
			break;
}

static void emit_end(struct node *n)
{
	static const char *const reasons[] = {
		[WIRE_STOP_POWEROFF] = "poweroff",
		[WIRE_STOP_RESET] = "reset",
		[WIRE_STOP_FAILED] = "failed",
		[WIRE_STOP_ASKED] = "asked",
	};
	json_t *body = json_pack("{s:s, s:s}", "reason", reasons[atomic_load(&n->stop.reason)],
				 "text", n->stop.text);

	if (body && n->stop.culprit >= 0)
		json_object_set_new(body, "culprit",
				    json_string(n->cfg->nodes[n->stop.culprit].name));
	if (n->platform.printed.lost)
		events_log(&n->ev, "warning", "%llu bytes of console output were not taken in time",
			   (unsigned long long)n->platform.printed.lost);
	if (n->report)
		events_emit(&n->ev, "report", json_pack("{s:o}", "report", n->report));
	events_emit(&n->ev, "stopped", body);
}

void node_down(struct node *n)
{
	tell_peers(n);
	stop_vcpus(n);
	wait_for_goodbyes(n);
	if (n->platform_up)
		node_console_flush(n);
	emit_end(n);
	for (unsigned i = 0; i < n->topology.vcpus; i++)
		vcpu_free(n->vcpu[i]);
	moving_free(&n->moving);
	platform_free(&n->platform);
	mesh_close(&n->mesh);
	kvm_close(&n->kvm);
	ram_free(n->ram);
	guest_input_free(&n->input);
	listener_close(TAKE_PTR(n->listener));
	closep(&n->signals);
	closep(&n->wake);
}
