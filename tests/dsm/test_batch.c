/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a batch does with random sequences of actions, as a core may make them, is what would have
 * come of doing each at once: the same messages about single pages in the same order to each peer,
 * each behind the effects of all actions before it, with the pages as they were then. The guest
 * writes to a page in the moment when it may.
 */
#include "tests/check.h"

#include "dsm/batch.h"
#include "wire/run.h"

#define PEERS	 3
#define FIRST	 (3 * REGION_BYTES - 100 * PAGE_BYTES) /* two regions have a part of the pages */
#define PAGES	 160
#define SOURCES	 2 /* of pages that are mapped */
#define STEPS	 400
#define SEEDS	 300
#define MESSAGES (STEPS * 80 * 2)

struct page {
	bool present, writable;
	uint64_t content;
};

struct sent {
	struct wire_hdr hdr; /* about one page */
	uint64_t content;    /* of the page that it carries, else 0 */
	uint64_t effects;    /* that were to be done before */
};

struct queue {
	struct sent *sent;
	unsigned count, posted;
	unsigned cut; /* messages that none behind them may join */
};

struct world {
	struct batch batch;
	uint64_t random;
	struct page want[PAGES], is[PAGES]; /* as if all were done at once; as it is */
	uint64_t effects, done;		    /* on single pages */
	struct queue to[PEERS];
	unsigned posts, calls, failing; /* the failing-th call of ops fails */
	bool closing;
};

static const uint8_t source[SOURCES][PAGES * PAGE_BYTES];

static uint64_t draw(struct world *w, uint64_t n)
{
	w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (w->random >> 33) % n;
}

static unsigned index_of(uint64_t gpa)
{
	assert_in_range(gpa, FIRST, FIRST + (PAGES - 1) * PAGE_BYTES);
	return (unsigned)((gpa - FIRST) / PAGE_BYTES);
}

/* A page's content is its address where it came from; the guest adds one when it may write. */
static void apply(struct page *p, enum dsm_action_type type, const uint8_t *data, bool writable)
{
	switch (type) {
	case DSM_MAP:
		assert_false(p->present);
		*p = (struct page){true, writable, (uintptr_t)data};
		break;
	case DSM_UNPROTECT:
		assert_true(p->present && !p->writable);
		p->writable = true;
		break;
	case DSM_PROTECT:
		assert_true(p->present && p->writable);
		p->writable = false;
		break;
	default:
		assert_true(p->present && !p->writable);
		p->present = false;
	}
	p->content += p->writable;
}

static int fails(struct world *w)
{
	return ++w->calls == w->failing ? -EIO : 0;
}

static int on_effect(void *ctx, const struct batch_effect *e)
{
	struct world *w = ctx;
	unsigned first = index_of(e->gpa);

	assert_in_range(e->pages, 1, WIRE_RUN_PAGES);
	assert_true(e->gpa % REGION_BYTES + e->pages * PAGE_BYTES <= REGION_BYTES);
	for (unsigned i = 0; i < e->pages; i++) {
		apply(&w->is[first + i], e->type, e->data ? e->data + i * PAGE_BYTES : NULL,
		      e->writable);
		assert_int_equal(e->since[i], w->done + i + 1);
	}
	w->done += e->pages;
	return fails(w);
}

static int on_post(void *ctx, unsigned to, const struct wire_hdr *run, bool gives, bool last)
{
	struct world *w = ctx;
	struct queue *q = &w->to[to];

	assert_int_equal(wire_check(run, WIRE_CLASS_PAGE), 0);
	assert_int_equal(last, w->closing);
	assert_true(q->posted >= q->cut || q->posted + wire_run_pages(run) <= q->cut);
	for (unsigned i = 0; i < wire_run_pages(run); i++) {
		struct wire_hdr hdr = wire_run_part(run, i, 1);
		struct page *p = &w->is[index_of(hdr.addr)];
		const struct sent *s = &q->sent[q->posted++];

		assert_true(q->posted <= q->count);
		assert_memory_equal(&hdr, &s->hdr, sizeof(hdr));
		assert_true(w->done >= s->effects);
		if (hdr.flags & WIRE_GRANT_DATA) {
			assert_true(p->present && (gives || !p->writable));
			assert_int_equal(p->content, s->content);
		}
		if (gives)
			p->present = false;
		assert_int_equal(gives, hdr.flags == (WIRE_GRANT_DATA | WIRE_GRANT_WRITE));
	}
	w->posts++;
	return fails(w);
}

