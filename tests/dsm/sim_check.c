/* SPDX-License-Identifier: Apache-2.0 */
/* What must be true: after every event, of every fault, at rest. */
#include "tests/dsm/sim_impl.h"

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
 * A request waits for those of the other nodes that came first, and each of them for the turns of
 * the nodes that come before it, and some messages, all perhaps late. Where requests wait for a
 * place (-EAGAIN), order is by chance and only the end of the run is bounded.
 */
int sim_check_progress(struct sim *s)
{
	uint64_t latest = 10 * s->delay;
	uint64_t turns = s->hold ? (1 + 2 * s->nodes) * (s->hold + s->delay) : 0;
	uint64_t bound = (s->nodes + 2) * (turns + 8 * latest);

	if (s->max_pending < s->pages)
		return 0;
	if (s->cfg->storm) /* each of the others runs once before a node that has begun to wait */
		bound = s->nodes * (s->hold + 20 * latest);
	for (unsigned i = 0; i < s->nodes; i++)
		for (unsigned k = 0; k < s->cpus; k++) {
			const struct sim_cpu *c = &s->node[i].cpu[k];

			if (c->waits && s->now - c->at > bound)
				return sim_fail(s, "node %u has waited %llu ns for page %u", i,
						(unsigned long long)(s->now - c->at), c->missing);
		}
	return 0;
}

static int check_directory(struct sim *s, unsigned page)
{
	const struct sim_page *p = &s->page[page];
	struct sim_node *home = &s->node[p->home];
	struct dsm_page_info info;
	uint64_t present, writable;

	mappings(s, page, &present, &writable);
	dsm_proto_page(home->proto, p->gpa, &info);
	if (info.busy)
		return sim_fail(s, "page %u is busy at rest", page);
	if (info.tracked != home->tracked[sim_region(p)])
		return sim_fail(s, "page %u: tracking disagrees", page);
	if (!info.tracked)
		return present & ~(UINT64_C(1) << p->home)
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
		    expect(n, "served", st->served, t->served) ||
		    expect(n, "bytes_sent", st->bytes_sent, t->sent) ||
		    expect(n, "bytes_received", st->bytes_received, t->received) ||
		    (!s->hold && expect(n, "held", st->held, 0)) || check_memory(n, st))
			return -EIO;
	}
	return 0;
}
