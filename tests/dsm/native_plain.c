/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A region that another node has used becomes plain memory again, while threads of its home go on
 * using it; and is tracked again when it is asked for once more. Two nodes.
 */
#include "tests/dsm/native_tests.h"

#include <sched.h>

#define THREADS 4
#define ROUNDS	3
#define REGION	1

static uint64_t *word(struct native_node *n, unsigned page, unsigned at)
{
	return (uint64_t *)native_at(n, 0, REGION * REGION_BYTES + page * PAGE_BYTES) + at;
}

static uint64_t tracked(const struct native_node *n)
{
	struct pager_stats s;

	pager_stats(n->pager, &s);
	return s.dsm.tracked_regions;
}

/* Each thread of the home adds to a word of its own in every page, until the region is plain. */
static void *add_until_plain(void *arg)
{
	struct native_thread *t = arg;
	uint64_t done = 0;

	do {
		for (unsigned i = 0; i < REGION_PAGES; i++)
			++*word(t->node, i, 1 + t->local);
		done++;
		sched_yield();
	} while (tracked(t->node) > 0);
	for (unsigned i = 0; i < REGION_PAGES; i++)
		++*word(t->node, i, 1 + t->local);
	t->node->shared->word[t->local] += done + 1;
	return NULL;
}

static void check(struct native_node *n, unsigned round)
{
	for (unsigned i = 0; i < REGION_PAGES; i++) {
		NATIVE_CHECK(n, *word(n, i, 0) == round, "round %u, page %u: %llu", round, i,
			     (unsigned long long)*word(n, i, 0));
		for (unsigned k = 0; k < THREADS; k++)
			NATIVE_CHECK(n, *word(n, i, 1 + k) == n->shared->word[k],
				     "round %u, page %u, thread %u: %llu", round, i, k,
				     (unsigned long long)*word(n, i, 1 + k));
	}
}

void plain_body(struct native_node *n)
{
	for (unsigned round = 1; round <= ROUNDS; round++) {
		/* The other node takes all pages. */
		for (unsigned i = 0; n->self == 1 && i < REGION_PAGES; i++)
			++*word(n, i, 0);
		native_barrier(n);
		if (n->self == 0) {
			NATIVE_CHECK(n, tracked(n) == 1, "round %u", round);
			native_threads(n, THREADS, add_until_plain);
			check(n, round);
		}
		native_barrier(n);
		if (n->self == 1)
			check(n, round);
		native_barrier(n);
	}
}
