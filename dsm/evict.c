/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/evict.h"

#include <sys/mman.h>

#define SMALL_SHARE 10		 /* the small queue has a tenth of the limit */
#define SLACK_SHARE 16		 /* above all but a sixteenth of the limit pages are offered, ... */
#define SLACK_MIN   UINT64_C(64) /* ... or this many */
static_assert(EVICT_LIMIT_MIN > 2 * SLACK_MIN, "something is left");

/* A page's byte. */
#define IN_SMALL 0x01 /* in one of the queues: it is here */
#define IN_MAIN	 0x02
#define HERE	 (IN_SMALL | IN_MAIN)
#define USED	 0x04 /* since it got its place in the queue */
#define OFFERED	 0x08 /* to its home, since then */
#define GHOST	 0x10 /* not here: it was evicted */

struct links {
	uint32_t prev, next; /* numbers of pages, or of a queue; of a ghost: its number, 0 */
};

/* A queue is a ring of links; it is one itself, behind those of all pages. */
struct queue {
	uint32_t self;
	uint64_t count;
};

struct evict {
	uint64_t high, low;
	uint64_t pages;
	uint8_t *state;	     /* by page */
	struct links *links; /* by page, then of the queues */
	struct queue small, main;
	uint64_t offered; /* pages that were offered and may be taken yet */
	uint64_t last;	  /* ns, when the last one was offered */
	bool draining;	  /* above `high`, and not yet down to `low` */
	struct evict_stats stats;
};

static size_t links_bytes(const struct evict *e)
{
	return (e->pages + 2) * sizeof(e->links[0]);
}

static void queue_init(struct evict *e, struct queue *q, uint64_t self)
{
	q->self = (uint32_t)self;
	e->links[self] = (struct links){.prev = q->self, .next = q->self};
}

static void append(struct evict *e, struct queue *q, uint32_t page)
{
	uint32_t last = e->links[q->self].prev;

	e->links[page] = (struct links){.prev = last, .next = q->self};
	e->links[last].next = page;
	e->links[q->self].prev = page;
	q->count++;
}

static void unlink_page(struct evict *e, struct queue *q, uint32_t page)
{
	const struct links l = e->links[page];

	e->links[l.prev].next = l.next;
	e->links[l.next].prev = l.prev;
	q->count--;
}

static void *reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool is_limit(uint64_t pages)
{
	return pages >= EVICT_LIMIT_MIN && pages <= UINT32_MAX;
}

static void set_limit(struct evict *e, uint64_t limit)
{
	e->stats.limit = limit;
	e->high = limit - MAX(limit / SLACK_SHARE, SLACK_MIN);
	e->low = e->high - MAX(limit / SLACK_SHARE, SLACK_MIN);
}

int evict_new(uint64_t gpa_end, uint64_t limit, struct evict **ret)
{
	struct evict *e;

	if (!is_limit(limit) || !gpa_end || gpa_end / PAGE_BYTES > UINT32_MAX - 2)
		return -EINVAL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	set_limit(e, limit);
	e->pages = gpa_end / PAGE_BYTES;
	e->state = reserve(e->pages);
	e->links = reserve(links_bytes(e));
	if (!e->state || !e->links) {
		evict_free(e);
		return -ENOMEM;
	}
	queue_init(e, &e->small, e->pages);
	queue_init(e, &e->main, e->pages + 1);
	*ret = e;
	return 0;
}

void evict_free(struct evict *e)
{
	if (!e)
		return;
	if (e->state)
		munmap(e->state, e->pages);
	if (e->links)
		munmap(e->links, links_bytes(e));
	free(e);
}

int evict_set_limit(struct evict *e, uint64_t limit)
{
	if (!is_limit(limit))
		return -EINVAL;
	set_limit(e, limit);
	return 0;
}

uint64_t evict_limit(const struct evict *e)
{
	return e->stats.limit;
}

