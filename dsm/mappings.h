/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory mappings of this process, which are few: what a pager's shards share about them.
 *
 * ISLANDS are runs of registered regions: each costs two mappings (dsm/track.h). There may be as
 * many as half of vm.max_map_count allows, or until the kernel refuses one for the first time.
 *
 * RESERVE. A change that needs no mapping in the end may need some on the way. A few are held back
 * from the start and are given to the kernel once it has no others.
 *
 * LOCK. Held while a shard changes what is registered: then one change at a time is on its way, and
 * what the reserve gave back cannot go for islands of other shards, since nobody makes any more.
 * Other threads of the process may still take them. Not on the way of a fault whose region is
 * known.
 */
#ifndef SSIHV_DSM_MAPPINGS_H
#define SSIHV_DSM_MAPPINGS_H

#include <pthread.h>

#include "base/base.h"

struct mappings {
	pthread_mutex_t lock; /* of all below */
	unsigned islands, islands_max;
	void *reserve; /* some pages, each a mapping; NULL once it was needed */
};

/** mappings_max() - how many a process may have: vm.max_map_count, or Linux' default for it. */
unsigned mappings_max(void);

void mappings_init(struct mappings *m);
void mappings_free(struct mappings *m);

/** mappings_allow() - may there be an island more? */
static inline bool mappings_allow(const struct mappings *m)
{
	return m->islands < m->islands_max;
}

/** mappings_are_short() - the kernel has refused one: there will be no more islands than now. */
void mappings_are_short(struct mappings *m);

/** mappings_give_back() - give the reserve to the kernel. Return: was there one? */
bool mappings_give_back(struct mappings *m);

#endif
