/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/batch.h"

#include "wire/run.h"

void batch_init(struct batch *b, const struct batch_ops *ops, void *ctx)
{
	*b = (struct batch){.ops = ops, .ctx = ctx};
}

int batch_settle(struct batch *b)
{
	const struct batch_effect e = b->effect;

	if (!e.pages)
		return 0;
	b->effect.pages = 0;
	return b->ops->effect(b->ctx, &e);
}

static int post(struct batch *b, unsigned to, bool last)
{
	uint64_t bit = UINT64_C(1) << to;
	bool gives = b->gives & bit;
	int r = batch_settle(b);

	b->open &= ~bit;
	b->whole &= ~bit;
	b->carries &= ~bit;
	b->gives &= ~bit;
	return r < 0 ? r : b->ops->post(b->ctx, to, &b->run[to], gives, last);
}

int batch_end(struct batch *b, unsigned to)
{
	return b->open >> to & 1 ? post(b, to, false) : batch_settle(b);
}

int batch_cut(struct batch *b)
{
	b->whole = b->open;
	return batch_settle(b);
}

int batch_close(struct batch *b)
{
	int r = batch_settle(b);

	while (r == 0 && b->open)
		r = post(b, (unsigned)__builtin_ctzll(b->open), true);
	return r;
}

static bool speaks_of(const struct wire_hdr *run, uint64_t gpa)
{
	return gpa - run->addr < wire_run_pages(run) * PAGE_BYTES;
}

/* Posts what carries the page at @gpa. */
static int release(struct batch *b, uint64_t gpa)
{
	int r = 0;

	for (uint64_t peers = b->carries; r == 0 && peers; peers &= peers - 1) {
		unsigned to = (unsigned)__builtin_ctzll(peers);

		if (speaks_of(&b->run[to], gpa))
			r = post(b, to, false);
	}
	return r;
}

/* Is it what the open effect does to the page before? */
static bool continues(const struct batch_effect *open, const struct batch_effect *e)
{
	const uint8_t *data = open->data ? open->data + open->pages * PAGE_BYTES : NULL;

	return open->pages && open->pages < WIRE_RUN_PAGES && open->type == e->type &&
	       open->gpa + open->pages * PAGE_BYTES == e->gpa && e->gpa % REGION_BYTES &&
	       open->writable == e->writable && data == e->data;
}

int batch_effect(struct batch *b, const struct dsm_action *a)
{
	struct batch_effect e = {.type = a->type, .pages = 1, .gpa = a->gpa, .since = b->since};
	int r = release(b, a->gpa);

	if (r < 0)
		return r;
	if (a->type == DSM_MAP) {
		e.data = a->map.data;
		e.writable = a->map.writable;
	}
	if (continues(&b->effect, &e)) {
		b->since[b->effect.pages++] = a->since;
		return 0;
	}
	r = batch_settle(b);
	b->effect = e;
	b->since[0] = a->since;
	return r;
}

int batch_send(struct batch *b, const struct dsm_action *a)
{
	unsigned to = a->send.to;
	uint64_t bit = UINT64_C(1) << to;
	bool gives = a->type == DSM_GIVE;
	int r = gives ? release(b, a->gpa) : 0;

	if (r < 0)
		return r;
	if (b->open & bit) {
		/* If the page leaves: the flags of a grant tell that, too. */
		if (!(b->whole & bit) && wire_run_join(&b->run[to], &a->send.hdr))
			return 0;
		r = post(b, to, false);
		if (r < 0)
			return r;
	}
	b->run[to] = a->send.hdr;
	b->open |= bit;
	b->carries |= a->send.hdr.flags & WIRE_GRANT_DATA ? bit : 0;
	b->gives |= gives ? bit : 0;
	return 0;
}
