/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies that a node offers back: by chance any, and in runs with a limit those that exceed it; and
 * regions of which a home thinks that nobody else has anything any more, or that they should live
 * elsewhere.
 */
#include "tests/dsm/sim_impl.h"

static int offer(struct sim_node *n, unsigned page)
{
	struct sim *s = n->sim;
	int r;

	sim_trace(s, "node %u: offers page %u", n->id, page);
	r = dsm_proto_put(n->proto, s->page[page].gpa + sim_random(s, PAGE_BYTES));
	if (r == 1 && (sim_home(n, page) == n->id || !n->copy[page].present))
		return sim_fail(s, "node %u offers page %u, which it cannot", n->id, page);
	n->tally.offers += r == 1;
	return sim_returned(n, r, "an offer");
}

/* The page of another home that was mapped first, when there are more than the limit; -1. */
static int oldest_beyond_limit(const struct sim_node *n)
{
	const struct sim *s = n->sim;
	unsigned count = 0;
	int oldest = -1;

	for (unsigned i = 0; i < s->pages; i++) {
		if (sim_home(n, i) == n->id || !n->copy[i].present)
			continue;
		count++;
		if (oldest < 0 || n->copy[i].since < n->copy[oldest].since)
			oldest = (int)i;
	}
	return s->limit && count > s->limit ? oldest : -1;
}

static int untrack(struct sim_node *n)
{
	struct sim *s = n->sim;
	unsigned page = (unsigned)sim_random(s, s->pages);
	int r;

	sim_trace(s, "node %u: would stop tracking page %u", n->id, page);
	r = dsm_proto_untrack(n->proto, s->page[page].gpa);
	s->result->untracked += r == 1;
	return sim_returned(n, r, "untracking");
}

static int move(struct sim_node *n)
{
	struct sim *s = n->sim;
	unsigned page = (unsigned)sim_random(s, s->pages);
	unsigned to = (unsigned)sim_random(s, s->nodes);

	sim_trace(s, "node %u: would give the home of page %u to node %u", n->id, page, to);
	return sim_returned(n, dsm_proto_move(n->proto, s->page[page].gpa, to), "a move");
}

int sim_give_back(struct sim_node *n)
{
	struct sim *s = n->sim;
	int page = oldest_beyond_limit(n);

	if (page >= 0)
		return offer(n, (unsigned)page);
	if (sim_chance(s, s->untrack_percent))
		return untrack(n);
	if (sim_chance(s, s->move_percent))
		return move(n);
	if (sim_chance(s, s->put_percent))
		return offer(n, (unsigned)sim_random(s, s->pages));
	return 0;
}
