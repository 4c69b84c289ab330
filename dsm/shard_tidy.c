/* SPDX-License-Identifier: Apache-2.0 */
/* What a shard does about its regions when nothing else is to be done. */
#include "dsm/shard_impl.h"

void shard_saw(struct shard *s, const struct wire_hdr *h)
{
	if (h->type == WIRE_GETS || h->type == WIRE_GETM)
		usage_asked(&s->usage, h->addr, s->now);
}

/* Who waits here is answered first. */
uint64_t shard_tidy_deadline(const struct shard *s)
{
	return dsm_proto_waiting(s->proto) ? UINT64_MAX : usage_deadline(&s->usage);
}

int shard_tidy(struct shard *s)
{
	uint64_t gpa;
	int r;

	if (s->now < shard_tidy_deadline(s) || !usage_candidate(&s->usage, s->now, &gpa))
		return 0;
	r = dsm_proto_untrack(s->proto, gpa);
	if (r == 1)
		usage_forget(&s->usage, gpa);
	return r < 0 ? shard_fail_here(s, r, "giving up tracking", gpa) : 0;
}
