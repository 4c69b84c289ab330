/* SPDX-License-Identifier: Apache-2.0 */
/* A shard lives within its limit: what evict.h says is offered, and faults wait where there is no
 * room. */
#include "dsm/shard_impl.h"

#define OFFERS 32 /* copies that are offered in one round */

/* Pages, before any home has moved. */
static uint64_t first_limit(const struct shard *s)
{
	return MAX(s->cfg->copies / PAGE_BYTES / s->cfg->shards, EVICT_LIMIT_MIN);
}

int shard_evict_init(struct shard *s)
{
	/* A node alone fetches nothing. */
	if (!s->cfg->copies || s->cfg->nodes == 1)
		return 0;
	return evict_new(mem_end(&s->cfg->ram->layout), first_limit(s), &s->evict);
}

bool shard_has_room(const struct shard *s, unsigned spare)
{
	/* What is under way will need room, too. */
	return !s->evict || evict_room(s->evict) >= dsm_proto_waiting(s->proto) + spare;
}

void shard_copy_came(struct shard *s, uint64_t gpa)
{
	if (s->evict && dsm_proto_home(s->proto, gpa) != (int)s->cfg->self)
		evict_came(s->evict, gpa);
}

bool shard_region_fits(const struct shard *s, uint64_t region)
{
	unsigned lacks = 0;

	if (!s->evict)
		return true;
	for (unsigned i = 0; i < REGION_PAGES; i++)
		lacks += !evict_here(s->evict, region + i * PAGE_BYTES);
	return evict_limit(s->evict) >= MAX(first_limit(s) / 2, EVICT_LIMIT_MIN) + REGION_PAGES &&
	       shard_has_room(s, lacks);
}

/* By what the core knows, for it has just decided. */
static bool is_here(const struct shard *s, uint64_t gpa)
{
	struct dsm_page_info info;

	dsm_proto_page(s->proto, gpa, &info);
	return info.copy != DSM_NONE;
}

int shard_resize(struct shard *s, uint64_t region, bool came)
{
	uint64_t limit;

	if (!s->evict)
		return 0;
	limit = evict_limit(s->evict);
	for (unsigned i = 0; i < REGION_PAGES; i++) {
		uint64_t gpa = region + i * PAGE_BYTES;

		if (came)
			evict_settled(s->evict, gpa);
		else if (is_here(s, gpa))
			evict_came(s->evict, gpa);
	}
	return evict_set_limit(s->evict, came ? limit - REGION_PAGES : limit + REGION_PAGES);
}

int shard_offer(struct shard *s)
{
	uint64_t gpa;

	for (unsigned i = 0; i < OFFERS && evict_next(s->evict, s->now, &gpa); i++) {
		int r = dsm_proto_put(s->proto, gpa);

		if (r < 0)
			return shard_fail_here(s, r, "offering", gpa);
	}
	return 0;
}
