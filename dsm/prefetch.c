/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/prefetch.h"
#include "dsm/pagehash.h"

#define TRUSTED	    2 /* times a link was seen before it is followed */
#define TRUST_MAX   3
#define DOUBT_EVERY 32 /* uses of a link after which it is put to the test */

static struct prefetch_thread *thread_of(struct prefetch *p, uint32_t tid)
{
	struct prefetch_thread *t = &p->thread[tid % PREFETCH_THREADS];

	if (t->tid != tid) {
		*t = (struct prefetch_thread){.tid = tid};
		streams_init(&t->streams);
	}
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

static unsigned walk(const struct stream_batch *batch, uint64_t page, struct prefetch_page *ret)
{
	for (unsigned i = 0; i < batch->pages; i++) {
		page += (uint64_t)batch->step;
		ret[i] = (struct prefetch_page){.gpa = page, .write = batch->write};
	}
	return batch->pages;
}

unsigned prefetch_fault(struct prefetch *p, uint32_t tid, uint64_t gpa, bool write,
			struct prefetch_page *ret)
{
	struct prefetch_thread *t = thread_of(p, tid);
	uint64_t page = ALIGN_DOWN(gpa, PAGE_BYTES);
	struct stream_batch batch = stream_fault(&t->streams, &p->stats.streams, page, write);

	t->chain = !batch.pages;
	if (batch.pages) {
		t->tail = 0;
		return walk(&batch, page, ret);
	}
	if (t->tail && t->tail != page)
		learn(p, t->tail, page, write);
	return follow(p, page, ret, &t->tail);
}

void prefetch_asked(struct prefetch *p, uint32_t tid, unsigned tried, unsigned asked)
{
	struct prefetch_thread *t = thread_of(p, tid);

	if (t->chain)
		p->stats.chained += asked;
	else
		stream_asked(&t->streams, &p->stats.streams, tried, asked);
}

void prefetch_joined(struct prefetch *p, uint32_t tid, uint64_t gpa)
{
	stream_joined(&thread_of(p, tid)->streams, &p->stats.streams, gpa);
}
