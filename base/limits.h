/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large a cluster may be. Whoever sizes a table, an array or a field of a message takes it from
 * here, and asserts at compile time what else it needs to hold.
 */
#ifndef SSIHV_BASE_LIMITS_H
#define SSIHV_BASE_LIMITS_H

#include <stdint.h>

/* Nodes are numbered from 0; a set of them is one 64-bit word. */
#define MAX_NODES 64

/* Virtual CPUs of one node, and of all. The tables of ACPI and the routing are made for so many. */
#define MAX_NODE_VCPUS 64
#define MAX_VCPUS      1024

/* Pager threads of a node. Each has a connection of its own to the same thread of every peer. */
#define MAX_SHARDS 16

/* Requests by which a node has to lead for memory to move to it: usually (dsm/rehome.h), at most.
 */
#define HOMES_LEAD     1024
#define MAX_HOMES_LEAD 10000

/* Linux with 4-level paging reaches 46 bits of physical memory. All RAM lies below GPA_LIMIT. */
#define GPA_BITS  46u
#define GPA_LIMIT (UINT64_C(1) << GPA_BITS)

/* Memory that one node gives, and all together: the PCI hole takes 1 GiB of the addresses. */
#define MIN_NODE_MEMORY (UINT64_C(64) << 20)
#define MAX_NODE_MEMORY (UINT64_C(4) << 40)
#define MAX_MEMORY	(GPA_LIMIT - (UINT64_C(1) << 30))

/* A node's limit leaves at least so much for copies of other nodes' memory. */
#define MIN_NODE_COPIES (UINT64_C(16) << 20)

#endif
