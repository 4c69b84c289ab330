/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the nodes listen. Those that start on this machine are tried here, before anything runs:
 * a port that is taken, or an address of another machine, is a line and not a lost node. The port
 * is free again when the node binds it; who takes it in between is reported by the node.
 */
#ifndef SSIHV_CLI_ADDRESS_H
#define SSIHV_CLI_ADDRESS_H

#include "config/cluster.h"

/** addresses_fill() - give every node an address; check those of nodes that start here. */
int addresses_fill(struct cluster_config *cfg, struct err *err);

#endif
