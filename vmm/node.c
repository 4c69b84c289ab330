/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/node.h"

#include <sys/eventfd.h>

#include "vmm/component.h"
#include "vmm/machine.h"

static void init_locks(struct node *n)
{
	pthread_mutex_init(&n->stop.lock, NULL);
	rendezvous_init(&n->rendezvous, &n->clock);
	pthread_mutex_init(&n->idle_lock, NULL);
	for (unsigned i = 0; i < MAX_NODES; i++) {
		n->link[i] = (struct link){
			.wake = n->wake, .self = (uint16_t)n->self, .epoch = n->epoch};
		if (n->cfg->lab.free_clocks < 2)
			n->link[i].clock = &n->clock;
		pthread_mutex_init(&n->link[i].lock, NULL);
	}
}

int node_new(const struct node_options *options, const struct node_port *port, struct node **ret)
{
	struct node *n = aligned_alloc(64, ALIGN_UP(sizeof(*n), 64));
	int r;

	if (!n)
		return -ENOMEM;
	memset(n, 0, sizeof(*n));
	n->options = options;
	n->port = port;
	n->cfg = options->cfg;
	n->self = options->self;
	n->nodes = options->cfg->nodes_count;
	n->epoch = options->epoch;
	n->stop.culprit = -1;
	n->kvm = (struct kvm){.sys = -1, .vm = -1};
	n->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	n->ending = n->wake < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = n->ending < 0 ? -errno : commands_init(&n->commands, port->commands);
	if (r < 0) {
		node_free(n);
		return r;
	}
	init_locks(n);
	events_init(&n->ev, n->cfg->nodes[n->self].name, port);
	*ret = n;
	return 0;
}

int node_run(struct node *n)
{
	int r = components_up(n);

	while (r == 0 && !node_stopping(n))
		r = control_step(n, 20);
	if (r < 0)
		node_stop(n, WIRE_STOP_FAILED, -1, "%s: %s", n->cfg->nodes[n->self].name,
			  strerror(-r));
	node_down(n);
	return atomic_load(&n->stop.reason) == WIRE_STOP_POWEROFF ? 0 : -ECANCELED;
}

void node_free(struct node *n)
{
	if (!n)
		return;
	commands_free(&n->commands);
	json_decref(n->report);
	closep(&n->wake);
	closep(&n->ending);
	free(n);
}

int node_command(struct node *n, json_t *command, node_reply_fn reply, void *ctx)
{
	int r = commands_add(&n->commands, command, reply, ctx);

	node_wake(n);
	return r;
}