static const struct batch_ops ops = {.effect = on_effect, .post = on_post};

static uint64_t gpa_of(unsigned page)
{
	return FIRST + page * PAGE_BYTES;
}

/* The actions of a core, each of them only where it is legal. Return: of the batch. */
static int effect(struct world *w, unsigned page, enum dsm_action_type type, const uint8_t *data,
		  bool writable)
{
	struct dsm_action a = {.type = type, .gpa = gpa_of(page), .since = ++w->effects};

	if (type == DSM_MAP) {
		a.map.data = data;
		a.map.writable = writable;
	}
	apply(&w->want[page], type, data, writable);
	return batch_effect(&w->batch, &a);
}

static int tell(struct world *w, unsigned page, unsigned to, struct wire_hdr h)
{
	struct queue *q = &w->to[to];
	bool data = h.flags & WIRE_GRANT_DATA, gives = data && h.flags & WIRE_GRANT_WRITE;

	h.from = PEERS;
	h.addr = gpa_of(page);
	h.len = data ? PAGE_BYTES : 0;
	q->sent[q->count++] = (struct sent){h, data ? w->want[page].content : 0, w->effects};
	if (gives)
		w->want[page].present = false;
	return batch_send(&w->batch, &(struct dsm_action){.type = gives ? DSM_GIVE : DSM_SEND,
							  .gpa = h.addr,
							  .send = {.to = (uint16_t)to, .hdr = h}});
}

/* What a message about the page makes a node do. */
static int handle(struct world *w, unsigned what, unsigned page, unsigned to, unsigned variant)
{
	const struct page *p = &w->want[page];
	const uint8_t *data = variant < SOURCES ? source[variant] + page * PAGE_BYTES : NULL;
	uint8_t node = (uint8_t)(variant % PEERS);
	int r = 0;

	switch (what) {
	case 0: /* requests */
		return tell(w, page, to, (struct wire_hdr){.type = WIRE_GETS, .ticket = node});
	case 1: /* demands to two */
		r = tell(w, page, to, (struct wire_hdr){.type = WIRE_FWD_GETM, .node = node});
		if (r == 0)
			r = tell(w, page, (to + 1) % PEERS, (struct wire_hdr){.type = WIRE_INV});
		return r;
	case 2: /* a page comes */
		if (!p->present)
			r = effect(w, page, DSM_MAP, data, node);
		return r < 0 ? r : tell(w, page, to, (struct wire_hdr){.type = WIRE_DONE});
	case 3: /* a copy goes */
		if (p->present && !p->writable)
			r = effect(w, page, DSM_DROP, NULL, false);
		return r < 0 ? r : tell(w, page, to, (struct wire_hdr){.type = WIRE_INV_ACK});
	case 4: /* an upgrade, after which nobody has anything to be told */
		return p->present && !p->writable ? effect(w, page, DSM_UNPROTECT, NULL, false) : 0;
	case 5: /* never a run */
		return tell(w, page, to, (struct wire_hdr){.type = WIRE_URGE, .ticket = 1});
	default: /* the page is sent, or given away */
		if (!p->present)
			return 0;
		if (p->writable && !(variant & 1))
			r = effect(w, page, DSM_PROTECT, NULL, false);
		if (r < 0)
			return r;
		return tell(w, page, to,
			    (struct wire_hdr){.type = WIRE_GRANT,
					      .flags = WIRE_GRANT_DATA |
						       (variant & 1 ? WIRE_GRANT_WRITE : 0)});
	}
}

