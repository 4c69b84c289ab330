/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include "vmm/machine.h"

/* Signals become a descriptor before any thread exists, so that every thread inherits the mask. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int node_new(const struct node_options *options, struct node **ret)
{
	struct node *n = aligned_alloc(64, ALIGN_UP(sizeof(*n), 64));

	if (!n)
		return -ENOMEM;
	memset(n, 0, sizeof(*n));
	n->options = options;
	n->cfg = options->cfg;
	n->self = options->self;
	n->nodes = options->cfg->nodes_count;
	n->epoch = options->epoch;
	n->stop.culprit = -1;
	n->kvm = (struct kvm){.sys = -1, .vm = -1};
	n->input_open = true;
	n->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	n->signals = open_signals();
	pthread_mutex_init(&n->stop.lock, NULL);
	pthread_mutex_init(&n->idle_lock, NULL);
	for (unsigned i = 0; i < MAX_NODES; i++) {
		n->link[i] = (struct link){
			.wake = n->wake, .self = (uint16_t)n->self, .epoch = n->epoch};
		pthread_mutex_init(&n->link[i].lock, NULL);
	}
	events_init(&n->ev, n->cfg->nodes[n->self].name);
	if (n->wake < 0 || n->signals < 0) {
		free(n);
		return -errno;
	}
	*ret = n;
	return 0;
}

int vmm_run(const struct node_options *options)
{
	struct node *n;
	int r = node_new(options, &n);

	if (r < 0)
		return r;
	/* A console that nobody reads must not stop the node: see node_console_flush(). */
	fcntl(STDOUT_FILENO, F_SETFL, fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
	r = node_up(n);
	while (r == 0 && !node_stopping(n))
		r = control_step(n, 20);
	if (r < 0)
		node_stop(n, WIRE_STOP_FAILED, -1, "%s: %s", n->cfg->nodes[n->self].name,
			  strerror(-r));
	node_down(n);
	r = atomic_load(&n->stop.reason) == WIRE_STOP_POWEROFF ? 0 : -ECANCELED;
	free(n);
	return r;
}
