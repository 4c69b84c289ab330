/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's actions, done to guest memory. What is done to neighbouring pages one after the other
 * is one call to the kernel (dsm/batch.h); messages are for shard_send.c.
 */
#include "dsm/shard_impl.h"

#include "base/clock.h"
#include "dsm/uffd.h"

/* The pages are here no longer. */
static void forget(struct shard *s, uint64_t gpa, unsigned pages)
{
	for (uint64_t at = gpa, end = gpa + pages * PAGE_BYTES; at < end; at += PAGE_BYTES) {
		recall_lost(&s->recall, at);
		if (s->evict)
			evict_left(s->evict, at);
	}
}

static int drop(struct shard *s, uint64_t gpa, unsigned pages)
{
	int r = uffd_drop(shard_hva(s, gpa), pages * PAGE_BYTES);

	forget(s, gpa, pages);
	return r < 0 ? shard_fail_here(s, r, "dropping", gpa) : 0;
}

int shard_take(struct shard *s, uint64_t gpa, unsigned pages, const uint64_t **ret)
{
	int r = staging_take(&s->staging, shard_hva(s, gpa), gpa, pages, ret);

	forget(s, gpa, pages);
	if (r == -ENOENT)
		return shard_fail(s, r, -1, "pager: page %#llx is to leave, and is not here",
				  (unsigned long long)gpa);
	return r < 0 ? shard_fail_here(s, r, "taking out", gpa) : 0;
}

/* The pages are there; a fault that was waited for since then becomes a sample. */
static void record(struct shard *s, const struct batch_effect *e, bool writable)
{
	uint64_t now = clock_now_ns();

	for (unsigned i = 0; i < e->pages; i++) {
		if (e->since[i])
			hist_add(&s->remote, now - e->since[i]);
		waits_end(&s->waits, e->gpa + i * PAGE_BYTES, writable, now);
	}
}

static int map(struct shard *s, const struct batch_effect *e)
{
	uint64_t hva = shard_hva(s, e->gpa), len = e->pages * PAGE_BYTES;
	int r = e->data ? uffd_copy(s->uffd, hva, e->data, len, !e->writable)
			: uffd_zero(s->uffd, hva, len, !e->writable);

	staging_came(&s->staging, e->gpa, e->pages);
	record(s, e, e->writable);
	for (unsigned i = 0; i < e->pages; i++)
		shard_copy_came(s, e->gpa + i * PAGE_BYTES);
	return r < 0 ? shard_fail_here(s, r, "mapping", e->gpa) : 0;
}

static int protect(struct shard *s, const struct batch_effect *e, bool on)
{
	uint64_t len = e->pages * PAGE_BYTES;
	int r = uffd_protect(s->uffd, shard_hva(s, e->gpa), len, on);

	if (!on)
		record(s, e, true);
	for (unsigned i = 0; i < e->pages; i++) {
		uint64_t at = e->gpa + i * PAGE_BYTES;

		if (on)
			recall_lost(&s->recall, at);
		if (s->evict && !on)
			evict_used(s->evict, at);
	}
	return r < 0 ? shard_fail_here(s, r, on ? "protecting" : "unprotecting", e->gpa) : 0;
}

int shard_effect(void *ctx, const struct batch_effect *e)
{
	struct shard *s = ctx;

	switch (e->type) {
	case DSM_MAP:
		return map(s, e);
	case DSM_UNPROTECT:
		return protect(s, e, false);
	case DSM_PROTECT:
		return protect(s, e, true);
	case DSM_DROP:
		return drop(s, e->gpa, e->pages);
	default:
		return -EINVAL;
	}
}

static int act_track(struct shard *s, const struct dsm_action *a)
{
	uint64_t hva = shard_hva(s, a->gpa);
	int r = track_region(&s->tracker, a->gpa);

	/* After the registration only this thread populates, so the snapshot below stays true. */
	if (r == 0)
		r = uffd_populated(s->pagemap, hva, REGION_PAGES, a->track.populated);
	if (r == -ENOMEM)
		return shard_fail(s, r, -1,
				  "pager: too many memory mappings: raise vm.max_map_count");
	if (r < 0)
		return shard_fail_here(s, r, "tracking", a->gpa);
	SHARD_TRACE(s, tracked, a->gpa, a->track.populated);
	return 0;
}

static int act_wake(struct shard *s, const struct dsm_action *a)
{
	int r = track_fill(&s->tracker, a->gpa);

	if (r == 0)
		r = uffd_wake(s->uffd, shard_hva(s, a->gpa));
	waits_end(&s->waits, a->gpa, true, s->now);
	return r < 0 ? shard_fail_here(s, r, "waking", a->gpa) : 0;
}

/* The payload is the core's: it does not wait. */
static int act_send_whole(struct shard *s, const struct dsm_action *a)
{
	int r = batch_end(&s->batch, a->send.to);

	return r < 0 ? r : shard_transmit(s, a->send.to, a->send.hdr, a->send.payload, false);
}

static int act_untrack(struct shard *s, const struct dsm_action *a)
{
	int r = batch_close(&s->batch);

	if (r < 0)
		return r;
	staging_plain(&s->staging, a->gpa);
	r = track_forget(&s->tracker, a->gpa);
	return r < 0 ? shard_fail_here(s, r, "giving up tracking", a->gpa) : 0;
}

int shard_act(void *ctx, const struct dsm_action *a)
{
	struct shard *s = ctx;
	int r;

	SHARD_TRACE(s, action, a);
	switch (a->type) {
	case DSM_SEND:
		return a->send.payload ? act_send_whole(s, a) : batch_send(&s->batch, a);
	case DSM_GIVE:
		return batch_send(&s->batch, a);
	case DSM_MAP:
	case DSM_UNPROTECT:
	case DSM_PROTECT:
	case DSM_DROP:
		return batch_effect(&s->batch, a);
	case DSM_WAKE:
		r = batch_settle(&s->batch);
		return r < 0 ? r : act_wake(s, a);
	case DSM_TRACK:
		r = batch_settle(&s->batch);
		return r < 0 ? r : act_track(s, a);
	case DSM_CAME:
	case DSM_LEFT:
		r = batch_close(&s->batch); /* what is here is counted anew */
		return r < 0 ? r : shard_region_moved(s, a->gpa, a->type == DSM_CAME);
	case DSM_UNTRACK:
		return act_untrack(s, a);
	}
	return -EINVAL;
}
