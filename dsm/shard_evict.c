/* SPDX-License-Identifier: Apache-2.0 */
/* A shard lives within its limit: what evict.h says is offered, and faults wait where there is no
 * room. */
#include "dsm/shard_impl.h"

#define OFFERS 32 /* copies that are offered in one round */

int shard_evict_init(struct shard *s)
{
	uint64_t pages = s->cfg->copies / PAGE_BYTES / s->cfg->shards;

	/* A node alone fetches nothing. */
	if (!s->cfg->copies || s->cfg->nodes == 1)
		return 0;
	return evict_new(mem_end(&s->cfg->ram->layout), MAX(pages, EVICT_LIMIT_MIN), &s->evict);
}

bool shard_has_room(const struct shard *s, unsigned spare)
{
	/* What is under way will need room, too. */
	return !s->evict || evict_room(s->evict) >= dsm_proto_waiting(s->proto) + spare;
}

void shard_copy_came(struct shard *s, uint64_t gpa)
{
	if (s->evict && shard_home(s, gpa) != (int)s->cfg->self)
		evict_came(s->evict, gpa);
}

int shard_offer(struct shard *s)
{
	uint64_t gpa;

	for (unsigned i = 0; i < OFFERS && evict_next(s->evict, s->now, &gpa); i++) {
		int r = dsm_proto_put(s->proto, gpa);

		if (r < 0)
			return shard_fail_here(s, r, "offering", gpa);
	}
	return shard_flush(s, s->posted);
}
