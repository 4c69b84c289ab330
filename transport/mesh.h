/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings up all connections between this node and its peers: node i connects to every node j < i
 * and accepts from every node j > i, one connection for control, one for events and, per shard,
 * one for requests and one for data. Each starts with a hello in both directions; what does not
 * fit (version, configuration, epoch, node number) is refused with a line that names the peer.
 *
 * Runs in one thread before the VM starts, bounded by a deadline; peers may come in any order, and
 * a connection refused by the peer's kernel is tried again until the deadline (it has not started
 * yet). Strangers that connect and send anything else are dropped and cannot stall the others.
 */
#ifndef SSIHV_TRANSPORT_MESH_H
#define SSIHV_TRANSPORT_MESH_H

#include "base/err.h"
#include "transport/transport.h"

struct mesh_config {
	unsigned nodes, self, shards;
	const char *const *address;  /* per node, "host:port" */
	const char *const *name;     /* per node, for messages to the user */
	int listen_fd;               /* from mesh_listen(); stays the caller's */
	uint64_t config_digest;
	uint32_t epoch;
	unsigned timeout_ms;
	int cancel_fd;               /* readable: give up with -ECANCELED; -1 for none */
	/* Called whenever another peer is complete; may be NULL. */
	void (*progress)(void *ctx, unsigned peer, unsigned complete, unsigned peers);
	void *progress_ctx;
};

struct mesh {
	unsigned nodes, self, shards;
	struct conn *control[MAX_NODES]; /* NULL for self */
	struct conn *event[MAX_NODES];
	struct conn **request; /* [shard * nodes + peer]; NULL for self */
	struct conn **data;    /* [shard * nodes + peer] */
};

/**
 * mesh_listen() - open the listening socket of @address ("host:port"; port 0 picks a free one)
 * @port: may be NULL; the port that was bound
 *
 * Return: 0 with the socket in *@ret; negative errno with @err naming address and way out
 * (-EADDRINUSE, -EADDRNOTAVAIL, -EINVAL for what is no address).
 */
int mesh_listen(const char *address, uint16_t *port, int *ret, struct err *err);

/**
 * mesh_connect() - establish all connections
 *
 * Return: 0 with every connection in @ret; negative errno with @err: -ETIMEDOUT names the peers
 * that did not come, -EPROTO what a peer has another version, configuration or epoch of.
 */
int mesh_connect(const struct mesh_config *cfg, struct mesh *ret, struct err *err);

/** mesh_close() - close every connection; frees what @mesh holds. */
void mesh_close(struct mesh *mesh);

#endif
