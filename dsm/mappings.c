/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/mappings.h"

#include <stdio.h>
#include <sys/mman.h>

#define MAPPINGS_DEFAULT 65530 /* of Linux, where /proc does not tell */
#define PER_ISLAND	 4     /* two mappings, of half of all */
#define RESERVE_PAGES	 5

unsigned mappings_max(void)
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

void mappings_init(struct mappings *m)
{
	pthread_mutex_init(&m->lock, NULL);
	m->islands = 0;
	m->islands_max = mappings_max() / PER_ISLAND;
	m->reserve = make_reserve();
}

void mappings_free(struct mappings *m)
{
	mappings_give_back(m);
	pthread_mutex_destroy(&m->lock);
}

void mappings_are_short(struct mappings *m)
{
	m->islands_max = MIN(m->islands, m->islands_max);
}

bool mappings_give_back(struct mappings *m)
{
	if (!m->reserve)
		return false;
	munmap(m->reserve, RESERVE_PAGES * PAGE_BYTES);
	m->reserve = NULL;
	return true;
}
