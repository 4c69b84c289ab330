/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to peers, from when they are posted (dsm/batch.h) to the sockets.
 *
 * What a round of events has posted leaves together at its end, or in parts when it is much. A
 * message that nothing of this round goes before or behind is not posted but sent at once, without
 * a copy in the connection's queue; so is one that is a part by itself.
 *
 * Pages that stay here are sent from where they are, pages that leave are taken out first. Pages of
 * a run that turn out to be all zero travel as a flag: the run is cut where that changes. It is cut
 * into parts, too, so that the other end maps the first while the last are still on their way.
 *
 * Guest memory is read only where the core has just had it write-protected or knows it to be
 * read-only, so it does not change meanwhile. The kernel's page tables order those reads behind
 * the guest's writes, which a race detector cannot know: it is told not to look.
 */
#include "dsm/shard_impl.h"

#include "wire/run.h"

#define PART_PAGES 16u
#define PART	   (PART_PAGES * PAGE_BYTES) /* what is posted leaves in parts of about this size */

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RACE_DETECTOR
#endif
#elif defined(__SANITIZE_THREAD__)
#define RACE_DETECTOR
#endif

#ifdef RACE_DETECTOR
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
#define GUEST_READS_BEGIN() AnnotateIgnoreReadsBegin(__FILE__, __LINE__)
#define GUEST_READS_END()   AnnotateIgnoreReadsEnd(__FILE__, __LINE__)
#else
#define GUEST_READS_BEGIN()
#define GUEST_READS_END()
#endif

static int flush_peer(struct shard *s, unsigned to)
{
	struct conn *c = shard_conn(s, to);
	int r = conn_flush(c);

	s->posted &= ~(UINT64_C(1) << to);
	if (r < 0)
		return shard_fail_peer(s, r, to);
	s->backlog |= conn_queued(c) > 0;
	return 0;
}

int shard_flush(struct shard *s)
{
	int r = batch_close(&s->batch);

	for (uint64_t peers = s->posted; r == 0 && peers; peers &= peers - 1)
		r = flush_peer(s, (unsigned)__builtin_ctzll(peers));
	return r;
}

/*
 * The stamp is made here: what the message tells of, a page taken from this node's vCPUs or given
 * up, has been done.
 */
int shard_transmit(struct shard *s, unsigned to, struct wire_hdr h, const void *payload, bool last)
{
	struct conn *c = shard_conn(s, to);
	bool part = h.len >= PART;
	int r = 0;

	if (s->cfg->clock && wire_has_stamp(h.type))
		h.stamp = s->cfg->clock(s->cfg->ctx);
	if (part && conn_queued(c) && !s->backlog)
		r = flush_peer(s, to);
	if (r < 0)
		return r;
	if (part || (last && !conn_queued(c))) {
		r = conn_send(c, &h, payload);
		s->backlog |= conn_queued(c) > 0;
	} else {
		r = conn_post(c, &h, payload);
		s->posted |= UINT64_C(1) << to;
	}
	if (r < 0)
		return shard_fail_peer(s, r, to);
	return conn_queued(c) >= PART && !s->backlog ? flush_peer(s, to) : 0;
}

__attribute__((no_sanitize("thread"))) static bool all_zero(const uint64_t *page)
{
	for (unsigned i = 0; i < PAGE_BYTES / sizeof(*page); i += 4)
		if (page[i] | page[i + 1] | page[i + 2] | page[i + 3])
			return false;
	return true;
}

static int send_pages(struct shard *s, unsigned to, const struct wire_hdr *run,
		      const uint64_t *page, bool last)
{
	const unsigned pages = wire_run_pages(run);
	const size_t words = PAGE_BYTES / sizeof(*page);
	int r = 0;

	for (unsigned i = 0, n; r == 0 && i < pages; i += n) {
		bool zero = all_zero(page + i * words);
		unsigned most = MIN(pages - i, zero ? WIRE_RUN_PAGES : PART_PAGES);
		struct wire_hdr part;

		for (n = 1; n < most && all_zero(page + (i + n) * words) == zero; n++)
			;
		part = wire_run_part(run, i, n);
		if (zero) {
			part.flags = (uint8_t)((part.flags & ~WIRE_GRANT_DATA) | WIRE_GRANT_ZERO);
			part.len = 0;
		}
		r = shard_transmit(s, to, part, page + i * words, last && i + n == pages);
	}
	return r;
}

int shard_post(void *ctx, unsigned to, const struct wire_hdr *run, bool gives, bool last)
{
	struct shard *s = ctx;
	const uint64_t *page;
	int r;

	if (!(run->flags & WIRE_GRANT_DATA))
		return shard_transmit(s, to, *run, NULL, last);
	if (gives) {
		r = shard_take(s, run->addr, wire_run_pages(run), &page);
		return r < 0 ? r : send_pages(s, to, run, page, last);
	}
	GUEST_READS_BEGIN();
	r = send_pages(s, to, run, (const uint64_t *)shard_hva(s, run->addr), last);
	GUEST_READS_END();
	return r;
}
