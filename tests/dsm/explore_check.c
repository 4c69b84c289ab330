/* SPDX-License-Identifier: Apache-2.0 */
/* What must be true of every state, and of a state in which nothing is under way any more. */
#include "tests/dsm/explore.h"

#include "dsm/directory.h"

static bool is_plain(const struct explorer *x, unsigned node, unsigned page,
		     const struct xp_page *p)
{
	return p->home == node && !p->tracked;
}

/* One writer or many readers, all of the last value. */
static int check_mappings(struct explorer *x, const struct xp_state *s, unsigned page,
			  unsigned *present, unsigned *writable)
{
	*present = *writable = 0;
	for (unsigned i = 0; i < x->cfg.nodes; i++) {
		uint8_t mapped = s->node[i].page[page].mapped;

		*present |= (unsigned)(mapped & XP_PRESENT ? 1 : 0) << i;
		*writable |= (unsigned)(mapped & XP_WRITABLE ? 1 : 0) << i;
		if ((mapped & XP_PRESENT) && !(mapped & XP_FRESH))
			return xp_fail(x, "node %u has an old copy of page %u", i, page);
	}
	if (*writable && *present != (*writable & -*writable))
		return xp_fail(x, "page %u is writable in nodes %#x and mapped in %#x", page,
			       *writable, *present);
	return 0;
}

/* A core knows what is mapped. */
static int check_copy(struct explorer *x, unsigned node, unsigned page, const struct xp_page *p)
{
	static const uint8_t mapped[] = {
		[DSM_NONE] = 0, [DSM_SHARED] = XP_PRESENT, [DSM_OWNED] = XP_PRESENT | XP_WRITABLE};

	if (is_plain(x, node, page, p) || (p->mapped & ~XP_FRESH) == mapped[p->copy])
		return 0;
	return xp_fail(x, "node %u: its copy of page %u is %u, mapped as %u", node, page, p->copy,
		       p->mapped);
}

/* Somebody is waited for: by the message or the demand that is under way. */
static int check_rest(struct explorer *x, const struct xp_state *s, unsigned page, unsigned present,
		      unsigned writable)
{
	const struct xp_page *home = &s->node[s->node[0].page[page].home].page[page];

	for (unsigned i = 0; i < x->cfg.nodes; i++) {
		const struct xp_page *p = &s->node[i].page[page];

		if (s->node[i].leaves || p->state || p->home != s->node[0].page[page].home)
			return xp_fail(x, "node %u does not know the home of page %u", i, page);
		if (p->pending || p->waits)
			return xp_fail(x, "node %u waits for page %u for ever", i, page);
	}
	if (home->tracked && (home->requester != NO_NODE || home->queued))
		return xp_fail(x, "page %u is busy for ever", page);
	if (home->tracked && (home->sharers != present ||
			      (home->owner == NO_NODE ? 0 : 1u << home->owner) != writable))
		return xp_fail(x,
			       "page %u: directory: owner %u, sharers %#x; writable in %#x, "
			       "mapped in %#x",
			       page, home->owner, home->sharers, writable, present);
	return 0;
}

int xp_check(struct explorer *x, const struct xp_state *s)
{
	bool rest = !s->crashed && xp_at_rest(x, s);
	int r = 0;

	for (unsigned page = 0; r == 0 && page < x->cfg.pages; page++) {
		unsigned present, writable;

		r = check_mappings(x, s, page, &present, &writable);
		for (unsigned i = 0; r == 0 && i < x->cfg.nodes; i++)
			if (!s->node[i].crashed)
				r = check_copy(x, i, page, &s->node[i].page[page]);
		if (r == 0 && rest)
			r = check_rest(x, s, page, present, writable);
	}
	x->rests += rest;
	return r;
}
