/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/pager.h"
#include "dsm/shard.h"

/* Granules a shard gets at least, so that neighbouring memory is spread evenly over the shards. */
#define GRANULES_PER_SHARD 16

struct pager {
	struct pager_config cfg;
	struct shard *shard[MAX_SHARDS];
};

unsigned pager_shard_of(const struct mem_layout *layout, unsigned shards, uint64_t gpa)
{
	unsigned shift = REGION_SHIFT;

	if (shards == 1)
		return 0;
	/* The largest power of two that still deals GRANULES_PER_SHARD to each: few mappings. */
	while (mem_total(layout) >> (shift + 1) >= (uint64_t)shards * GRANULES_PER_SHARD)
		shift++;
	return (unsigned)((gpa >> shift) % shards);
}

int pager_new(const struct pager_config *cfg, struct pager **ret, struct err *err)
{
	int r;

	if (!cfg->shards || cfg->shards > MAX_SHARDS)
		return err_set(err, -EINVAL, "pager: shards must be 1 to %d", MAX_SHARDS);

	struct pager *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "pager: out of memory");
	p->cfg = *cfg;
	for (unsigned i = 0; i < cfg->shards; i++) {
		r = shard_new(&p->cfg, i, &p->shard[i], err);
		if (r < 0) {
			pager_free(p);
			return r;
		}
	}
	*ret = p;
	return 0;
}

int pager_start(struct pager *p)
{
	for (unsigned i = 0; i < p->cfg.shards; i++) {
		int r = shard_start(p->shard[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

void pager_stop(struct pager *p)
{
	for (unsigned i = 0; i < p->cfg.shards; i++)
		if (p->shard[i])
			shard_stop(p->shard[i]);
	/* Not before: what a released thread does must not be served by another shard. */
	for (unsigned i = 0; i < p->cfg.shards; i++)
		if (p->shard[i])
			shard_release(p->shard[i]);
}

void pager_free(struct pager *p)
{
	if (!p)
		return;
	pager_stop(p);
	for (unsigned i = 0; i < p->cfg.shards; i++)
		shard_free(p->shard[i]);
	free(p);
}

void pager_set_idle(struct pager *p, bool idle)
{
	for (unsigned i = 0; i < p->cfg.shards; i++)
		shard_set_idle(p->shard[i], idle);
}

void pager_yield(struct pager *p)
{
	for (unsigned i = 0; i < p->cfg.shards; i++)
		shard_yield(p->shard[i]);
}

void pager_stats(const struct pager *p, struct pager_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < p->cfg.shards; i++)
		shard_stats(p->shard[i], ret);
}
