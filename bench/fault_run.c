/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node 0 measures, node 1 serves. Node 1's memory, by MiB from its start: pages for the remote
 * faults, then for the write upgrades, then for the fleets; all are written by their home first,
 * so that every fault moves 4096 bytes. The raw side uses the control connection between the same
 * two processes, which nobody else uses here and which has the same socket options.
 */
#include "bench/fault_run.h"

#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "bench/raw.h"
#include "tests/dsm/native_cluster.h"

enum { ASKER, SERVER };

#define UPGRADES    2000
#define LOCALS	    400
#define FLEET_PAGES 4096 /* of all threads together */
#define HOLD_NS	    (20 * NSEC_PER_USEC)

#define REMOTE_MAX ((uint64_t)FAULT_ROUNDS_MAX * 1024)

/* Page numbers at home on the server. */
#define UPGRADE_AT	(REMOTE_MAX)
#define FLEET_AT(fleet) (UPGRADE_AT + 2048 + (uint64_t)(fleet)*FLEET_PAGES)
#define PAGES_ALL	FLEET_AT(FAULT_FLEETS)

struct samples {
	unsigned n;
	uint32_t ns[REMOTE_MAX];
};

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Sorts samples [from, n). */
static struct times times_of(struct samples *s, unsigned from)
{
	unsigned n = s->n - from;

	qsort(s->ns + from, n, sizeof(s->ns[0]), compare);
	return (struct times){.p50_us = s->ns[from + n / 2] / 1e3,
			      .p99_us = s->ns[from + n * 99 / 100] / 1e3};
}

static void add(struct samples *s, uint64_t start)
{
	s->ns[s->n++] = (uint32_t)MIN(clock_now_ns() - start, (uint64_t)UINT32_MAX);
}

static volatile uint64_t *page_at(const struct native_node *n, unsigned home, uint64_t page)
{
	return native_at(n, home, page * PAGE_BYTES);
}

static void measure_remote(struct native_node *n, struct raw *raw, struct samples *buf)
{
	struct fault_run *run = n->cfg->ctx;
	struct samples *asked = &buf[0], *faulted = &buf[1];
	uint64_t page = 0;

	for (unsigned round = 0; round < run->rounds; round++) {
		unsigned first = asked->n;

		for (unsigned i = 0; i < run->faults; i++) {
			uint64_t start = clock_now_ns();
			NATIVE_CHECK(n, raw_ask(raw) == 0, "raw");
			add(asked, start);
		}
		for (unsigned i = 0; i < run->faults; i++) {
			uint64_t start = clock_now_ns();
			(void)*page_at(n, SERVER, page++);
			add(faulted, start);
		}
		run->ratio[round] = times_of(faulted, first).p50_us / times_of(asked, first).p50_us;
	}
	run->raw = times_of(asked, 0);
	run->remote = times_of(faulted, 0);
}

/* Write to pages that are here read-only, each read right before but outside of the clock. */
static void measure_upgrade(struct native_node *n, struct samples *buf)
{
	struct fault_run *run = n->cfg->ctx;

	buf->n = 0;
	for (unsigned i = 0; i < UPGRADES; i++)
		(void)*page_at(n, SERVER, UPGRADE_AT + i);
	for (unsigned i = 0; i < UPGRADES; i++) {
		uint64_t start = clock_now_ns();
		*page_at(n, SERVER, UPGRADE_AT + i) = 1;
		add(buf, start);
	}
	run->upgrade = times_of(buf, 0);
}

/* First touch of own memory in a region that is tracked, because the server has asked for a page.
 */
static void measure_local(struct native_node *n, struct samples *buf)
{
	struct fault_run *run = n->cfg->ctx;

	buf->n = 0;
	for (unsigned i = 1; i <= LOCALS; i++) {
		uint64_t start = clock_now_ns();
		*page_at(n, ASKER, i) = 1;
		add(buf, start);
	}
	run->local = times_of(buf, 0);
}

static void *fleet_thread(void *arg)
{
	struct native_thread *t = arg;
	unsigned fleet = (unsigned)t->node->shared->word[0];
	uint64_t pages = FLEET_PAGES / fault_fleet[fleet], first = FLEET_AT(fleet);

	for (uint64_t i = 0; i < pages; i++)
		(void)*page_at(t->node, SERVER, first + t->local * pages + i);
	return NULL;
}

static void measure_fleets(struct native_node *n)
{
	struct fault_run *run = n->cfg->ctx;

	for (unsigned fleet = 0; fleet < FAULT_FLEETS; fleet++) {
		uint64_t start = clock_now_ns();

		n->shared->word[0] = fleet;
		native_threads(n, fault_fleet[fleet], fleet_thread);
		run->pages_per_s[fleet] = FLEET_PAGES * 1e9 / (double)(clock_now_ns() - start);
	}
}

/* Threads that are made later, the shard's among them, inherit the place. */
static void before(struct native_node *n)
{
	const struct fault_run *run = n->cfg->ctx;
	cpu_set_t set;

	if (run->cpu[n->self] >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned)run->cpu[n->self], &set);
		NATIVE_CHECK(n, sched_setaffinity(0, sizeof(set), &set) == 0, "pinning");
	}
	for (uint64_t i = 0; n->self == SERVER && i < PAGES_ALL; i++)
		*page_at(n, SERVER, i) = i + 1;
}

static void ask(struct native_node *n, struct raw *raw)
{
	_cleanup_free_ struct samples *buf = calloc(2, sizeof(*buf));

	NATIVE_CHECK(n, buf, "memory");
	measure_remote(n, raw, buf);
	measure_upgrade(n, buf);
	measure_local(n, buf);
	measure_fleets(n);
	NATIVE_CHECK(n, raw_end(raw) == 0, "raw");
}

static void body(struct native_node *n)
{
	const struct fault_run *run = n->cfg->ctx;
	struct raw raw;

	if (n->self == SERVER)
		*page_at(n, ASKER, 0) = 1;
	native_barrier(n);
	NATIVE_CHECK(n, raw_open(n->mesh.control[!n->self]->fd, run->spin_ns, &raw) == 0, "raw");
	if (n->self == ASKER)
		ask(n, &raw);
	else
		NATIVE_CHECK(n, raw_serve(&raw) == 0, "raw");
	raw_close(&raw);
}

int fault_run(struct fault_run *run)
{
	const struct native_config cfg = {
		.nodes = 2,
		.shards = 1,
		.memory = ALIGN_UP(PAGES_ALL * PAGE_BYTES, REGION_BYTES),
		.hold_ns = HOLD_NS,
		.spin_ns = run->spin_ns,
		.exact = true,
		.before = before,
		.body = body,
		.ctx = run,
		.lost = -1,
		.timeout_s = 120,
	};

	return native_run(&cfg);
}
