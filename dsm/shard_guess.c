/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shard asks for that nobody waits for yet: with a fault go requests for what this node had
 * (dsm/recall.h) and for what the faulting thread will want next (dsm/prefetch.h).
 *
 * LIMITS. At most half of the requests under way are guesses, and they leave room for twice as many
 * faults as are taken at once: so a fault never waits until guesses are answered. What is to be
 * recalled then waits for the next fault, what is ahead is looked for anew.
 */
#include "dsm/shard_impl.h"

#define GUESSES_MAX (PAGER_MAX_PENDING / 2)

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
	if (s->cfg->exact)
		return;
	prefetch_joined(&s->prefetch, tid, gpa);
	SHARD_TRACE(s, judged, gpa);
}

static bool may_guess(const struct shard *s)
{
	return dsm_proto_unwanted(s->proto) < GUESSES_MAX &&
	       dsm_proto_waiting(s->proto) + 2 * FAULT_BATCH <= PAGER_MAX_PENDING &&
	       shard_has_room(s, 2 * FAULT_BATCH);
}

static int ask(struct shard *s, const struct prefetch_page *page, enum trace_guess why)
{
	const struct dsm_stats *stats = dsm_proto_stats(s->proto);
	uint64_t asked = stats->prefetches;
	int r = dsm_proto_prefetch(s->proto, page->gpa, page->write, s->now);

	if (stats->prefetches > asked) {
		shard_used(s, page->gpa);
		SHARD_TRACE(s, guess, page, why);
	}
	return r;
}

/* Who waits is answered first, not with the last of the guesses: hence the cuts. */
static int ask_again(struct shard *s)
{
	struct prefetch_page page;
	int r = 0;

	for (unsigned n = 0; r == 0 && may_guess(s) && recall_next(&s->recall, &page); n++) {
		r = n ? 0 : batch_cut(&s->batch);
		if (r == 0)
			r = ask(s, &page, TRACE_RECALL);
	}
	return r;
}

static int ask_ahead(struct shard *s, const struct shard_fault *fault)
{
	uint64_t before = dsm_proto_stats(s->proto)->prefetches;
	struct prefetch_page page[PREFETCH_MAX];
	unsigned n = prefetch_fault(&s->prefetch, fault->tid, fault->gpa, fault->write, page);
	unsigned tried;
	int r = n ? batch_cut(&s->batch) : 0;

	SHARD_TRACE(s, judged, fault->gpa);
	for (tried = 0; r == 0 && tried < n && may_guess(s); tried++)
		r = ask(s, &page[tried], TRACE_AHEAD);
	prefetch_asked(&s->prefetch, fault->tid, tried,
		       (unsigned)(dsm_proto_stats(s->proto)->prefetches - before));
	return r;
}

int shard_guess(struct shard *s, const struct shard_fault *fault)
{
	int r;

	if (s->cfg->exact)
		return 0;
	r = ask_again(s);
	if (r < 0)
		return shard_fail_here(s, r, "a recall", fault->gpa);
	r = ask_ahead(s, fault);
	return r < 0 ? shard_fail_here(s, r, "a prefetch", fault->gpa) : 0;
}
