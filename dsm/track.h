/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which regions at home here are registered with the userfaultfd, and what that costs.
 *
 * At home here means: at first. A region whose home has moved away, or here, stays as it is.
 *
 * A region is registered when the core tracks it (DSM_TRACK). In the kernel's eyes it then differs
 * from its neighbours, which makes of one memory mapping three, unless a neighbour is registered
 * already. A process may have vm.max_map_count (65530) mappings: some 64 GiB of which every other
 * region is shared would use them up.
 *
 * So when half of them are used for such islands, or the kernel has no more (dsm/mappings.h), all
 * memory from the nearest registered region to the new one is registered in one go. That costs no
 * mapping in the end, but some on the way. The regions in between (gaps) are not tracked by the
 * core. Their missing pages fault from then on, and are filled with zeros here (track_fill()), as
 * the kernel would have done by itself.
 *
 * A region that the core tracks no more is plain memory again, and becomes a huge page if the
 * kernel has one. In the middle of registered memory that would cost two mappings: where they are
 * short it becomes a gap instead.
 */
#ifndef SSIHV_DSM_TRACK_H
#define SSIHV_DSM_TRACK_H

#include "dsm/mappings.h"
#include "dsm/pager_config.h"

struct tracker {
	const struct pager_config *cfg;
	unsigned shard;
	int uffd; /* the shard's, that stays the caller's */
	struct mappings *mappings;
	uint64_t *registered, *gap; /* a bit a region, by its guest-physical address */
};

/** track_init() - for shard @shard; all that is handed over must outlive it. Return: 0; -ENOMEM. */
int track_init(struct tracker *t, const struct pager_config *cfg, unsigned shard, int uffd,
	       struct mappings *mappings);
void track_free(struct tracker *t);

/** track_region() - register the region at @gpa, which is at home here. Return: 0; -errno. */
int track_region(struct tracker *t, uint64_t gpa);

/** track_forget() - the region at @gpa is plain memory again. Return: 0; -errno. */
int track_forget(struct tracker *t, uint64_t gpa);

/** track_fill() - a page that the core does not track faulted: give it zeros, if it is in a gap. */
int track_fill(struct tracker *t, uint64_t gpa);

#endif
