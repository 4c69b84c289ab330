/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions whose homes move (dsm/proto_move.c), and what that means to this host.
 *
 * The core knows where a region is at home. Where it was at home first, by the configuration, is
 * another question, and stays the one that decides about userfaultfd: all regions of other nodes
 * are registered from the start, this node's when another one asks. So a region that has left, or
 * has come, is registered on both sides already. Only this node's own ones ever become plain memory
 * again: among those that came, registered in one piece, each would cost memory mappings.
 *
 * ROOM. A node has promised memory for what is at home there; the rest of its limit is for copies.
 * A region that comes takes its room from them, whatever of it was here as copies is none any more;
 * one that leaves gives its room to them, and what is still here of it are copies. So a region is
 * refused that would leave no room for the copies that are here and under way, or less than half
 * of what there was at the start.
 */
#include "dsm/shard_impl.h"

static bool is_pinned(const struct shard *s, uint64_t gpa)
{
	return s->cfg->pinned && s->cfg->pinned(s->cfg->ctx, gpa);
}

static bool is_at_home(const struct shard *s, uint64_t gpa)
{
	return dsm_proto_home(s->proto, gpa) == (int)s->cfg->self;
}

static bool is_request(const struct wire_hdr *h)
{
	return h->type == WIRE_GETS || h->type == WIRE_GETM;
}

static void count(struct shard *s, uint64_t gpa, unsigned node, int owner)
{
	const struct rehome_request request = {
		.node = node, .owner = owner, .first = (unsigned)shard_home(s, gpa)};

	rehome_asked(&s->rehome, gpa, &request, s->now);
}

int shard_owner(const struct shard *s, const struct wire_hdr *h)
{
	struct dsm_page_info info;

	/* In this order: the core has not looked at the message yet. */
	if (!s->cfg->homes || !is_request(h) || !is_at_home(s, h->addr) ||
	    !rehome_doubts(&s->rehome, h->addr, h->from))
		return -1;
	dsm_proto_page(s->proto, h->addr, &info);
	return info.owner;
}

void shard_saw(struct shard *s, const struct wire_hdr *h, int owner)
{
	if (!is_request(h))
		return;
	if (shard_home(s, h->addr) == (int)s->cfg->self)
		usage_asked(&s->usage, h->addr, s->now);
	count(s, h->addr, h->from, owner);
}

void shard_used(struct shard *s, uint64_t gpa)
{
	if (s->cfg->homes && is_at_home(s, gpa))
		count(s, gpa, s->cfg->self, -1);
}

bool shard_accepts(void *ctx, uint64_t gpa)
{
	struct shard *s = ctx;

	return s->cfg->homes && !is_pinned(s, gpa) && shard_region_fits(s, gpa);
}

int shard_region_moved(struct shard *s, uint64_t gpa, bool came)
{
	int r = shard_resize(s, gpa, came);

	if (came)
		rehome_came(&s->rehome, gpa, s->now);
	if (!came)
		usage_forget(&s->usage, gpa);
	else if (shard_home(s, gpa) == (int)s->cfg->self)
		usage_asked(&s->usage, gpa, s->now); /* perhaps nobody else ever asks again */
	return r < 0 ? shard_fail_here(s, r, "moving", gpa) : 0;
}

int shard_move(struct shard *s)
{
	uint64_t gpa;
	unsigned to;
	int r;

	if (!rehome_candidate(&s->rehome, s->now, &gpa, &to))
		return 0;
	r = is_pinned(s, gpa) ? 0 : dsm_proto_move(s->proto, gpa, to);
	rehome_tried(&s->rehome, r == 1 || is_pinned(s, gpa), s->now);
	return r < 0 ? shard_fail_here(s, r, "moving", gpa) : 0;
}
