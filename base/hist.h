/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log-linear histogram of nanoseconds: 16 steps per power of two, so that a percentile is right to
 * about 6 %. One writer; a reader in another thread may see a sample late, never a torn count.
 */
#ifndef SSIHV_BASE_HIST_H
#define SSIHV_BASE_HIST_H

#include "base/base.h"

#define HIST_SUB_BITS 4
#define HIST_BUCKETS  ((64 - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
	uint64_t count;
	uint64_t sum;
	uint64_t max;
	uint32_t bucket[HIST_BUCKETS];
};

/** hist_add() - record one sample of @ns nanoseconds. */
void hist_add(struct hist *h, uint64_t ns);

/**
 * hist_percentile() - the sample below which @per_mille of 1000 samples lie
 * @per_mille: 0..1000; 500 is the median, 990 the 99th percentile
 *
 * Return: nanoseconds (the upper edge of the bucket), 0 for an empty histogram.
 */
uint64_t hist_percentile(const struct hist *h, unsigned per_mille);

/** hist_merge() - add all samples of @from to @to. */
void hist_merge(struct hist *to, const struct hist *from);

#endif
