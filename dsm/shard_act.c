/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's actions, done to guest memory and sockets.
 *
 * A page is taken aside before it is sent, and looked at whether it is all zero. When it leaves for
 * a new owner it is also dropped before it is sent (DSM_GIVE).
 *
 * Guest memory is read only where the core has just had it write-protected or knows it to be
 * read-only, so it does not change meanwhile. The kernel's page tables order those reads behind
 * the guest's writes, which a race detector cannot know: it does not look into the one instruction
 * that copies.
 */
#include "dsm/shard_impl.h"

#include "base/clock.h"
#include "dsm/uffd.h"

#define PAGE_WORDS (PAGE_BYTES / sizeof(uint64_t))
#define PART	   (64 * KIB) /* what is posted leaves in parts of about this size */

static void take_page(void *to, const void *from)
{
	size_t n = PAGE_WORDS;

	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static bool all_zero(const uint64_t *page)
{
	for (unsigned i = 0; i < PAGE_WORDS; i += 4)
		if (page[i] | page[i + 1] | page[i + 2] | page[i + 3])
			return false;
	return true;
}

int shard_flush(struct shard *s, uint64_t peers)
{
	s->posted &= ~peers;
	for (; peers; peers &= peers - 1) {
		unsigned to = (unsigned)__builtin_ctzll(peers);
		struct conn *c = shard_conn(s, to);
		int r = conn_flush(c);

		if (r < 0)
			return shard_fail_peer(s, r, to);
		s->backlog |= conn_queued(c) > 0;
	}
	return 0;
}

/*
 * The message leaves with all others of this round, or with as many as make a part. Its stamp is
 * made here: what it tells of, a page taken from this node's vCPUs or given up, has been done.
 */
static int transmit(struct shard *s, unsigned to, struct wire_hdr h, const void *page)
{
	uint64_t peer = UINT64_C(1) << to;
	struct conn *c = shard_conn(s, to);

	if (s->cfg->clock && wire_has_stamp(h.type))
		h.stamp = s->cfg->clock(s->cfg->ctx);
	int r = conn_post(c, &h, page);

	if (r < 0)
		return shard_fail_peer(s, r, to);
	s->posted |= peer;
	return conn_queued(c) >= PART && !s->backlog ? shard_flush(s, peer) : 0;
}

/* Takes the page of a grant aside; one that turns out to be all zero travels as a flag. */
static struct wire_hdr take_aside(struct shard *s, const struct dsm_action *a)
{
	struct wire_hdr hdr = a->send.hdr;

	take_page(s->aside, (const void *)shard_hva(s, a->gpa));
	if (all_zero(s->aside)) {
		hdr.flags = (uint8_t)((hdr.flags & ~WIRE_GRANT_DATA) | WIRE_GRANT_ZERO);
		hdr.len = 0;
	}
	return hdr;
}

static int act_send(struct shard *s, const struct dsm_action *a)
{
	struct wire_hdr hdr = a->send.hdr;

	if (hdr.flags & WIRE_GRANT_DATA)
		hdr = take_aside(s, a);
	return transmit(s, a->send.to, hdr, a->send.payload ?: s->aside);
}

static int act_drop(struct shard *s, const struct dsm_action *a)
{
	int r = uffd_drop(shard_hva(s, a->gpa));

	recall_lost(&s->recall, a->gpa);
	if (s->evict)
		evict_left(s->evict, a->gpa);
	return r < 0 ? shard_fail_here(s, r, "dropping", a->gpa) : 0;
}

static int act_give(struct shard *s, const struct dsm_action *a)
{
	struct wire_hdr hdr = take_aside(s, a);
	int r = act_drop(s, a);

	return r < 0 ? r : transmit(s, a->send.to, hdr, s->aside);
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
	return r < 0 ? shard_fail_here(s, r, "tracking", a->gpa) : 0;
}

/* The fault that this grant ends, if any, becomes a sample. */
static void record(struct shard *s, uint64_t gpa, bool writable)
{
	uint64_t start;

	if (timing_end(&s->timing, gpa, writable, &start))
		hist_add(&s->remote, clock_now_ns() - start);
}

static int act_map(struct shard *s, const struct dsm_action *a)
{
	int r = uffd_copy(s->uffd, shard_hva(s, a->gpa), a->map.data, !a->map.writable);

	record(s, a->gpa, a->map.writable);
	shard_copy_came(s, a->gpa);
	return r < 0 ? shard_fail_here(s, r, "mapping", a->gpa) : 0;
}

static int act_protect(struct shard *s, const struct dsm_action *a, bool on)
{
	int r = uffd_protect(s->uffd, shard_hva(s, a->gpa), on);

	if (on)
		recall_lost(&s->recall, a->gpa);
	else
		record(s, a->gpa, true);
	if (s->evict && !on)
		evict_used(s->evict, a->gpa);
	return r < 0 ? shard_fail_here(s, r, on ? "protecting" : "unprotecting", a->gpa) : 0;
}

static int act_wake(struct shard *s, const struct dsm_action *a)
{
	int r = track_fill(&s->tracker, a->gpa);

	if (r == 0)
		r = uffd_wake(s->uffd, shard_hva(s, a->gpa));

	return r < 0 ? shard_fail_here(s, r, "waking", a->gpa) : 0;
}

int shard_act(void *ctx, const struct dsm_action *a)
{
	struct shard *s = ctx;
	int r;

	switch (a->type) {
	case DSM_SEND:
		return act_send(s, a);
	case DSM_GIVE:
		return act_give(s, a);
	case DSM_MAP:
		return act_map(s, a);
	case DSM_UNPROTECT:
		return act_protect(s, a, false);
	case DSM_PROTECT:
		return act_protect(s, a, true);
	case DSM_DROP:
		return act_drop(s, a);
	case DSM_WAKE:
		return act_wake(s, a);
	case DSM_TRACK:
		return act_track(s, a);
	case DSM_CAME:
	case DSM_LEFT:
		return shard_region_moved(s, a->gpa, a->type == DSM_CAME);
	case DSM_UNTRACK:
		r = track_forget(&s->tracker, a->gpa);
		return r < 0 ? shard_fail_here(s, r, "giving up tracking", a->gpa) : 0;
	}
	return -EINVAL;
}
