/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/recall.h"

#define TRUST_MAX 4

static struct recall_page *page_of(struct recall *r, uint64_t gpa)
{
	uint64_t hash = (gpa >> PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15);

	return &r->page[hash >> 53 & (RECALL_PAGES - 1)];
}
static_assert(RECALL_PAGES == 1 << 11, "the hash's upper 11 bits");

void recall_lost(struct recall *r, uint64_t gpa, bool write)
{
	struct recall_page *p = page_of(r, gpa);

	if (p->gpa != gpa)
		*p = (struct recall_page){.gpa = gpa};
	p->write = write;
	if (!p->lost && p->trust && r->count < RECALL_MAX)
		r->lost[r->count++] = gpa;
	p->lost = true;
}

void recall_fault(struct recall *r, uint64_t gpa)
{
	struct recall_page *p = page_of(r, gpa);

	if (p->gpa != gpa || !p->lost)
		return;
	p->lost = false;
	p->trust = (uint8_t)MIN(p->trust + 1, TRUST_MAX);
	p->left = (uint16_t)(4 << p->trust);
}

unsigned recall_take(struct recall *r, struct prefetch_page *ret)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->count; i++) {
		struct recall_page *p = page_of(r, r->lost[i]);

		if (p->gpa != r->lost[i] || !p->lost || p->left == 0)
			continue;
		p->left--;
		p->lost = false;
		ret[n++] = (struct prefetch_page){.gpa = p->gpa, .write = p->write};
	}
	r->count = 0;
	return n;
}
