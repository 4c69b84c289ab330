/* SPDX-License-Identifier: Apache-2.0 */
/* What a node process of a native cluster has of its host, as the kernel tells it. */
#ifndef SSIHV_TESTS_DSM_NATIVE_USAGE_H
#define SSIHV_TESTS_DSM_NATIVE_USAGE_H

#include "tests/dsm/native_cluster.h"

struct native_usage {
	uint64_t guest;	      /* bytes of guest memory that are resident */
	uint64_t guest_huge;  /* of these, in huge pages */
	uint64_t other;	      /* anonymous bytes that are resident and not the guest's */
	uint64_t page_tables; /* bytes */
	uint64_t tables;      /* bytes of the pager's tables by page */
	uint64_t copies;      /* pages of other homes, as the pager counts where it has a limit */
	unsigned mappings, fds;
};

/** native_usage() - of this process; ends the node when it cannot be told. */
void native_usage(struct native_node *n, struct native_usage *ret);

/** native_resident() - of the area: bytes that are resident, and in huge pages. */
void native_resident(struct native_node *n, const void *area, uint64_t bytes, uint64_t *resident,
		     uint64_t *huge);

#endif
