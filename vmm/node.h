/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node of a cluster, from its configuration to the end of the guest.
 *
 * THEORY. The main thread brings the node up in named stages (vmm/bringup.c), then runs the control
 * loop (vmm/control.c): peers (peers.c, messages.c), console, signals. Shards serve pages (dsm/),
 * vCPU threads run the guest (cpu/). The VM ends in one place: whoever finds a reason calls
 * node_stop(), the first reason counts, the main thread tells all peers and takes the node down
 * (vmm/shutdown.c). A node that hears of a stop passes it on, so that all end with one reason.
 *
 * Node 0 holds the devices and starts the guest; otherwise nodes are equal.
 */
#ifndef SSIHV_VMM_NODE_H
#define SSIHV_VMM_NODE_H

#include "config/cluster.h"

struct node_options {
	const struct cluster_config *cfg;
	unsigned self;
	uint32_t epoch;
	/* Node 0 only: */
	const char *kernel; /* path */
	const char *initrd; /* path or NULL */
	const char *append; /* or NULL */
};

/**
 * vmm_run() - be a node until the guest ends
 *
 * Tells its progress on standard error (vmm/events.h), the guest's console is standard input and
 * output. End of file on standard input or SIGTERM or SIGINT stop the VM.
 *
 * Return: 0 when the guest powered itself off; a negative errno otherwise, the reason was told.
 */
int vmm_run(const struct node_options *options);

#endif
