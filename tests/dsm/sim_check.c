/* SPDX-License-Identifier: Apache-2.0 */
/* What must be true: after every event, of every fault, at rest. */
#include "tests/dsm/sim_impl.h"

#define STORM_TRIES 50 /* faults of one instruction, for each node that wants the same pages */

/* Who has the page mapped, and who for writing, as bits of nodes. */
static void mappings(const struct sim *s, unsigned page, uint64_t *present, uint64_t *writable)
{
	*present = *writable = 0;
	for (unsigned i = 0; i < s->nodes; i++) {
		const struct sim_copy *c = &s->node[i].copy[page];

		*present |= (uint64_t)c->present << i;
		*writable |= (uint64_t)(c->present && c->writable) << i;
	}
}

int sim_check_mappings(struct sim *s)
{
	for (unsigned p = 0; p < s->pages; p++) {
		uint64_t present, writable;

		mappings(s, p, &present, &writable);
		if (writable && present != (writable & -writable))
			return sim_fail(s, "page %u is writable in nodes %#llx and mapped in %#llx",
					p, (unsigned long long)writable,
					(unsigned long long)present);
		for (unsigned i = 0; i < s->nodes; i++) {
			const struct sim_copy *c = &s->node[i].copy[p];

			if (c->present && memcmp(c->word, s->page[p].golden, sizeof(c->word)) != 0)
				return sim_fail(s, "node %u has an old copy of page %u", i, p);
		}
	}
	return 0;
}

/*
 * An instruction waits for the turns of the nodes that come before it, and some messages, all
 * perhaps late. Where requests wait for a place (-EAGAIN), order is by chance and only the end of
 * the run is bounded.
 */
static uint64_t time_bound(const struct sim *s)
{
	uint64_t latest = 10 * s->delay;
	uint64_t turns = s->hold ? (1 + 2 * s->nodes) * (s->hold + s->delay) : 0;

	/*
	 * A turn ends RUN_MAX (4) lengths after its node first ran. The instruction's own may end
	 * so because of the node's other CPUs; then it waits for all the others once more.
	 */
	if (s->cfg->storm)
		return 2 * s->nodes * (4 * s->hold + 10 * latest);
	/* A region that goes to live elsewhere holds new requests for five messages. */
	return (s->nodes + 2) * (turns + (s->move_percent ? 13 : 8) * latest);
}

/*
 * Since when it should have been over by the bound: its instruction, for one that loses its pages
 * again is not done; only its fault where turns do not help. UINT64_MAX for nothing.
 */
static uint64_t since(const struct sim *s, const struct sim_cpu *c)
{
	if (sim_turns_help(s))
		return c->began ? c->began : UINT64_MAX;
	return c->waits ? c->at : UINT64_MAX;
}

static int check_cpu(struct sim *s, unsigned node, const struct sim_cpu *c, uint64_t bound)
{
	uint64_t from = since(s, c);

	if (from == UINT64_MAX)
		return 0;
	if (s->now - from > bound || (s->cfg->storm && c->tries > STORM_TRIES * s->nodes))
		return sim_fail(s, "node %u: an instruction is not done after %llu ns, %u faults",
				node, (unsigned long long)(s->now - from), c->tries);
	return 0;
}

int sim_check_progress(struct sim *s)
{
	uint64_t bound = time_bound(s);
	int r = 0;

	if (s->max_pending < s->pages)
		return 0;
	for (unsigned i = 0; i < s->nodes; i++)
		for (unsigned k = 0; r == 0 && k < s->cpus; k++)
			r = check_cpu(s, i, &s->node[i].cpu[k], bound);
	return r;
}

static int check_directory(struct sim *s, unsigned page)
{
	const struct sim_page *p = &s->page[page];
	unsigned at = sim_home(&s->node[0], page);
	struct sim_node *home = &s->node[at];
	struct dsm_page_info info;
	uint64_t present, writable;

	for (unsigned i = 0; i < s->nodes; i++)
		if (sim_home(&s->node[i], page) != at)
			return sim_fail(s, "node %u does not know the home of page %u", i, page);
	mappings(s, page, &present, &writable);
	dsm_proto_page(home->proto, p->gpa, &info);
	if (info.busy)
		return sim_fail(s, "page %u is busy at rest", page);
	if (info.tracked != home->tracked[sim_region(p)])
		return sim_fail(s, "page %u: tracking disagrees", page);
	if (!info.tracked)
		return present & ~(UINT64_C(1) << at)
			       ? sim_fail(s, "page %u left its home untracked", page)
			       : 0;
	if (info.sharers != present || info.zero != !present ||
	    (info.owner < 0 ? 0 : UINT64_C(1) << info.owner) != writable)
		return sim_fail(s,
				"page %u: directory says owner %d, sharers %#llx; writable in "
				"%#llx, mapped in %#llx",
				page, info.owner, (unsigned long long)info.sharers,
				(unsigned long long)writable, (unsigned long long)present);
	return 0;
}

