/* SPDX-License-Identifier: Apache-2.0 */
/* How guest memory is dealt to the shards: in granules, in turn; the same on all nodes. Pure. */
#ifndef SSIHV_DSM_GRANULE_H
#define SSIHV_DSM_GRANULE_H

#include "mem/layout.h"

/* Granules a shard gets at least, so that neighbouring memory is spread evenly over the shards. */
#define GRANULES_PER_SHARD 16

/** granule_shard() - which of @shards shards of a guest with @layout has the page at @gpa */
static inline unsigned granule_shard(const struct mem_layout *layout, unsigned shards, uint64_t gpa)
{
	unsigned shift = REGION_SHIFT;

	if (shards == 1)
		return 0;
	/* The largest power of two that still deals GRANULES_PER_SHARD to each: few mappings. */
	while (mem_total(layout) >> (shift + 1) >= (uint64_t)shards * GRANULES_PER_SHARD)
		shift++;
	return (unsigned)((gpa >> shift) % shards);
}

/** granule_home() - the first home of the region at @gpa; -1 when it is no RAM of shard @shard */
static inline int granule_home(const struct mem_layout *layout, unsigned shards, unsigned shard,
			       uint64_t gpa)
{
	return granule_shard(layout, shards, gpa) == shard ? mem_home(layout, gpa) : -1;
}

#endif
