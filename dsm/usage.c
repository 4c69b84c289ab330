/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/usage.h"

int usage_init(struct usage *u, uint64_t gpa_end, uint64_t quiet_ns)
{
	*u = (struct usage){.quiet = quiet_ns, .regions = (gpa_end >> REGION_SHIFT) + 1};
	u->region = calloc(u->regions, sizeof(u->region[0]));
	return u->region ? 0 : -ENOMEM;
}

void usage_free(struct usage *u)
{
	free(u->region);
	u->region = NULL;
}

void usage_asked(struct usage *u, uint64_t gpa, uint64_t now)
{
	uint64_t number = gpa >> REGION_SHIFT;
	struct usage_region *r = &u->region[number];

	if (!u->quiet)
		return;
	r->asked = now;
	if (r->place)
		return;
	if (!u->count) /* else it was chosen already */
		u->pause = now + u->quiet;
	u->region[u->count++].known = (uint32_t)number;
	r->place = u->count;
}

void usage_forget(struct usage *u, uint64_t gpa)
{
	struct usage_region *r = &u->region[gpa >> REGION_SHIFT];

	if (!r->place)
		return;
	u->count--;
	u->region[r->place - 1].known = u->region[u->count].known;
	u->region[u->region[u->count].known].place = r->place;
	r->place = 0;
}

/* Sets the pause until it is worth while to look again. */
bool usage_candidate(struct usage *u, uint64_t now, uint64_t *ret)
{
	if (now < usage_deadline(u))
		return false;
	u->pause = now + USAGE_PAUSE_NS;
	for (unsigned i = 0; i < MIN(u->count, (uint32_t)USAGE_LOOK); i++) {
		uint64_t number;
		struct usage_region *r;

		u->next = u->next + 1 < u->count ? u->next + 1 : 0;
		number = u->region[u->next].known;
		r = &u->region[number];
		if (now - r->asked < u->quiet)
			continue;
		r->asked = now;
		*ret = number << REGION_SHIFT;
		return true;
	}
	u->pause = now + MAX(u->quiet / 4, USAGE_PAUSE_NS);
	return false;
}

uint64_t usage_deadline(const struct usage *u)
{
	return u->count ? u->pause : UINT64_MAX;
}
