/* SPDX-License-Identifier: Apache-2.0 */
/* What a bring-up (transport/mesh.h) is told, and each of its sides works by. */
#ifndef SSIHV_TRANSPORT_MESH_CONFIG_H
#define SSIHV_TRANSPORT_MESH_CONFIG_H

#include "transport/fabric.h"

struct mesh_config {
	unsigned nodes, self, shards;
	const char *const *address; /* per node, "host:port" */
	const char *const *name;    /* per node, for messages to the user */
	/* Its transport dials, too. Peers may have dialled before. Stays the caller's. */
	struct listener *listener;
	uint64_t config_digest;
	uint32_t epoch;
	unsigned timeout_ms;
	int cancel_fd; /* readable: give up with -ECANCELED; -1 for none */
	/* Called whenever another peer is complete; may be NULL. */
	void (*progress)(void *ctx, unsigned peer, unsigned complete, unsigned peers);
	/* Called whenever a hello was refused, with a line why; may be NULL. Same ctx. */
	void (*refused)(void *ctx, const char *text);
	void *progress_ctx;
};

#endif
