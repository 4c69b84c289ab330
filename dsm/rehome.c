/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/rehome.h"

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

static void vote(struct rehome_region *region, unsigned node, unsigned lead)
{
	if (!region->score)
		region->leader = (uint8_t)node;
	if (region->leader != node)
		region->score--;
	else if (region->score < lead)
		region->score++;
}

void rehome_asked(struct rehome *r, uint64_t gpa, unsigned node, uint64_t now)
{
	struct rehome_region *region = &r->region[gpa >> REGION_SHIFT];

	if (!r->lead || now < region->rests)
		return;
	vote(region, node, r->lead);
	if (region->score < r->lead || region->leader == r->self || region->tries ||
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
	if (region->leader == r->self || 2 * region->score <= r->lead) {
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
