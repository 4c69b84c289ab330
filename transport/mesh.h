/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings up all connections between this node and its peers: node i connects to every node j < i
 * and accepts from every node j > i, one connection for control, one for events and, per shard,
 * one for pages. Each starts with a hello in both directions; what does not fit (version,
 * configuration, epoch, node number) is refused with a line that names the peer. Nobody is done
 * before all are: each tells the others when it has all its connections.
 *
 * Runs in one thread before the VM starts, bounded by a deadline; peers may come in any order, and
 * a connection refused by the peer's kernel is tried again until the deadline (it has not started
 * yet). Strangers that connect and send anything else are dropped and cannot stall the others.
 *
 * Who is refused gives up at once and tells its user why. Who refuses tells refused() and keeps
 * waiting: the other may come again with the right file, and no stranger can end the bring-up. A
 * peer that goes away before all are connected is waited for again, so a node may be restarted at
 * any moment; slots.h says how. After that its end is an error of its connections.
 */
#ifndef SSIHV_TRANSPORT_MESH_H
#define SSIHV_TRANSPORT_MESH_H

#include "transport/mesh_config.h"

struct mesh {
	unsigned nodes, self, shards;
	struct conn *control[MAX_NODES]; /* NULL for self */
	struct conn *event[MAX_NODES];
	struct conn **page; /* [shard * nodes + peer]; NULL for self */
};

/**
 * mesh_connect() - establish all connections
 *
 * Names are resolved once, at the start, and by the C library: that part has its own time limits.
 * Not thread-safe for one @cfg; several nodes may run this in threads of one process.
 *
 * Return: 0 with every connection in @ret; negative errno with @err: -ETIMEDOUT names the peers
 * that did not come, -ECONNRESET one that has gone when others were done, -EPROTO what a peer has
 * another version, configuration or epoch of, -ECANCELED, -EMFILE, -ENOMEM, -EINVAL for an address
 * or a configuration out of range.
 */
int mesh_connect(const struct mesh_config *cfg, struct mesh *ret, struct err *err);

/** mesh_close() - close every connection; frees what @mesh holds. A zeroed @mesh is allowed. */
void mesh_close(struct mesh *mesh);

#endif
