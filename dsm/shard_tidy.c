/* SPDX-License-Identifier: Apache-2.0 */
/* What a shard does about its regions when nothing else is to be done. */
#include "dsm/shard_impl.h"

/* A huge page takes its time: who waits here is answered first. */
static uint64_t untrack_deadline(const struct shard *s)
{
	return dsm_proto_waiting(s->proto) ? UINT64_MAX : usage_deadline(&s->usage);
}

uint64_t shard_tidy_deadline(const struct shard *s)
{
	return MIN(untrack_deadline(s), rehome_deadline(&s->rehome));
}

static int untrack_one(struct shard *s)
{
	uint64_t gpa;
	int r;

	if (s->now < untrack_deadline(s) || !usage_candidate(&s->usage, s->now, &gpa))
		return 0;
	r = dsm_proto_untrack(s->proto, gpa);
	if (r == 1)
		usage_forget(&s->usage, gpa);
	return r < 0 ? shard_fail_here(s, r, "giving up tracking", gpa) : 0;
}

int shard_tidy(struct shard *s)
{
	int r = shard_move(s);

	return r < 0 ? r : untrack_one(s);
}
