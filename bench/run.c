/* SPDX-License-Identifier: Apache-2.0 */
/* A run of one measure: the cluster, and what its nodes do on command. */
#include <linux/tcp.h> /* the C library's structure ends too early */
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "bench/bench.h"

#define HOLD_NS	  (20 * NSEC_PER_USEC)
#define TIMEOUT_S 300

static struct bench *bench_of(const struct native_node *n)
{
	return n->cfg->ctx;
}

static uint64_t segments_sent(const struct native_node *n, struct conn *const *conn, unsigned conns)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < conns; i++) {
		struct tcp_info info = {0};
		socklen_t len = sizeof(info);

		if (!conn[i])
			continue;
		NATIVE_CHECK(n, getsockopt(conn[i]->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0,
			     "TCP_INFO");
		sum += info.tcpi_segs_out;
	}
	return sum;
}

static void count(struct native_node *n)
{
	struct pager_stats stats;
	struct timespec ts;

	pager_stats(n->pager, &stats);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	bench_of(n)->counters[n->self] = (struct counters){
		.cpu_ns = (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec,
		.page_packets = segments_sent(n, n->mesh.page, n->cfg->shards * n->cfg->nodes),
		.raw_packets = segments_sent(n, n->mesh.control, n->cfg->nodes),
		.moves = stats.dsm.regions_left,
	};
}

static void command(struct native_node *n, const struct peer_request *request)
{
	if (request->op == PEER_COUNT)
		count(n);
	else if (request->op == PEER_USAGE)
		native_usage(n, &bench_of(n)->usage[n->self]);
	else if (request->op == PEER_TOUCH)
		bench_of(n)->took_ns[n->self] = touch(n, &request->touch);
	else
		native_die(n, "command %u", request->op);
}

static void order(struct asker *a, unsigned node, const struct peer_request *request)
{
	NATIVE_CHECK(a->n, peer_order(&a->peer[node], request) == 0, "node %u", node);
}

void ask_end(struct asker *a, unsigned node)
{
	NATIVE_CHECK(a->n, peer_await(&a->peer[node]) == 0, "node %u", node);
}

void ask_begin(struct asker *a, unsigned node, const struct touch *t)
{
	order(a, node, &(struct peer_request){.op = PEER_TOUCH, .touch = *t});
}

void ask_touch(struct asker *a, unsigned node, const struct touch *t)
{
	ask_begin(a, node, t);
	ask_end(a, node);
}

/* The same of all others. */
static void ask_others(struct asker *a, enum peer_op op)
{
	for (unsigned i = 1; i < a->n->cfg->nodes; i++) {
		order(a, i, &(struct peer_request){.op = op});
		ask_end(a, i);
	}
}

void ask_usage(struct asker *a)
{
	ask_others(a, PEER_USAGE);
	native_usage(a->n, &a->b->usage[ASKER]);
}

void ask_page(struct asker *a)
{
	NATIVE_CHECK(a->n, peer_page(&a->peer[HOME]) == 0, "the yardstick");
}

void ask_stream(struct asker *a, unsigned pages)
{
	NATIVE_CHECK(a->n, peer_stream(&a->peer[HOME], pages) == 0, "the yardstick");
}

void phase_begin(struct asker *a)
{
	ask_others(a, PEER_COUNT);
	count(a->n);
	memcpy(a->begin, a->b->counters, sizeof(a->begin));
}

void phase_end(struct asker *a, const char *side, unsigned n, bool raw)
{
	const struct counters *now = a->b->counters, *then = a->begin;
	uint64_t others = 0, packets = 0;

	count(a->n);
	ask_others(a, PEER_COUNT);
	for (unsigned i = 0; i < a->n->cfg->nodes; i++) {
		others += i == ASKER ? 0 : now[i].cpu_ns - then[i].cpu_ns;
		packets += raw ? now[i].raw_packets - then[i].raw_packets
			       : now[i].page_packets - then[i].page_packets;
	}
	struct figures *f = &a->b->figures;
	double home = (double)(now[HOME].cpu_ns - then[HOME].cpu_ns);
	double asker = (double)(now[ASKER].cpu_ns - then[ASKER].cpu_ns);

	figures_add2(f, UNIT_US, asker / 1e3 / n, side, "cpu_asker");
	figures_add2(f, UNIT_US, home / 1e3 / n, side, "cpu_home");
	figures_add2(f, UNIT_US, (double)others / 1e3 / n, side, "cpu_others");
	figures_add2(f, UNIT_PACKETS, (double)packets / n, side, "packets");
}

/* Threads that are made later, the shard's among them, inherit the place. */
static void before(struct native_node *n)
{
	struct bench *b = bench_of(n);
	uint64_t pages = b->memory / PAGE_BYTES;
	cpu_set_t set;

	if (b->cpu[n->self] >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned)b->cpu[n->self], &set);
		NATIVE_CHECK(n, sched_setaffinity(0, sizeof(set), &set) == 0, "pinning");
	}
	if (b->measure->populate)
		b->measure->populate(n);
	for (uint64_t i = 0; !b->measure->populate && n->self == HOME && i < pages; i++)
		*bench_page(n, HOME, i) = i + 1;
}

static void measure(struct native_node *n)
{
	struct asker a = {.n = n, .b = bench_of(n)};

	a.samples.room = a.b->count;
	a.samples.ns = calloc(a.b->count, sizeof(*a.samples.ns));
	NATIVE_CHECK(n, a.samples.ns, "memory");
	for (unsigned i = 1; i < n->cfg->nodes; i++)
		NATIVE_CHECK(n, peer_open(n, i, a.b->spin_ns, &a.peer[i]) == 0, "node %u", i);
	a.b->measure->run(&a);
	for (unsigned i = 1; i < n->cfg->nodes; i++)
		NATIVE_CHECK(n, peer_end(&a.peer[i]) == 0, "node %u", i);
	free(a.samples.ns);
}

static void body(struct native_node *n)
{
	struct peer peer;

	if (n->self == ASKER) {
		measure(n);
		return;
	}
	NATIVE_CHECK(n, peer_open(n, ASKER, 0, &peer) == 0, "the yardstick");
	NATIVE_CHECK(n, peer_serve(&peer, n, command) == 0, "node 0");
}

static int run_cluster(struct bench *b)
{
	const struct measure *m = b->measure;
	const struct native_config cfg = {
		.nodes = m->nodes,
		.shards = m->shards ?: 1,
		.memory = b->memory,
		.copies = b->copies,
		.keepers = b->keepers,
		.homes = b->moving ? HOMES_LEAD : 0,
		.homes_rest_ns = m->homes_rest_ms * NSEC_PER_MSEC,
		.hold_ns = HOLD_NS,
		.spin_ns = b->spin_ns,
		.exact = !m->guess,
		.trace = b->trace[0] ? b->trace : NULL,
		.before = before,
		.body = body,
		.ctx = b,
		.lost = -1,
		.timeout_s = TIMEOUT_S,
	};

	return native_run(&cfg);
}

int bench_run(struct bench *b)
{
	const struct measure *m = b->measure;
	unsigned clusters = m->homes_rest_ms ? 2 * b->rounds : 1;
	int r = 0;

	b->memory =
		ALIGN_UP(MAX((uint64_t)m->spread * b->rounds * b->count * PAGE_BYTES, REGION_BYTES),
			 REGION_BYTES);
	if (m->setup)
		m->setup(b);
	for (unsigned i = 0; r == 0 && i < clusters; i++) {
		b->moving = i % 2;
		r = run_cluster(b);
	}
	return r;
}
