/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/directory.h"
#include "dsm/copy.h"

static size_t regions_below(uint64_t gpa_end)
{
	return (size_t)(ALIGN_UP(gpa_end, REGION_BYTES) >> REGION_SHIFT);
}

static size_t page_in_region(uint64_t gpa)
{
	return (size_t)((gpa >> PAGE_SHIFT) % REGION_PAGES);
}

int directory_init(struct directory *d, uint64_t gpa_end)
{
	d->region = calloc(regions_below(gpa_end), sizeof(d->region[0]));
	return d->region ? 0 : -ENOMEM;
}

void directory_free(struct directory *d, uint64_t gpa_end)
{
	for (size_t i = 0; d->region && i < regions_below(gpa_end); i++)
		free(d->region[i].home); /* either kind: both are the pointer that calloc gave */
	free(d->region);
}

struct home_entry *directory_home(const struct directory *d, uint64_t gpa)
{
	struct home_entry *table = d->region[gpa >> REGION_SHIFT].home;

	return table ? &table[page_in_region(gpa)] : NULL;
}

uint8_t *directory_copy(const struct directory *d, uint64_t gpa)
{
	uint8_t *table = d->region[gpa >> REGION_SHIFT].copy;

	return table ? &table[page_in_region(gpa)] : NULL;
}

int directory_track(struct directory *d, uint64_t gpa, unsigned self, const uint64_t *populated)
{
	struct home_entry *table = calloc(REGION_PAGES, sizeof(table[0]));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < REGION_PAGES; i++) {
		bool owned = populated[i / 64] >> (i % 64) & 1;

		table[i] = (struct home_entry){
			.sharers = owned ? UINT64_C(1) << self : 0,
			.owner = owned ? (uint8_t)self : NO_NODE,
			.requester = NO_NODE,
			.copy = owned ? DSM_OWNED : DSM_NONE,
		};
	}
	d->region[gpa >> REGION_SHIFT].home = table;
	d->bytes += REGION_PAGES * sizeof(table[0]);
	return 0;
}

void directory_untrack(struct directory *d, uint64_t gpa)
{
	struct home_entry **table = &d->region[gpa >> REGION_SHIFT].home;

	free(*table);
	*table = NULL;
	d->bytes -= REGION_PAGES * sizeof(**table);
}

int directory_arrive(struct directory *d, uint64_t gpa)
{
	union region_table *region = &d->region[gpa >> REGION_SHIFT];
	struct home_entry *table = calloc(REGION_PAGES, sizeof(table[0]));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < REGION_PAGES; i++)
		table[i] = (struct home_entry){
			.owner = NO_NODE,
			.requester = NO_NODE,
			.copy = region->copy ? region->copy[i] : DSM_NONE,
		};
	d->bytes += REGION_PAGES * sizeof(table[0]);
	if (region->copy)
		d->bytes -= REGION_PAGES * sizeof(region->copy[0]);
	free(region->copy);
	region->home = table;
	return 0;
}

int directory_leave(struct directory *d, uint64_t gpa)
{
	union region_table *region = &d->region[gpa >> REGION_SHIFT];
	uint8_t *table = calloc(REGION_PAGES, sizeof(table[0]));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < REGION_PAGES; i++)
		table[i] = region->home[i].copy;
	d->bytes += REGION_PAGES * sizeof(table[0]);
	d->bytes -= REGION_PAGES * sizeof(region->home[0]);
	free(region->home);
	region->copy = table;
	return 0;
}

uint8_t *directory_touch(struct directory *d, uint64_t gpa)
{
	uint8_t **table = &d->region[gpa >> REGION_SHIFT].copy;

	static_assert(DSM_NONE == 0, "a fresh table says that nothing is here");
	*table = calloc(REGION_PAGES, sizeof(**table));
	if (!*table)
		return NULL;
	d->bytes += REGION_PAGES * sizeof(**table);
	return &(*table)[page_in_region(gpa)];
}
