/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node 0 has used up its memory mappings, as a guest would that shares every other region of a
 * large memory. Node 1 then asks for every other region. Pages in between keep what they had, take
 * what is written to them, and come to node 1 with that.
 */
#include "tests/dsm/native_tests.h"

#include <sys/mman.h>

#include "dsm/mappings.h"

#define MAPPINGS_LEFT 24 /* a shard */
#define GRANULE	      8	 /* regions, of three shards; see dsm/granule.h */

static unsigned regions(const struct native_node *n)
{
	return (unsigned)(n->cfg->memory / REGION_BYTES);
}

static uint64_t *word(struct native_node *n, unsigned region, unsigned page)
{
	return native_at(n, 0, region * REGION_BYTES + page * PAGE_BYTES);
}

void mappings_populate(struct native_node *n)
{
	for (unsigned i = 0; n->self == 0 && i < regions(n); i++)
		*word(n, i, 1) = i + 1;
}

/*
 * Neighbouring pages of unlike protection are mappings of their own. An island takes two, so what
 * is left ends at none or at one, as .ctx says; from one of both only the reserve of
 * dsm/mappings.c helps.
 */
static void use_up(struct native_node *n)
{
	size_t pages = mappings_max(), used = 0;
	char *at = mmap(NULL, pages * PAGE_BYTES, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	NATIVE_CHECK(n, at != MAP_FAILED, "mmap");
	while (mprotect(at + (2 * used + 1) * PAGE_BYTES, PAGE_BYTES, PROT_READ) == 0)
		used++;
	NATIVE_CHECK(n, errno == ENOMEM && used > MAPPINGS_LEFT * n->cfg->shards, "%zu used", used);
	for (unsigned i = 0; i < MAPPINGS_LEFT * n->cfg->shards / 2; i++)
		mprotect(at + (2 * (used - i) - 1) * PAGE_BYTES, PAGE_BYTES, PROT_NONE);
	if (*(const bool *)n->cfg->ctx)
		munmap(at + 2 * used * PAGE_BYTES, (pages - 2 * used) * PAGE_BYTES);
}

/* All regions have word 0 of page 1, and since node 0's turn also of page 2. */
static void check(struct native_node *n, unsigned first, unsigned step)
{
	for (unsigned i = first; i < regions(n); i += step) {
		NATIVE_CHECK(n, *word(n, i, 1) == i + 1, "region %u: what it had", i);
		NATIVE_CHECK(n, *word(n, i, 2) == (i & 1 ? i + 100 : 0), "region %u: written", i);
		NATIVE_CHECK(n, *word(n, i, 3) == 0, "region %u: never touched", i);
	}
}

void mappings_body(struct native_node *n)
{
	/* With several shards each granule has a mapping of its own. */
	for (unsigned i = 0; n->self == 1 && i < regions(n); i += GRANULE)
		NATIVE_CHECK(n, *word(n, i, 1) == i + 1, "region %u", i);
	native_barrier(n);
	if (n->self == 0)
		use_up(n);
	native_barrier(n);
	for (unsigned i = 0; n->self == 1 && i < regions(n); i += 2) {
		NATIVE_CHECK(n, *word(n, i, 1) == i + 1, "region %u", i);
		*word(n, i, 4) = i + 200;
	}
	native_barrier(n);
	for (unsigned i = 1; n->self == 0 && i < regions(n); i += 2)
		*word(n, i, 2) = i + 100; /* a gap, or plain memory still */
	native_barrier(n);
	check(n, n->self, 2);
	native_barrier(n);
	check(n, !n->self, 2);
	native_barrier(n);
	for (unsigned i = 0; n->self == 0 && i < regions(n); i += 2)
		NATIVE_CHECK(n, *word(n, i, 4) == i + 200, "region %u: from node 1", i);
}
