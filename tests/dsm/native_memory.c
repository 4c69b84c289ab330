/* SPDX-License-Identifier: Apache-2.0 */
/* What arrives, how it got there, and what it cost. Two nodes for the pattern, three for the cost.
 */
#include "tests/dsm/native_tests.h"

#include <stdio.h>

enum { POPULATED = 0, QUIET = 1, UNTOUCHED = 2, UNSHARED = 3 }; /* regions of every node */

static uint64_t pattern(unsigned writer, uint64_t offset)
{
	return (offset + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ writer;
}

static void fill(struct native_node *n, unsigned home, unsigned region)
{
	uint64_t *at = native_at(n, home, region * REGION_BYTES);

	for (uint64_t i = 0; i < REGION_BYTES / sizeof(*at); i++)
		at[i] = pattern(n->self, i);
}

static void verify(struct native_node *n, unsigned writer, unsigned home, unsigned region)
{
	const uint64_t *at = native_at(n, home, region * REGION_BYTES);

	for (uint64_t i = 0; i < REGION_BYTES / sizeof(*at); i++)
		NATIVE_CHECK(n, at[i] == pattern(writer, i),
			     "region %u of node %u, word %llu: %#llx", region, home,
			     (unsigned long long)i, (unsigned long long)at[i]);
}

static struct dsm_stats stats(const struct native_node *n)
{
	struct pager_stats s;

	pager_stats(n->pager, &s);
	return s.dsm;
}

/* Bytes of huge pages in the mappings that meet [@start, @start + @len). */
static uint64_t huge_bytes(const struct native_node *n, const void *start, uint64_t len)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	uint64_t from = (uintptr_t)start, sum = 0;
	unsigned long long low, high, kib;
	bool meets = false;
	char line[512];

	NATIVE_CHECK(n, f, "smaps");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx ", &low, &high) == 2)
			meets = low < from + len && from < high;
		else if (meets && sscanf(line, "AnonHugePages: %llu kB", &kib) == 1)
			sum += kib * KIB;
	}
	fclose(f);
	return sum;
}

void pattern_populate(struct native_node *n)
{
	fill(n, n->self, POPULATED);
	fill(n, n->self, QUIET);
}

/* Untracked memory raised no fault; the region that was asked for is tracked, its neighbour not. */
static void check_lazy(struct native_node *n, uint64_t huge)
{
	struct dsm_stats s = stats(n);

	NATIVE_CHECK(n, s.tracked_regions == 1, "%llu", (unsigned long long)s.tracked_regions);
	if (huge)
		NATIVE_CHECK(n,
			     huge_bytes(n, native_at(n, n->self, QUIET * REGION_BYTES),
					REGION_BYTES) >= REGION_BYTES,
			     "the neighbour lost its huge page");
}

/* Pages that nobody has come without data. */
static void take_untouched(struct native_node *n, unsigned other)
{
	struct dsm_stats before = stats(n), after;

	fill(n, other, UNTOUCHED);
	after = stats(n);
	NATIVE_CHECK(n, after.zero_grants - before.zero_grants == REGION_PAGES, "%llu",
		     (unsigned long long)(after.zero_grants - before.zero_grants));
	NATIVE_CHECK(n, after.bytes_received == before.bytes_received, "data moved");
}

void pattern_body(struct native_node *n)
{
	unsigned other = !n->self;
	uint64_t huge = huge_bytes(n, native_at(n, n->self, 0), 2 * REGION_BYTES);

	NATIVE_CHECK(n, stats(n).tracked_regions == 0, "before anybody asked");
	native_barrier(n);
	verify(n, other, other, POPULATED);
	native_barrier(n);
	verify(n, n->self, n->self, POPULATED); /* still readable at home */
	check_lazy(n, huge);
	native_barrier(n);

	take_untouched(n, other);
	native_barrier(n);
	verify(n, other, n->self, UNTOUCHED);
	native_barrier(n);

	fill(n, other, POPULATED); /* takes the page from its home, or upgrades its copy */
	native_barrier(n);
	verify(n, other, n->self, POPULATED);
	fill(n, n->self, UNSHARED);
	NATIVE_CHECK(n, stats(n).tracked_regions == 2, "only what was asked for");
}

/* Node 1 touches all of a region of node 0; node 2 shares nothing. */
void overhead_body(struct native_node *n)
{
	static const uint64_t limit[] = {16 * REGION_PAGES, 2 * REGION_PAGES, 0};
	struct dsm_stats s = stats(n);

	NATIVE_CHECK(n, s.memory == 0, "nothing was shared yet");
	native_barrier(n);
	fill(n, n->self, UNSHARED);
	if (n->self == 1)
		fill(n, 0, UNTOUCHED);
	native_barrier(n);
	s = stats(n);
	NATIVE_CHECK(n, s.memory <= limit[n->self], "%llu bytes", (unsigned long long)s.memory);
	NATIVE_CHECK(n, (s.memory > 0) == (n->self < 2), "no table");
}
