/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/track.h"

#include "dsm/granule.h"
#include "dsm/uffd.h"

int track_init(struct tracker *t, const struct pager_config *cfg, unsigned shard, int uffd,
	       struct mappings *mappings)
{
	size_t words = (size_t)(mem_end(&cfg->ram->layout) >> REGION_SHIFT) / 64 + 1;

	t->cfg = cfg;
	t->shard = shard;
	t->uffd = uffd;
	t->mappings = mappings;
	t->registered = calloc(words, sizeof(uint64_t));
	t->gap = calloc(words, sizeof(uint64_t));
	return t->registered && t->gap ? 0 : -ENOMEM;
}

void track_free(struct tracker *t)
{
	free(t->registered);
	free(t->gap);
}

static bool has(const uint64_t *bits, uint64_t gpa)
{
	return bits[gpa >> REGION_SHIFT >> 6] >> (gpa >> REGION_SHIFT) % 64 & 1;
}

static void set(uint64_t *bits, uint64_t gpa, bool on)
{
	uint64_t bit = UINT64_C(1) << (gpa >> REGION_SHIFT) % 64;
	uint64_t *word = &bits[gpa >> REGION_SHIFT >> 6];

	*word = on ? *word | bit : *word & ~bit;
}

static uint64_t hva(const struct tracker *t, uint64_t gpa)
{
	return (uintptr_t)ram_ptr(t->cfg->ram, gpa, PAGE_BYTES);
}

/* Is @gpa a region at home here that lies in memory as far from the one at @from as its address? */
static bool joins(const struct tracker *t, uint64_t gpa, uint64_t from)
{
	const struct mem_layout *layout = &t->cfg->ram->layout;

	return gpa < mem_end(layout) &&
	       granule_home(layout, t->cfg->shards, t->shard, gpa) == (int)t->cfg->self &&
	       hva(t, gpa) - hva(t, from) == gpa - from;
}

static bool is_registered(const struct tracker *t, uint64_t gpa, uint64_t from)
{
	return joins(t, gpa, from) && has(t->registered, gpa);
}

/* What registering or not what lies between @below and @above, if those are, does to islands. */
static void count_islands(struct tracker *t, bool below, bool above, bool registers)
{
	unsigned *n = &t->mappings->islands;

	if (below == above)
		*n = below == registers ? *n - 1 : *n + 1;
}

/* Registers [@first, @last], all but @gpa as gaps. */
static int register_gap(struct tracker *t, uint64_t first, uint64_t last, uint64_t gpa)
{
	bool below = is_registered(t, first - REGION_BYTES, gpa);
	bool above = is_registered(t, last + REGION_BYTES, gpa);
	int r = uffd_register(t->uffd, hva(t, first), last - first + REGION_BYTES);

	if (r < 0)
		return r;
	for (uint64_t at = first; at <= last; at += REGION_BYTES) {
		set(t->registered, at, true);
		set(t->gap, at, at != gpa);
	}
	count_islands(t, below, above, true);
	return 0;
}

/* From the nearest registered region on, or without one the whole run of regions. */
static int join(struct tracker *t, uint64_t gpa)
{
	uint64_t first = gpa, last = gpa;
	bool below = true, above = true;

	while (below || above) {
		below = below && joins(t, first - REGION_BYTES, gpa);
		above = above && joins(t, last + REGION_BYTES, gpa);
		if (below && has(t->registered, first - REGION_BYTES))
			return register_gap(t, first, gpa, gpa);
		if (above && has(t->registered, last + REGION_BYTES))
			return register_gap(t, gpa, last, gpa);
		first -= below ? REGION_BYTES : 0;
		last += above ? REGION_BYTES : 0;
	}
	return register_gap(t, first, last, gpa);
}

/* By itself, or where mappings are short with all memory up to the nearest registered region. */
static int register_region(struct tracker *t, uint64_t gpa)
{
	bool island = !is_registered(t, gpa - REGION_BYTES, gpa) &&
		      !is_registered(t, gpa + REGION_BYTES, gpa);
	int r = -ENOMEM;

	if (!island || mappings_allow(t->mappings)) {
		r = register_gap(t, gpa, gpa, gpa);
		if (r == -ENOMEM)
			mappings_are_short(t->mappings);
	}
	if (r != -ENOMEM)
		return r;
	r = join(t, gpa);
	if (r == -ENOMEM && mappings_give_back(t->mappings))
		r = join(t, gpa);
	return r;
}

int track_region(struct tracker *t, uint64_t gpa)
{
	int r;

	if (has(t->registered, gpa)) {
		set(t->gap, gpa, false);
		return 0;
	}
	pthread_mutex_lock(&t->mappings->lock);
	r = register_region(t, gpa);
	pthread_mutex_unlock(&t->mappings->lock);
	return r;
}

/* Return: 1; 0 when it has to stay registered, as a gap; negative errno. */
static int unregister_region(struct tracker *t, uint64_t gpa)
{
	bool below = is_registered(t, gpa - REGION_BYTES, gpa);
	bool above = is_registered(t, gpa + REGION_BYTES, gpa);
	int r;

	if (below && above && !mappings_allow(t->mappings))
		return 0;
	r = uffd_unregister(t->uffd, hva(t, gpa), REGION_BYTES);
	if (r == -ENOMEM) /* no mapping left */
		return 0;
	if (r < 0)
		return r;
	set(t->registered, gpa, false);
	set(t->gap, gpa, false);
	count_islands(t, below, above, false);
	return 1;
}

int track_forget(struct tracker *t, uint64_t gpa)
{
	int r = uffd_protect(t->uffd, hva(t, gpa), REGION_BYTES, false);

	if (r < 0)
		return r;
	set(t->gap, gpa, true);
	pthread_mutex_lock(&t->mappings->lock);
	r = unregister_region(t, gpa);
	pthread_mutex_unlock(&t->mappings->lock);
	if (r > 0) /* milliseconds, in which no other shard has to wait */
		uffd_collapse(hva(t, gpa), REGION_BYTES);
	return MIN(r, 0);
}

int track_fill(struct tracker *t, uint64_t gpa)
{
	int r;

	if (!has(t->gap, gpa))
		return 0;
	r = uffd_zero(t->uffd, hva(t, gpa), PAGE_BYTES, false);
	return r == -EEXIST ? 0 : r;
}
