/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hist.h"

/* Values below 2^SUB_BITS have a bucket each; above, the leading bit picks the row. */
static unsigned bucket_of(uint64_t ns)
{
	if (ns < (1u << HIST_SUB_BITS))
		return (unsigned)ns;

	unsigned top = 63u - (unsigned)__builtin_clzll(ns);
	unsigned row = top - HIST_SUB_BITS + 1;
	unsigned column = (unsigned)(ns >> (top - HIST_SUB_BITS)) & ((1u << HIST_SUB_BITS) - 1);

	return (row << HIST_SUB_BITS) + column;
}

static uint64_t upper_edge(unsigned bucket)
{
	unsigned row = bucket >> HIST_SUB_BITS;
	uint64_t column = bucket & ((1u << HIST_SUB_BITS) - 1);

	if (row == 0)
		return column;
	return (((UINT64_C(1) << HIST_SUB_BITS) + column + 1) << (row - 1)) - 1;
}

void hist_add(struct hist *h, uint64_t ns)
{
	h->bucket[bucket_of(ns)]++;
	h->count++;
	h->sum += ns;
	if (ns > h->max)
		h->max = ns;
}

uint64_t hist_percentile(const struct hist *h, unsigned per_mille)
{
	uint64_t rank = (h->count * per_mille + 999) / 1000, seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (h->bucket[i] && seen >= rank)
			return MIN(upper_edge(i), h->max);
	}
	return 0;
}

void hist_merge(struct hist *to, const struct hist *from)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
	to->count += from->count;
	to->sum += from->sum;
	to->max = MAX(to->max, from->max);
}