static int check_copies(struct sim *s, unsigned page)
{
	for (unsigned i = 0; i < s->nodes; i++) {
		const struct sim_copy *c = &s->node[i].copy[page];
		enum dsm_copy want = !c->present ? DSM_NONE : c->writable ? DSM_OWNED : DSM_SHARED;
		struct dsm_page_info info;

		if (!sim_tracked(&s->node[i], page))
			want = DSM_OWNED;
		dsm_proto_page(s->node[i].proto, s->page[page].gpa, &info);
		if (info.copy != want || info.busy)
			return sim_fail(s, "node %u: its copy of page %u is %d, mapped as %d", i,
					page, info.copy, want);
	}
	return 0;
}

int sim_check_rest(struct sim *s)
{
	int r = 0;

	for (unsigned i = 0; i < s->nodes; i++) {
		for (unsigned k = 0; k < s->cpus; k++)
			if (s->node[i].cpu[k].waits)
				return sim_fail(s, "node %u waits for page %u for ever", i,
						s->node[i].cpu[k].missing);
		if (dsm_proto_waiting(s->node[i].proto))
			return sim_fail(s, "node %u has a request that was never answered", i);
	}
	for (unsigned p = 0; p < s->pages && r == 0; p++) {
		r = check_directory(s, p);
		if (r == 0)
			r = check_copies(s, p);
	}
	return r < 0 ? r : sim_check_stats(s);
}

static int expect(struct sim_node *n, const char *what, uint64_t got, uint64_t want)
{
	return got == want ? 0
			   : sim_fail(n->sim, "node %u: %s is %llu, not %llu", n->id, what,
				      (unsigned long long)got, (unsigned long long)want);
}

static unsigned count(const bool *flags)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SIM_REGIONS; i++)
		n += flags[i];
	return n;
}

/* Tables exist for what was shared alone, and cost no more than was promised. */
static int check_memory(struct sim_node *n, const struct dsm_stats *st)
{
	uint64_t home_pages = count(n->tracked) * REGION_PAGES;
	uint64_t other_pages = count(n->touched) * REGION_PAGES;

	if (st->memory > 16 * home_pages + 2 * other_pages)
		return sim_fail(n->sim, "node %u: %llu bytes for %llu + %llu pages", n->id,
				(unsigned long long)st->memory, (unsigned long long)home_pages,
				(unsigned long long)other_pages);
	return expect(n, "tracked_regions", st->tracked_regions, count(n->tracked));
}

int sim_check_stats(struct sim *s)
{
	for (unsigned i = 0; i < s->nodes; i++) {
		struct sim_node *n = &s->node[i];
		const struct dsm_stats *st = dsm_proto_stats(n->proto);
		const struct sim_tally *t = &n->tally;

		if (expect(n, "faults_local", st->faults_local, t->local) ||
		    expect(n, "faults_remote", st->faults_remote, t->remote) ||
		    expect(n, "data_grants", st->data_grants, t->data_grants) ||
		    expect(n, "zero_grants", st->zero_grants, t->zero_grants) ||
		    expect(n, "upgrade_grants", st->upgrade_grants, t->upgrade_grants) ||
		    expect(n, "invalidations", st->invalidations, t->drops) ||
		    expect(n, "downgrades", st->downgrades, t->downgrades) ||
		    expect(n, "offers", st->offers, t->offers) ||
		    (!s->move_percent && expect(n, "served", st->served, t->served)) ||
		    expect(n, "bytes_sent", st->bytes_sent, t->sent) ||
		    expect(n, "bytes_received", st->bytes_received, t->received) ||
		    (!s->hold && expect(n, "held", st->held, 0)) || check_memory(n, st))
			return -EIO;
	}
	return 0;
}
