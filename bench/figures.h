/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run of a measure found: named figures, each with one value a round.
 *
 * Nothing is summed up here: whoever reads the report takes the median of the rounds and their
 * spread, which says how much of a difference is noise. A figure lies in memory that is shared by
 * all processes of a run; one of them writes.
 */
#ifndef SSIHV_BENCH_FIGURES_H
#define SSIHV_BENCH_FIGURES_H

#include <stdio.h>

#include "base/base.h"

#define ROUNDS_MAX  64
#define FIGURES_MAX 64

/* Decides whether less or more of it is better. */
enum unit {
	UNIT_US,
	UNIT_MS,
	UNIT_RATIO, /* of times: of ours to the yardstick's */
	UNIT_SHARE, /* of rates: of ours to the yardstick's */
	UNIT_PER_S, /* pages, faults, ... a second */
	UNIT_PACKETS,
	UNIT_BYTES,
	UNIT_COUNT, /* neither is better */
};

struct figure {
	char name[32]; /* "ours.p50" */
	enum unit unit;
	unsigned rounds;
	double value[ROUNDS_MAX];
};

struct figures {
	unsigned count;
	struct figure figure[FIGURES_MAX];
};

/** figures_add() - the value of the next round; what is beyond the limits above is a bug. */
void figures_add(struct figures *f, enum unit unit, double value, const char *name);

/** figures_addf() - the same for a name that is put together: "@side.@name". */
void figures_add2(struct figures *f, enum unit unit, double value, const char *side,
		  const char *name);

/** figures_print() - as one JSON object. */
void figures_print(const struct figures *f, FILE *out);

/* Samples of one round, ns. */
struct samples {
	unsigned count, room;
	uint32_t *ns;
};

static inline void samples_add(struct samples *s, uint64_t ns)
{
	assert(s->count < s->room);
	s->ns[s->count++] = (uint32_t)MIN(ns, (uint64_t)UINT32_MAX);
}

/** samples_sort() - before samples_us(). */
void samples_sort(struct samples *s);

/** samples_us() - what @per_mille of the samples do not exceed, in us; sorted, not empty. */
double samples_us(const struct samples *s, unsigned per_mille);

#endif
