/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shard asks for that nobody waits for yet: with a fault go requests for what this node had
 * (dsm/recall.h) and for what the faulting thread will want next (dsm/prefetch.h).
 */
#include "dsm/shard_impl.h"

bool shard_takes_faults(const struct shard *s)
{
	return dsm_proto_waiting(s->proto) + FAULT_BATCH <= PAGER_MAX_PENDING &&
	       shard_has_room(s, FAULT_BATCH);
}

bool shard_writes(struct shard *s, uint64_t gpa, bool write)
{
	return s->cfg->exact ? write : recall_fault(&s->recall, gpa, write);
}

void shard_joined(struct shard *s, uint32_t tid, uint64_t gpa)
{
	if (!s->cfg->exact)
		prefetch_joined(&s->prefetch, tid, gpa);
}

/* Asks for pages, as far as there is room. *@tried: how many were looked at. */
static int ask_also(struct shard *s, const struct prefetch_page *page, unsigned n, unsigned *tried)
{
	const struct dsm_stats *stats = dsm_proto_stats(s->proto);
	uint64_t asked;
	/* Who waits is answered first, not with the last of the guesses. */
	int r = n ? batch_cut(&s->batch) : 0;

	/* Near the limit guesses are given up before faults have to wait. */
	for (*tried = 0; r >= 0 && *tried < n && shard_takes_faults(s); ++*tried) {
		if (!shard_has_room(s, 2 * FAULT_BATCH))
			break;
		asked = stats->prefetches;
		r = dsm_proto_prefetch(s->proto, page[*tried].gpa, page[*tried].write, s->now);
		if (stats->prefetches > asked)
			shard_used(s, page[*tried].gpa);
	}
	return r;
}

static_assert(RECALL_MAX >= PREFETCH_MAX, "room for both");

int shard_guess(struct shard *s, const struct shard_fault *fault)
{
	const struct dsm_stats *stats = dsm_proto_stats(s->proto);
	struct prefetch_page page[RECALL_MAX];
	unsigned n, tried;
	uint64_t before;
	int r;

	if (s->cfg->exact)
		return 0;
	r = ask_also(s, page, recall_take(&s->recall, page), &tried);
	if (r < 0)
		return shard_fail_here(s, r, "a recall", fault->gpa);
	before = stats->prefetches;
	n = prefetch_fault(&s->prefetch, fault->tid, fault->gpa, fault->write, page);
	r = ask_also(s, page, n, &tried);
	prefetch_asked(&s->prefetch, fault->tid, tried, (unsigned)(stats->prefetches - before));
	return r < 0 ? shard_fail_here(s, r, "a prefetch", fault->gpa) : 0;
}
