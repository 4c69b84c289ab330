/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/recall.h"
#include "dsm/pagehash.h"

#define CREDIT_FIRST 8
#define CREDIT_MAX   64

static struct recall_page *page_of(struct recall *r, uint64_t gpa)
{
	uint64_t hash = page_hash_bits(gpa);

	return &r->page[hash >> 52 & (RECALL_PAGES - 1)];
}
static_assert(RECALL_PAGES == 1 << 12, "the hash's upper 12 bits");

/* A guess was right after it had to prove itself: it need not for twice as long. */
static void confirm(struct recall_guess *g)
{
	g->credit = (uint8_t)(g->credit ? MIN(2 * g->credit, CREDIT_MAX) : CREDIT_FIRST);
	g->left = g->credit;
}

static bool use(struct recall_guess *g)
{
	if (!g->left)
		return false;
	g->left--;
	return true;
}

void recall_lost(struct recall *r, uint64_t gpa)
{
	struct recall_page *p = page_of(r, gpa);

	if (p->gpa != gpa)
		*p = (struct recall_page){.gpa = gpa};
	if (!p->lost && p->wanted.left && r->count < RECALL_MAX)
		r->lost[r->count++] = gpa;
	p->lost = true;
}

bool recall_fault(struct recall *r, uint64_t gpa, bool write)
{
	struct recall_page *p = page_of(r, gpa);

	if (p->gpa != gpa)
		return write;
	if (p->lost)
		confirm(&p->wanted);
	p->lost = false;
	if (!write)
		return use(&p->written);
	if (!p->written.left)
		confirm(&p->written);
	return true;
}

bool recall_next(struct recall *r, struct prefetch_page *ret)
{
	while (r->at < r->count) {
		uint64_t gpa = r->lost[r->at++];
		struct recall_page *p = page_of(r, gpa);

		if (p->gpa != gpa || !p->lost || !use(&p->wanted))
			continue;
		p->lost = false;
		*ret = (struct prefetch_page){.gpa = gpa, .write = use(&p->written)};
		return true;
	}
	r->at = r->count = 0;
	return false;
}
