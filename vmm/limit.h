/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of the guest's memory may be on a node's host: what the configuration says, else what
 * the host has free, shared by the nodes that run on it, less what a node needs for itself. Pure.
 */
#ifndef SSIHV_VMM_LIMIT_H
#define SSIHV_VMM_LIMIT_H

#include "config/cluster.h"

struct limit {
	uint64_t bytes;	 /* guest memory in all, on this host, by this node */
	uint64_t copies; /* of it for copies of other nodes' pages; 0: as many as there are */
	bool tight;	 /* the host has less free than the least that it takes */
};

/**
 * limit_choose() - the limit of node @self
 * @cfg:  has passed cluster_check()
 * @free: bytes that the host can still give; UINT64_MAX when it does not tell
 */
void limit_choose(const struct cluster_config *cfg, unsigned self, uint64_t free,
		  struct limit *ret);

#endif
