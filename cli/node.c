/* SPDX-License-Identifier: Apache-2.0 */
/* ssihv node: be one node of a cluster. `ssihv run` starts it on every host; so can a person. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/events_out.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "config/cluster.h"
#include "vmm/node.h"

enum { OPT_CLUSTER, OPT_NAME, OPT_EPOCH, OPT_KERNEL, OPT_INITRD, OPT_APPEND, OPT_COUNT };

static const struct option_spec options[] = {
	[OPT_CLUSTER] = {"cluster", 0, "FILE", "the cluster file, the same on all nodes"},
	[OPT_NAME] = {"name", 0, "NAME", "which of the file's nodes this is"},
	[OPT_EPOCH] = {"epoch", 0, "N", "number of this run, the same on all nodes (default 1)"},
	[OPT_KERNEL] = {"kernel", 0, "BZIMAGE", "first node: the guest's kernel"},
	[OPT_INITRD] = {"initrd", 0, "CPIO", "first node: the guest's initramfs"},
	[OPT_APPEND] = {"append", 0, "STRING", "first node: the guest's command line"},
	{NULL},
};

static int parse_epoch(const char *text, uint32_t *ret)
{
	char *end;

	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || n == 0 || n > UINT32_MAX)
		return usage_error("--epoch takes a number from 1 to %u, not '%s'", UINT32_MAX,
				   text);
	*ret = (uint32_t)n;
	return STATUS_OK;
}

#define LAST_WORDS_MS 2000 /* for whoever has not read what the node said */

/* ---- the node's port is this process ---- */

/* Signals that end the node: blocked before any thread exists, taken by one of their own. */
struct signals {
	sigset_t set;
	struct node *node;
	pthread_t thread;
};

static void *take_signals(void *arg)
{
	struct signals *s = arg;
	int number;

	while (sigwait(&s->set, &number) == 0 && number != SIGUSR2) {
		char why[40];

		snprintf(why, sizeof(why), "ended by signal %d", number);
		node_quit(s->node, why);
	}
	return NULL;
}

static int run_node(const struct node_options *what, struct signals *s)
{
	struct events_out *events;
	int restore, r = events_out_new(STDERR_FILENO, &events);
	struct err err;

	if (r < 0) {
		err_set(&err, r, "no thread for events: %s", strerror(-r));
		failure(&err);
		return r;
	}
	const struct node_port port = {
		.commands = STDIN_FILENO,
		.console = output_open(STDOUT_FILENO, &restore),
		.event = events_out_put,
		.ctx = events,
	};

	r = node_new(what, &port, &s->node);
	if (r == 0) {
		r = -pthread_create(&s->thread, NULL, take_signals, s);
		if (r == 0) {
			r = node_run(s->node);
			pthread_kill(s->thread, SIGUSR2);
			pthread_join(s->thread, NULL);
		} else {
			err_set(&err, r, "no thread for signals: %s", strerror(-r));
			failure(&err);
		}
		node_free(s->node);
	}
	output_close(STDOUT_FILENO, port.console, restore);
	events_out_free(events, LAST_WORDS_MS);
	return r;
}

static int run_with_signals(const struct node_options *what)
{
	struct signals s;

	signals_that_end(&s.set);
	sigaddset(&s.set, SIGUSR2); /* from ourselves: the node has ended */
	pthread_sigmask(SIG_BLOCK, &s.set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return run_node(what, &s);
}

/* ---- the verb ---- */

static int be_node(const char *const values[OPT_COUNT], uint32_t epoch)
{
	_cleanup_(cluster_freep) struct cluster_config *cfg = NULL;
	struct err err;

	if (cluster_load(values[OPT_CLUSTER], &cfg, &err) < 0)
		return failure(&err);
	int self = cluster_find(cfg, values[OPT_NAME]);
	if (self < 0)
		return usage_error("%s has no node '%s'", values[OPT_CLUSTER], values[OPT_NAME]);

	const struct node_options node = {
		.cfg = cfg,
		.self = (unsigned)self,
		.epoch = epoch,
		.kernel = values[OPT_KERNEL] ? values[OPT_KERNEL] : cfg->kernel,
		.initrd = values[OPT_INITRD] ? values[OPT_INITRD] : cfg->initrd,
		.append = values[OPT_APPEND] ? values[OPT_APPEND] : cfg->append,
	};
	if (self == 0 && !node.kernel)
		return usage_error("the first node needs --kernel BZIMAGE");
	return run_with_signals(&node) < 0 ? STATUS_FAILED : STATUS_OK;
}

static int run(int argc, char **argv)
{
	const char *values[OPT_COUNT] = {NULL}, *value;
	struct options o = {argc, argv, 1};
	uint32_t epoch = 1;
	int which;

	while ((which = options_next(&o, &verb_node, &value)) != OPTIONS_END) {
		if (which == OPTIONS_STOP)
			return o.status;
		if (which == OPTIONS_POSITIONAL)
			return usage_error("node takes no argument '%s'", value);
		values[which] = value;
	}
	if (!values[OPT_CLUSTER] || !values[OPT_NAME])
		return usage_error("node needs --cluster FILE and --name NAME");
	if (values[OPT_EPOCH] && parse_epoch(values[OPT_EPOCH], &epoch) != STATUS_OK)
		return STATUS_USAGE;
	return be_node(values, epoch);
}

const struct verb verb_node = {
	.name = "node",
	.arguments = "--cluster FILE --name NAME [--epoch N] [--kernel BZIMAGE] ...",
	.help = "be one node of a cluster (what run starts on every host)",
	.options = options,
	.run = run,
};
