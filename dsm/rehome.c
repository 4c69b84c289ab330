/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/rehome.h"

#define BACK_PART 4 /* of `lead`: back to where it was at home first */

int rehome_init(struct rehome *r, uint64_t gpa_end, unsigned self, unsigned lead, uint64_t rest)
{
	*r = (struct rehome){.self = self, .lead = lead, .rest = rest};
	if (lead > MAX_HOMES_LEAD)
		return -EINVAL;
	r->region = calloc((gpa_end >> REGION_SHIFT) + 1, sizeof(r->region[0]));
	return r->region ? 0 : -ENOMEM;
}

void rehome_free(struct rehome *r)
{
	free(r->region);
	r->region = NULL;
}

static void push(struct rehome *r, uint32_t number)
{
	r->named[(r->first + r->count++) % REHOME_MAX] = number;
	r->region[number].tries++;
}

static uint32_t pop(struct rehome *r)
{
	uint32_t number = r->named[r->first];

	r->first = (r->first + 1) % REHOME_MAX;
	r->count--;
	return number;
}

/* How far its leader has to lead. */
static unsigned lead_of(const struct rehome *r, const struct rehome_region *region)
{
	return region->back ? MAX(r->lead / BACK_PART, 1u) : r->lead;
}

bool rehome_doubts(const struct rehome *r, uint64_t gpa, unsigned node)
{
	const struct rehome_region *region = &r->region[gpa >> REGION_SHIFT];

	return region->score && region->leader != node && region->leader != r->self &&
	       node != r->self;
}

static void vote(const struct rehome *r, struct rehome_region *region, bool nearer,
		 const struct rehome_request *request)
{
	if (!region->score) {
		region->leader = (uint8_t)request->node;
		region->back = request->node == request->first && request->node != r->self;
	}
	if (region->leader != request->node && !nearer)
		region->score--;
	else if (region->score < lead_of(r, region))
		region->score++;
}

void rehome_asked(struct rehome *r, uint64_t gpa, const struct rehome_request *request,
		  uint64_t now)
{
	struct rehome_region *region = &r->region[gpa >> REGION_SHIFT];

	if (!r->lead || now < region->rests)
		return;
	vote(r, region, rehome_doubts(r, gpa, request->node) && request->owner == region->leader,
	     request);
	if (region->score < lead_of(r, region) || region->leader == r->self || region->tries ||
	    r->count == REHOME_MAX)
		return;
	push(r, (uint32_t)(gpa >> REGION_SHIFT));
}

static void rest(struct rehome *r, struct rehome_region *region, uint64_t now)
{
	*region = (struct rehome_region){.rests = now + r->rest};
}

bool rehome_candidate(struct rehome *r, uint64_t now, uint64_t *gpa, unsigned *to)
{
	struct rehome_region *region;

	if (now < rehome_deadline(r))
		return false;
	region = &r->region[r->named[r->first]];
	/* Others have asked for it since. */
	if (region->leader == r->self || 2 * region->score <= lead_of(r, region)) {
		pop(r);
		region->tries = 0;
		return false;
	}
	r->pause = now + REHOME_PAUSE_NS;
	*gpa = (uint64_t)r->named[r->first] << REGION_SHIFT;
	*to = region->leader;
	return true;
}

void rehome_tried(struct rehome *r, bool over, uint64_t now)
{
	uint32_t number = pop(r);

	if (over || r->region[number].tries == REHOME_TRIES)
		rest(r, &r->region[number], now);
	else
		push(r, number);
}

void rehome_came(struct rehome *r, uint64_t gpa, uint64_t now)
{
	rest(r, &r->region[gpa >> REGION_SHIFT], now);
}

uint64_t rehome_deadline(const struct rehome *r)
{
	return r->count ? r->pause : UINT64_MAX;
}