static uint32_t page_of(const struct evict *e, uint64_t gpa)
{
	assert(gpa / PAGE_BYTES < e->pages);
	return (uint32_t)(gpa / PAGE_BYTES);
}

/* Was the page evicted, and not so long ago that as many others have been since as fit here? */
static bool remembered(const struct evict *e, uint32_t page)
{
	uint32_t since = (uint32_t)e->stats.evicted - e->links[page].prev;

	return (e->state[page] & GHOST) && since < e->stats.limit;
}

static void place(struct evict *e, struct queue *q, uint32_t page)
{
	e->state[page] = q == &e->small ? IN_SMALL : IN_MAIN;
	append(e, q, page);
}

static struct queue *queue_of(struct evict *e, uint32_t page)
{
	return e->state[page] & IN_SMALL ? &e->small : &e->main;
}

/* Takes the page out of its queue. Return: its byte before. */
static uint8_t take(struct evict *e, uint32_t page)
{
	uint8_t was = e->state[page];

	unlink_page(e, queue_of(e, page), page);
	if ((was & OFFERED) && e->offered)
		e->offered--;
	e->state[page] = 0;
	return was;
}

void evict_came(struct evict *e, uint64_t gpa)
{
	uint32_t page = page_of(e, gpa);
	bool again;

	if (e->state[page] & HERE)
		return;
	again = remembered(e, page);
	place(e, again ? &e->main : &e->small, page);
	e->stats.resident++;
	e->stats.refaulted += again;
}

void evict_used(struct evict *e, uint64_t gpa)
{
	uint32_t page = page_of(e, gpa);

	if (e->state[page] & HERE)
		e->state[page] |= USED;
}

void evict_left(struct evict *e, uint64_t gpa)
{
	uint32_t page = page_of(e, gpa);

	if (!(e->state[page] & HERE))
		return;
	e->stats.resident--;
	/* One that another node took is no sign of anything: it may be wanted all the time. */
	if (!(take(e, page) & OFFERED))
		return;
	e->state[page] = GHOST;
	e->links[page] = (struct links){.prev = (uint32_t)e->stats.evicted++};
}

void evict_settled(struct evict *e, uint64_t gpa)
{
	uint32_t page = page_of(e, gpa);

	if (!(e->state[page] & HERE))
		return;
	e->stats.resident--;
	take(e, page);
}

bool evict_here(const struct evict *e, uint64_t gpa)
{
	return e->state[page_of(e, gpa)] & HERE;
}

/* How many would be here if all homes took what they were offered. */
static uint64_t rest(const struct evict *e)
{
	return e->stats.resident - e->offered;
}

uint64_t evict_deadline(const struct evict *e)
{
	return e->offered && e->stats.resident > e->high ? e->last + EVICT_RETRY_NS : UINT64_MAX;
}

bool evict_next(struct evict *e, uint64_t now, uint64_t *gpa)
{
	if (now >= evict_deadline(e))
		e->offered = 0;
	e->draining = rest(e) > (e->draining ? e->low : e->high);
	if (!e->draining)
		return false;
	for (;;) {
		bool small = e->small.count > e->stats.limit / SMALL_SHARE || !e->main.count;
		struct queue *q = small ? &e->small : &e->main;
		uint32_t page = e->links[q->self].next;
		uint8_t was = take(e, page);

		/* It stays here until its home says so: behind all others, should that never be. */
		place(e, &e->main, page);
		if (was & USED)
			continue;
		e->state[page] |= OFFERED;
		e->offered++;
		e->stats.offered++;
		e->last = now;
		*gpa = (uint64_t)page * PAGE_BYTES;
		return true;
	}
}

uint64_t evict_room(const struct evict *e)
{
	return e->stats.limit > e->stats.resident ? e->stats.limit - e->stats.resident : 0;
}

const struct evict_stats *evict_stats(const struct evict *e)
{
	return &e->stats;
}
