/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to the 2 MiB regions at home here, all their pages at once. */
#include "dsm/proto_impl.h"

/* Is anything under way for the page, here or in a message that will come here? */
static bool is_busy(const struct page_ref *at)
{
	return at->entry->requester != NO_NODE || page_is_asked(at) || page_is_demanded(at);
}

int dsm_proto_untrack(struct dsm_proto *p, uint64_t gpa)
{
	uint64_t region = ALIGN_DOWN(gpa, REGION_BYTES);
	struct page_ref at;
	int r;

	if (p->dead)
		return p->dead;
	if (!proto_enter(p, region, &at) || !at.entry || region_state(p, region) != REGION_SETTLED)
		return 0; /* not at home here, or plain, or on the move */
	for (unsigned i = 0; i < REGION_PAGES; i++) {
		at = proto_page(p, region + i * PAGE_BYTES, p->cfg.self);
		if ((at.entry->sharers & ~node_bit(p->cfg.self)) || is_busy(&at))
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
