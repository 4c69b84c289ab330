/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/dsm/native_usage.h"

#include <dirent.h>
#include <stdio.h>

struct sums {
	uint64_t resident, huge; /* anonymous memory, in the area */
	uint64_t other;		 /* outside of it */
	unsigned mappings;
};

/* One field of a mapping. */
static void take_field(const char *line, bool inside, struct sums *s)
{
	unsigned long long kib;

	if (sscanf(line, "Anonymous: %llu kB", &kib) == 1)
		*(inside ? &s->resident : &s->other) += kib * KIB;
	else if (inside && sscanf(line, "AnonHugePages: %llu kB", &kib) == 1)
		s->huge += kib * KIB;
}

static void read_smaps(struct native_node *n, const void *area, uint64_t bytes, struct sums *ret)
{
	uint64_t first = (uintptr_t)area;
	bool inside = false;
	char line[512];
	FILE *f = fopen("/proc/self/smaps", "re");

	NATIVE_CHECK(n, f, "smaps: %s", strerror(errno));
	*ret = (struct sums){0};
	while (fgets(line, sizeof(line), f)) {
		unsigned long long from, to;

		if (sscanf(line, "%llx-%llx ", &from, &to) == 2) {
			inside = from >= first && to <= first + bytes;
			ret->mappings++;
		} else {
			take_field(line, inside, ret);
		}
	}
	fclose(f);
}

void native_resident(struct native_node *n, const void *area, uint64_t bytes, uint64_t *resident,
		     uint64_t *huge)
{
	struct sums sums;

	read_smaps(n, area, bytes, &sums);
	*resident = sums.resident;
	*huge = sums.huge;
}

static uint64_t page_tables(struct native_node *n)
{
	unsigned long long kib = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	NATIVE_CHECK(n, f, "status: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPTE: %llu kB", &kib) == 1)
			break;
	fclose(f);
	return kib * KIB;
}

static unsigned open_fds(struct native_node *n)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	NATIVE_CHECK(n, dir, "fd: %s", strerror(errno));
	for (const struct dirent *e; (e = readdir(dir));)
		count += e->d_name[0] != '.';
	closedir(dir);
	return count - 1; /* but the one that has just read them */
}

void native_usage(struct native_node *n, struct native_usage *ret)
{
	struct pager_stats *stats = calloc(1, sizeof(*stats));
	struct sums sums;

	NATIVE_CHECK(n, stats, "memory");
	pager_stats(n->pager, stats);
	read_smaps(n, n->ram->base, mem_total(&n->ram->layout), &sums);
	*ret = (struct native_usage){
		.guest = sums.resident,
		.guest_huge = sums.huge,
		.other = sums.other,
		.page_tables = page_tables(n),
		.tables = stats->dsm.memory,
		.copies = stats->evict.resident,
		.mappings = sums.mappings,
		.fds = open_fds(n),
	};
	free(stats);
}
