/* SPDX-License-Identifier: Apache-2.0 */
/* What may happen to a state: all events that are possible in it. */
#include "tests/dsm/explore.h"

void xp_first(struct explorer *x, struct xp_state *ret)
{
	*ret = (struct xp_state){0};
	for (unsigned i = 0; i < x->cfg.nodes; i++) {
		struct xp_node *n = &ret->node[i];

		n->faults = (uint8_t)x->cfg.faults;
		n->prefetches = (uint8_t)x->cfg.prefetches;
		n->puts = (uint8_t)x->cfg.puts;
		n->moves = (uint8_t)x->cfg.moves;
		for (unsigned p = 0; p < x->cfg.pages; p++) {
			n->page[p].home = (uint8_t)xp_home(x, p);
			if (xp_home(x, p) != i)
				continue;
			n->page[p].owner = n->page[p].requester = NO_NODE;
			n->page[p].copy = DSM_OWNED;
		}
	}
}

struct list_of_events {
	struct xp_event *at;
	unsigned count, max;
};

static void add(struct list_of_events *l, enum xp_kind kind, unsigned node, unsigned at,
		unsigned mode)
{
	assert(l->count < l->max);
	l->at[l->count++] = (struct xp_event){.kind = (uint8_t)kind,
					      .node = (uint8_t)node,
					      .at = (uint8_t)at,
					      .mode = (uint8_t)mode};
}

static bool same_connection(const struct xp_message *a, const struct xp_message *b)
{
	return a->from == b->from && a->to == b->to;
}

static void add_network(const struct explorer *x, const struct xp_state *s,
			struct list_of_events *l)
{
	for (unsigned i = 0; i < s->messages; i++) {
		const struct xp_message *m = &s->message[i], *before = i ? m - 1 : NULL;
		const struct xp_message *behind = i + 1 < s->messages ? m + 1 : NULL;

		/* A connection that breaks has lost what it had not delivered, from its end on. */
		if (s->node[m->from].crashed && !(behind && same_connection(m, behind)))
			add(l, XP_LOSE, m->from, i, 0);
		if (before && (x->cfg.reorder ? memcmp(before, m, sizeof(*m)) == 0
					      : same_connection(before, m)))
			continue;
		add(l, XP_DELIVER, m->to, i, 0);
		if (x->cfg.zeros && (m->type == WIRE_FWD_GETS || m->type == WIRE_FWD_GETM ||
				     m->type == WIRE_GETS || m->type == WIRE_GETM))
			add(l, XP_DELIVER, m->to, i, XP_ZERO);
		if (x->cfg.refuse && m->type == WIRE_REHOME && m->node == m->to)
			add(l, XP_DELIVER, m->to, i, XP_REFUSE);
	}
}

static void add_faults(const struct explorer *x, const struct xp_node *n, unsigned node,
		       unsigned page, struct list_of_events *l)
{
	const struct xp_page *p = &n->page[page];

	if (x->cfg.untrack && n->page[page].home == node && p->tracked)
		add(l, XP_UNTRACK, node, page, 0);
	if (n->page[page].home == node && !p->tracked) {
		if (!(p->mapped & XP_PRESENT))
			add(l, XP_TOUCH, node, page, 0);
		return;
	}
	/* A fault that the copy suffices for changes nothing: xp_check() sees to what is mapped. */
	for (unsigned write = p->copy == DSM_SHARED; write <= (p->copy != DSM_OWNED); write++) {
		if (p->copy == DSM_OWNED)
			break;
		if (n->faults)
			add(l, XP_FAULT, node, page, write ? XP_WRITE : 0);
		if (n->prefetches && !p->pending)
			add(l, XP_PREFETCH, node, page, write ? XP_WRITE : 0);
	}
}

/* An offer that changes nothing, nor is sent, is no event; a second one would be as the first. */
static void add_put(const struct explorer *x, const struct xp_state *s, unsigned node,
		    unsigned page, struct list_of_events *l)
{
	const struct xp_node *n = &s->node[node];
	const struct xp_page *p = &n->page[page];

	if (!n->puts || n->page[page].home == node || p->copy == DSM_NONE || p->pending ||
	    p->hold >= XP_LOUD)
		return;
	for (unsigned i = 0; i < s->messages; i++)
		if (s->message[i].type == WIRE_PUT && s->message[i].from == node &&
		    s->message[i].page == page)
			return;
	add(l, XP_PUT, node, page, 0);
}

static void add_moves(const struct explorer *x, const struct xp_node *n, unsigned node,
		      unsigned page, struct list_of_events *l)
{
	if (!n->moves || n->leaves || n->page[page].home != node || !n->page[page].tracked ||
	    n->page[page].state)
		return;
	for (unsigned to = 0; to < x->cfg.nodes; to++)
		if (to != node)
			add(l, XP_MOVE, node, page, to);
}

static bool has_demand(const struct explorer *x, const struct xp_node *n, bool due)
{
	for (unsigned p = 0; p < x->cfg.pages; p++)
		if (n->page[p].hold == XP_DUE ||
		    (n->page[p].hold == XP_LOUD &&
		     (!due || n->idle || !n->ticket || n->over || !n->page[p].granted_now)))
			return true;
	return false;
}

static void add_turns(const struct explorer *x, const struct xp_state *s, unsigned node,
		      struct list_of_events *l)
{
	const struct xp_node *n = &s->node[node];

	if (!x->cfg.turns)
		return;
	if (has_demand(x, n, true)) {
		add(l, XP_TICK, node, 0, 0);
		if (x->cfg.zeros)
			add(l, XP_TICK, node, 0, XP_ZERO);
	}
	if (n->ticket && !n->over)
		add(l, XP_EXPIRE, node, 0, 0);
	if (x->cfg.idle)
		add(l, XP_IDLE, node, 0, 0);
}

unsigned xp_events(const struct explorer *x, const struct xp_state *s, struct xp_event *ret,
		   unsigned max)
{
	struct list_of_events l = {.at = ret, .max = max};

	add_network(x, s, &l);
	for (unsigned i = 0; i < x->cfg.nodes; i++) {
		if (s->node[i].crashed)
			continue;
		add_turns(x, s, i, &l);
		for (unsigned p = 0; p < x->cfg.pages; p++) {
			add_faults(x, &s->node[i], i, p, &l);
			add_put(x, s, i, p, &l);
			add_moves(x, &s->node[i], i, p, &l);
		}
		if (x->cfg.crash && !s->crashed)
			add(&l, XP_CRASH, i, 0, 0);
	}
	return l.count;
}

bool xp_at_rest(const struct explorer *x, const struct xp_state *s)
{
	if (s->messages)
		return false;
	for (unsigned i = 0; i < x->cfg.nodes; i++)
		if (has_demand(x, &s->node[i], false))
			return false;
	return true;
}
