/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/track.h"

#include <stdio.h>
#include <sys/mman.h>

#include "dsm/granule.h"
#include "dsm/uffd.h"

#define MAPPINGS_DEFAULT 65530 /* of Linux, where /proc does not tell */
#define PER_ISLAND	 4     /* two mappings, of half of all */
#define RESERVE_PAGES	 5

static unsigned mappings_max(void)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned n;

	if (!f)
		return MAPPINGS_DEFAULT;
	if (fscanf(f, "%u", &n) != 1)
		n = MAPPINGS_DEFAULT;
	fclose(f);
	return n;
}

/* Neighbours of unlike protection do not merge. Return: NULL without room: then do without. */
static void *make_reserve(void)
{
	char *at = mmap(NULL, RESERVE_PAGES * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	if (at == MAP_FAILED)
		return NULL;
	for (unsigned i = 1; i < RESERVE_PAGES; i += 2)
		(void)mprotect(at + i * PAGE_BYTES, PAGE_BYTES, PROT_READ);
	return at;
}

static void free_reserve(struct tracker *t)
{
	if (t->reserve)
		munmap(t->reserve, RESERVE_PAGES * PAGE_BYTES);
	t->reserve = NULL;
}

int track_init(struct tracker *t, const struct pager_config *cfg, unsigned shard, int uffd)
{
	size_t words = (size_t)(mem_end(&cfg->ram->layout) >> REGION_SHIFT) / 64 + 1;

	t->cfg = cfg;
	t->shard = shard;
	t->uffd = uffd;
	t->registered = calloc(words, sizeof(uint64_t));
	t->gap = calloc(words, sizeof(uint64_t));
	t->reserve = make_reserve();
	t->islands = 0;
	t->islands_max = mappings_max() / PER_ISLAND / cfg->shards;
	return t->registered && t->gap ? 0 : -ENOMEM;
}

void track_free(struct tracker *t)
{
	free_reserve(t);
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

/* Registers [@first, @last], all but @gpa as gaps. */
static int register_gap(struct tracker *t, uint64_t first, uint64_t last, uint64_t gpa)
{
	int r = uffd_register(t->uffd, hva(t, first), last - first + REGION_BYTES);

	for (uint64_t at = first; r == 0 && at <= last; at += REGION_BYTES) {
		set(t->registered, at, true);
		set(t->gap, at, at != gpa);
	}
	return r;
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

int track_region(struct tracker *t, uint64_t gpa)
{
	bool island = !is_registered(t, gpa - REGION_BYTES, gpa) &&
		      !is_registered(t, gpa + REGION_BYTES, gpa);
	bool allowed = !island || t->islands < t->islands_max;
	int r = -ENOMEM;

	if (has(t->registered, gpa)) {
		set(t->gap, gpa, false);
		return 0;
	}
	if (allowed)
		r = register_gap(t, gpa, gpa, gpa);
	if (r == 0)
		t->islands += island;
	if (r != -ENOMEM)
		return r;
	if (allowed) /* the kernel has no more: never again */
		t->islands_max = t->islands;
	r = join(t, gpa);
	if (r == -ENOMEM && t->reserve) {
		free_reserve(t);
		r = join(t, gpa);
	}
	return r;
}

int track_forget(struct tracker *t, uint64_t gpa)
{
	bool below = is_registered(t, gpa - REGION_BYTES, gpa);
	bool above = is_registered(t, gpa + REGION_BYTES, gpa);
	int r = uffd_unprotect(t->uffd, hva(t, gpa), REGION_BYTES);

	if (r < 0)
		return r;
	set(t->gap, gpa, true);
	if (below && above && t->islands >= t->islands_max)
		return 0;
	r = uffd_unregister(t->uffd, hva(t, gpa), REGION_BYTES);
	if (r == -ENOMEM) /* no mapping left: it stays a gap */
		return 0;
	if (r < 0)
		return r;
	set(t->registered, gpa, false);
	set(t->gap, gpa, false);
	if (below && above)
		t->islands++;
	else if (!below && !above && t->islands)
		t->islands--;
	return 0;
}

int track_fill(struct tracker *t, uint64_t gpa)
{
	int r;

	if (!has(t->gap, gpa))
		return 0;
	r = uffd_copy(t->uffd, hva(t, gpa), NULL, false);
	return r == -EEXIST ? 0 : r;
}
