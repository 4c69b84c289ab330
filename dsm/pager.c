/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/pager.h"
#include "dsm/granule.h"
#include "dsm/shard.h"

struct pager {
	struct pager_config cfg;
	struct mappings mappings;
	struct shard *shard[MAX_SHARDS];
};

int pager_new(const struct pager_config *cfg, struct pager **ret, struct err *err)
{
	int r;

	if (!cfg->shards || cfg->shards > MAX_SHARDS)
		return err_set(err, -EINVAL, "pager: shards must be 1 to %d", MAX_SHARDS);

	struct pager *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "pager: out of memory");
	p->cfg = *cfg;
	mappings_init(&p->mappings);
	for (unsigned i = 0; i < cfg->shards; i++) {
		r = shard_new(&p->cfg, i, &p->mappings, &p->shard[i], err);
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
	mappings_free(&p->mappings);
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

int pager_call(struct pager *p, unsigned shard, pager_call_fn fn, void *arg)
{
	return shard < p->cfg.shards ? shard_call(p->shard[shard], fn, arg) : -EINVAL;
}

struct question {
	uint64_t gpa;
	struct dsm_page_info info;
};

static void ask_page(const struct dsm_proto *proto, void *arg)
{
	struct question *q = arg;

	dsm_proto_page(proto, q->gpa, &q->info);
}

int pager_page(struct pager *p, uint64_t gpa, struct dsm_page_info *ret)
{
	const struct mem_layout *layout = &p->cfg.ram->layout;
	struct question q = {.gpa = gpa};
	int r;

	if (gpa >= mem_end(layout) || mem_home(layout, gpa) < 0)
		return -EFAULT;
	r = pager_call(p, granule_shard(layout, p->cfg.shards, gpa), ask_page, &q);
	if (r == 0)
		*ret = q.info;
	return r;
}

uint64_t pager_waited(const struct pager *p, uint32_t tid)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < p->cfg.shards; i++)
		sum += shard_waited(p->shard[i], tid);
	return sum;
}

void pager_stats(const struct pager *p, struct pager_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < p->cfg.shards; i++)
		shard_stats(p->shard[i], ret);
}
