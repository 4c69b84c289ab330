/* SPDX-License-Identifier: Apache-2.0 */
/* What comes from peers, on its way into the core. */
#include "dsm/shard_impl.h"

#include "base/clock.h"
#include "wire/run.h"

/*
 * One page after the other. What is done to memory is done at once, while the payload is there. The
 * answers to two messages stay two: who asked for a page and, apart from it, for guesses does not
 * wait for those.
 */
static int serve_pages(struct shard *s, const struct wire_hdr *h, const uint8_t *payload)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < wire_run_pages(h); i++) {
		struct wire_hdr part = wire_run_part(h, i, 1);
		const uint8_t *page = part.len ? payload + i * part.len : NULL;
		int owner = shard_owner(s, &part);

		SHARD_TRACE(s, received, &part);
		r = dsm_proto_message(s->proto, &part, page, s->now);
		if (r == 0)
			shard_saw(s, &part, owner);
	}
	return r < 0 ? r : batch_cut(&s->batch);
}

/* Only what the message itself is to blame for is its sender's fault. */
int shard_receive(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct shard *s = ctx;
	/* Before anything of it can be seen: no vCPU here reads an earlier time than its sender. */
	int r = h->stamp && s->cfg->reach ? s->cfg->reach(s->cfg->ctx, c->peer, h->stamp) : 0;

	/* A turn that begins with this page does not begin before the wait, or it would be over. */
	if (h->stamp)
		s->now = clock_now_ns();
	if (r == 0)
		r = serve_pages(s, h, payload);

	if (r == -EPROTO)
		return shard_fail_peer(s, r, c->peer);
	if (r == -ECANCELED) /* the VM ends, and nobody may see it any more */
		return 0;
	return r < 0 ? shard_fail_here(s, r, "serving", h->addr) : 0;
}
