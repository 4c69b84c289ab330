/* SPDX-License-Identifier: Apache-2.0 */
/* Faults that are timed one by one: what the measures of latency.c and scale.c share. */
#ifndef SSIHV_BENCH_LATENCY_H
#define SSIHV_BENCH_LATENCY_H

#include "bench/bench.h"

struct times {
	double p50, p99; /* us */
};

/* How a measure differs from others. */
struct shape {
	struct times (*yardstick)(struct asker *a);	  /* a round of it */
	void (*prepare)(struct asker *a, uint64_t first); /* before a round; may be NULL */
	void (*fault)(struct asker *a, uint64_t page);	  /* adds its samples */
	void (*after)(struct asker *a);			  /* a round; may be NULL */
};

/** latency_measure() - all rounds; pages are numbered through all of them. */
void latency_measure(struct asker *a, const struct shape *shape);

/** latency_ask() - the yardstick: a request over TCP. */
struct times latency_ask(struct asker *a);

/** latency_fault() - touch page @page of @home and add how long it took to the samples. */
void latency_fault(struct asker *a, unsigned home, uint64_t page, bool write);

/** latency_run_read() - the measure of pages that only HOME has, in any number of nodes. */
void latency_run_read(struct asker *a);

#endif