/* The same for some neighbours; now and then the owner settles, ends, cuts or closes. */
static int step(struct world *w)
{
	unsigned what = (unsigned)draw(w, 9), to = (unsigned)draw(w, PEERS);
	unsigned variant = (unsigned)draw(w, 4), page = (unsigned)draw(w, PAGES);
	unsigned n = (unsigned)(draw(w, 3) ? draw(w, 4) : draw(w, 80));
	int r = 0;

	for (; r == 0 && n > 0 && page < PAGES; n--, page++)
		r = handle(w, what, page, to, variant);
	if (r < 0)
		return r;
	switch (draw(w, 12)) {
	case 0:
	case 1:
		r = batch_settle(&w->batch);
		assert_true(r < 0 || w->done == w->effects);
		return r;
	case 2:
		r = batch_end(&w->batch, to);
		assert_true(r < 0 ||
			    (w->done == w->effects && w->to[to].posted == w->to[to].count));
		return r;
	case 3:
		r = batch_cut(&w->batch);
		assert_true(r < 0 || w->done == w->effects);
		for (unsigned i = 0; i < PEERS; i++)
			w->to[i].cut = w->to[i].count;
		return r;
	case 4:
		w->closing = true;
		r = batch_close(&w->batch);
		w->closing = false;
		assert_true(r < 0 || (w->done == w->effects && !w->batch.open));
		return r;
	default:
		return 0;
	}
}

static int run(struct world *w)
{
	int r = 0;

	batch_init(&w->batch, &ops, w);
	for (unsigned i = 0; r == 0 && i < STEPS; i++)
		r = step(w);
	w->closing = true;
	return r < 0 ? r : batch_close(&w->batch);
}

static struct world *world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->random = seed;
	for (unsigned i = 0; i < PEERS; i++) {
		w->to[i].sent = calloc(MESSAGES, sizeof(struct sent));
		assert_non_null(w->to[i].sent);
	}
	return w;
}

static void world_free(struct world *w)
{
	for (unsigned i = 0; i < PEERS; i++)
		free(w->to[i].sent);
	free(w);
}

static void all_is_as_if_done_at_once(void **state)
{
	uint64_t messages = 0, posts = 0;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world *w = world_new(seed);

		assert_int_equal(run(w), 0);
		assert_int_equal(w->done, w->effects);
		assert_memory_equal(w->is, w->want, sizeof(w->is));
		for (unsigned i = 0; i < PEERS; i++) {
			assert_int_equal(w->to[i].posted, w->to[i].count);
			messages += w->to[i].count;
		}
		posts += w->posts;
		world_free(w);
	}
	assert_true(posts * 4 < messages); /* else this test has not tried what it is for */
}

static void an_error_is_passed_up(void **state)
{
	for (unsigned failing = 1; failing <= 100; failing++) {
		struct world *w = world_new(failing);

		w->failing = failing;
		assert_int_equal(run(w), -EIO);
		assert_int_equal(w->calls, failing);
		world_free(w);
	}
}

/* What a fault and a sequential reader make of it: the least that is possible. */
static void neighbours_are_one_call_and_one_message(void **state)
{
	struct world *w = world_new(1);
	unsigned page = 100; /* a region begins */

	batch_init(&w->batch, &ops, w);
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(handle(w, 2, page + i, 1, 1), 0); /* writable */
	assert_int_equal(batch_settle(&w->batch), 0);
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(handle(w, 8, page + i, 0, 0), 0); /* PROTECT and GRANT */
	w->closing = true;
	assert_int_equal(batch_close(&w->batch), 0);
	assert_int_equal(w->calls, 4);
	assert_int_equal(w->posts, 2);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_as_if_done_at_once),
		cmocka_unit_test(an_error_is_passed_up),
		cmocka_unit_test(neighbours_are_one_call_and_one_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
