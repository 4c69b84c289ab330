/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node of several that is up and runs, without KVM, threads or sockets: its connections keep
 * what it sends, nothing happens but what the test does.
 */
#ifndef SSIHV_TESTS_VMM_NODE_RIG_H
#define SSIHV_TESTS_VMM_NODE_RIG_H

#include "vmm/machine.h"
#include "vmm/node.h"

#define RIG_NODES 3
#define RIG_EPOCH 5
#define RIG_SENT  32 /* messages that are kept; more fail the test */

struct rig_conn {
	struct conn conn; /* first */
	struct node_rig *rig;
	int error; /* of each send; 0: it is sent */
};

struct node_rig {
	struct cluster_config *cfg;
	struct node_options options;
	struct node *n;
	struct rig_conn control[RIG_NODES], event[RIG_NODES];
	struct wire_hdr sent[RIG_SENT];
	unsigned sent_to[RIG_SENT];
	unsigned count;
	void (*on_send)(struct node_rig *rig, const struct wire_hdr *h); /* or NULL */
	/* The answer to the last command that was given with node_rig_command(). */
	unsigned answers;
	bool ok;
};

/** node_rig_open() - node @self of RIG_NODES; @alone: of one. Asserts. */
void node_rig_open(struct node_rig *rig, unsigned self, bool alone);
void node_rig_close(struct node_rig *rig);

/** node_rig_command() - the node is asked to @name, and has taken that. */
void node_rig_command(struct node_rig *rig, const char *name);

/** node_rig_hear() - a message of @peer arrives. Return: what the node makes of it. */
int node_rig_hear(struct node_rig *rig, enum wire_class class_, unsigned peer, struct wire_hdr h,
		  const void *payload);

/** node_rig_expect_stop() - it has stopped, with @text in the reason. */
void node_rig_expect_stop(const struct node_rig *rig, const char *text);

#endif
