/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/prefetch.h"
#include "dsm/pagehash.h"

#define TRUSTED	    2 /* times a link was seen before it is followed */
#define TRUST_MAX   3
#define RUN_TRUSTED 2  /* continued faults before a run is fetched ahead */
#define DOUBT_EVERY 32 /* uses of a link after which it is put to the test */

static struct prefetch_thread *thread_of(struct prefetch *p, uint32_t tid)
{
	struct prefetch_thread *t = &p->thread[tid % PREFETCH_THREADS];

	if (t->tid != tid)
		*t = (struct prefetch_thread){.tid = tid};
	return t;
}

static struct prefetch_link *link_of(struct prefetch *p, uint64_t gpa)
{
	uint64_t hash = page_hash_bits(gpa);

	return &p->link[hash >> 52 & (PREFETCH_LINKS - 1)];
}
static_assert(PREFETCH_LINKS == 1 << 12, "the hash's upper 12 bits");

static void learn(struct prefetch *p, uint64_t gpa, uint64_t next, bool write)
{
	struct prefetch_link *l = link_of(p, gpa);

	if (l->gpa == gpa && l->next == next) {
		l->trust = (uint8_t)MIN(l->trust + 1, TRUST_MAX);
		l->write |= write;
	} else if (l->gpa == gpa && l->trust > 1) {
		l->trust--;
	} else {
		*l = (struct prefetch_link){.gpa = gpa, .next = next, .write = write, .trust = 1};
	}
}

static bool listed(const struct prefetch_page *pages, unsigned n, uint64_t gpa)
{
	for (unsigned i = 0; i < n; i++)
		if (pages[i].gpa == gpa)
			return true;
	return false;
}

/* Follows the chain from @gpa. Return: its length; *@tail is its last page. */
static unsigned follow(struct prefetch *p, uint64_t gpa, struct prefetch_page *ret, uint64_t *tail)
{
	unsigned n = 0;

	*tail = gpa;
	while (n < PREFETCH_CHAIN_MAX) {
		struct prefetch_link *l = link_of(p, *tail);

		if (l->gpa != *tail || l->trust < TRUSTED || l->next == gpa ||
		    listed(ret, n, l->next))
			break;
		if (++l->uses % DOUBT_EVERY == 0)
			break;
		ret[n++] = (struct prefetch_page){.gpa = l->next, .write = l->write};
		*tail = l->next;
	}
	return n;
}

/* The pages behind @gpa, up to the end of its region: their home is the same. */
static unsigned run_ahead(uint64_t gpa, bool write, unsigned most, struct prefetch_page *ret)
{
	uint64_t end = ALIGN_DOWN(gpa, REGION_BYTES) + REGION_BYTES;
	unsigned n = 0;

	for (uint64_t at = gpa + PAGE_BYTES; at < end && n < most; at += PAGE_BYTES)
		ret[n++] = (struct prefetch_page){.gpa = at, .write = write};
	return n;
}

unsigned prefetch_fault(struct prefetch *p, uint32_t tid, uint64_t gpa, bool write,
			struct prefetch_page *ret)
{
	struct prefetch_thread *t = thread_of(p, tid);
	uint64_t page = ALIGN_DOWN(gpa, PAGE_BYTES);
	unsigned n;

	t->run = page == t->expected && write == t->write ? t->run + 1 : 0;
	t->write = write;
	if (t->run >= RUN_TRUSTED) {
		/* With the page itself a power of two: what follows stays aligned. */
		unsigned most = ((PREFETCH_RUN_FIRST + 1) << MIN(t->run - RUN_TRUSTED, 8u)) - 1;
		n = run_ahead(page, write, MIN(most, PREFETCH_MAX), ret);
		t->expected = page + (n + 1) * PAGE_BYTES;
		t->tail = 0;
		return n;
	}
	t->expected = page + PAGE_BYTES;
	if (t->tail && t->tail != page)
		learn(p, t->tail, page, write);
	n = follow(p, page, ret, &t->tail);
	return n;
}
