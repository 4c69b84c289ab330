/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to the 2 MiB regions at home here, all their pages at once. */
#include "dsm/proto_impl.h"

/* Is anything under way for the page, here or in a message that will come here? */
static bool is_busy(const struct dsm_proto *p, const struct home_entry *e, uint64_t gpa)
{
	return e->requester != NO_NODE || pending_find(&p->pending, gpa) ||
	       hold_demand(&p->hold, gpa);
}

int dsm_proto_untrack(struct dsm_proto *p, uint64_t gpa)
{
	uint64_t region = ALIGN_DOWN(gpa, REGION_BYTES);
	const struct home_entry *e;
	int r;

	if (p->dead)
		return p->dead;
	if (proto_home(p, region) != (int)p->cfg.self || !directory_home(&p->dir, region) ||
	    region_state(p, region) != REGION_SETTLED)
		return 0;
	for (unsigned i = 0; i < REGION_PAGES; i++) {
		uint64_t page = region + i * PAGE_BYTES;

		e = directory_home(&p->dir, page);
		if ((e->sharers & ~node_bit(p->cfg.self)) || is_busy(p, e, page))
			return 0;
	}
	r = proto_act_on(p, DSM_UNTRACK, region);
	if (r < 0)
		return r;
	directory_untrack(&p->dir, region);
	p->stats.tracked_regions--;
	p->stats.memory = p->dir.bytes;
	return 1;
}
