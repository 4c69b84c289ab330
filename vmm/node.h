/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node of a cluster, from its configuration to the end of the guest.
 *
 * THEORY. A node is a list of components (vmm/component.h). The thread that calls node_run(), the
 * main thread, brings them up in order, then runs the control loop (vmm/control.c): peers (peers.c,
 * messages.c), commands, console. Shards serve pages (dsm/), vCPU threads run the guest (cpu/). The
 * VM ends in one place: whoever finds a reason calls node_stop(), the first reason counts, the main
 * thread tells all peers and takes the components down (vmm/shutdown.c). A node that hears of a
 * stop passes it on, so that all end with one reason.
 *
 * Node 0 holds the devices and starts the guest; otherwise nodes are equal.
 *
 * A LIBRARY. A node touches nothing of its process but what is in its port, so several run in one.
 * Two things belong to all of the process: SIGUSR1 kicks vCPUs (cpu/vcpu.h), and SIGPIPE must be
 * ignored by a program whose console may be closed.
 */
#ifndef SSIHV_VMM_NODE_H
#define SSIHV_VMM_NODE_H

#include "config/cluster.h"
#include "vmm/port.h"

struct node;
struct transport;

struct node_options {
	const struct cluster_config *cfg;
	unsigned self;
	uint32_t epoch;
	const struct transport *transport; /* of its connections; NULL: TCP */
	/* Node 0 only: */
	const char *kernel; /* path */
	const char *initrd; /* path or NULL */
	const char *append; /* or NULL */
};

/** node_new() - make a node that does nothing yet; what both point to must outlive it */
int node_new(const struct node_options *options, const struct node_port *port, struct node **ret);

/**
 * node_run() - be a node until the guest ends; once
 *
 * Return: 0 when the guest powered itself off; a negative errno otherwise, the reason was told.
 */
int node_run(struct node *n);

/** node_free() - after node_run(), or without it. NULL is allowed. */
void node_free(struct node *n);

/** node_quit() - whoever runs the node wants it to end; @why is for the user. Any thread. */
void node_quit(struct node *n, const char *why);

/**
 * node_command() - ask something of a node that runs (vmm/commands.h); does not wait
 * @command: reference is taken
 * @reply:   called exactly once, when the node ends at the latest; NULL: nobody wants to know
 *
 * Any thread, from node_new() until node_free(). Return: 0; -ENOMEM, then nobody is called.
 */
int node_command(struct node *n, json_t *command, node_reply_fn reply, void *ctx);

#endif
