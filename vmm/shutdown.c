/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a node, in one order for every reason:
 *
 *  1. where the run is traced and the guest has powered itself off: a last look at its memory,
 * while the peers still serve it, for LAST_LOOK_MS at most;
 *  2. tell the peers why (WIRE_STOP);
 *  3. take down the components, last first (vmm/component.c): the vCPUs end, with what they may
 *     wait for, the console's last bytes are written, the peers say goodbye;
 *  4. answer commands that still wait, report, say "stopped".
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "vmm/component.h"
#include "vmm/machine.h"
#include "vmm/node.h"
#include "vmm/phase.h"

#define LAST_LOOK_MS 5000

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
		guest_clock_end(&n->clock);
	}
	pthread_mutex_unlock(&n->stop.lock);
	/* The main thread also looks at the reason at its next timeout. */
	if (write(n->ending, &one, sizeof(one)) < 0)
		return;
	node_wake(n);
}

void node_quit(struct node *n, const char *why)
{
	node_stop(n, WIRE_STOP_ASKED, -1, "%s", why);
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
	if (n->report)
		events_emit(&n->ev, "report", json_pack("{s:o}", "report", TAKE_PTR(n->report)));
	events_emit(&n->ev, "stopped", body);
}

/* May a last look go on? It is not worth waiting for a peer that ends by itself. */
static bool looks(const struct node *n, uint64_t end)
{
	return clock_now_ns() < end && !n->lost && !n->stopped;
}

/* Node 0, whose guest has powered itself off. */
static void last_look(struct node *n)
{
	const uint64_t end = clock_now_ns() + LAST_LOOK_MS * NSEC_PER_MSEC;

	if (!n->surveyor.dir || n->self != PLATFORM_NODE || !n->run_ns ||
	    atomic_load(&n->stop.reason) != WIRE_STOP_POWEROFF)
		return;
	while (guest_pause(n) < 0)
		if (!looks(n, end) || control_step(n, 5) < 0)
			return;
	for (guest_survey(n); surveyor_busy(&n->surveyor);)
		if (!looks(n, end) || control_step(n, 5) < 0)
			return;
}

void node_down(struct node *n)
{
	last_look(n);
	tell_peers(n);
	components_down(n);
	phase_end(n);
	commands_close(&n->commands);
	emit_end(n);
}
