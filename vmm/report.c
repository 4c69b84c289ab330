/* SPDX-License-Identifier: Apache-2.0 */
/* What a node has counted, as one JSON object. Times in microseconds unless the name says. */
#include "base/clock.h"
#include "vmm/machine.h"

static json_t *latency(const struct hist *h)
{
	return json_pack("{s:I, s:f, s:f, s:f, s:f}", "count", (json_int_t)h->count, "mean_us",
			 h->count ? (double)h->sum / (double)h->count / 1000 : 0.0, "p50_us",
			 (double)hist_percentile(h, 500) / 1000, "p99_us",
			 (double)hist_percentile(h, 990) / 1000, "max_us", (double)h->max / 1000);
}

static double in_ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static json_t *counters(const struct dsm_stats *s)
{
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"zero_grants", (json_int_t)s->zero_grants, "data_grants",
		(json_int_t)s->data_grants, "upgrade_grants", (json_int_t)s->upgrade_grants,
		"invalidations", (json_int_t)s->invalidations, "downgrades",
		(json_int_t)s->downgrades, "served", (json_int_t)s->served, "held",
		(json_int_t)s->held, "held_ms", in_ms(s->held_ns), "queued", (json_int_t)s->queued,
		"bytes_sent", (json_int_t)s->bytes_sent, "bytes_received",
		(json_int_t)s->bytes_received, "tracked_regions", (json_int_t)s->tracked_regions,
		"table_bytes", (json_int_t)s->memory, "regions_left", (json_int_t)s->regions_left,
		"regions_came", (json_int_t)s->regions_came, "regions_refused",
		(json_int_t)s->regions_refused);
}

static json_t *exits(const struct node *n)
{
	static const char *const names[VCPU_EXIT_KINDS] = {
		[VCPU_EXIT_IO] = "io",	   [VCPU_EXIT_MMIO] = "mmio",	  [VCPU_EXIT_MSR] = "msr",
		[VCPU_EXIT_HALT] = "halt", [VCPU_EXIT_WINDOW] = "window", [VCPU_EXIT_KICK] = "kick",
	};
	json_t *all = json_object();

	for (unsigned kind = 0; all && kind < VCPU_EXIT_KINDS; kind++) {
		uint64_t sum = 0;
		for (unsigned i = 0; i < n->topology.vcpus; i++)
			sum += n->vcpu[i] ? n->vcpu[i]->exits[kind] : 0;
		json_object_set_new(all, names[kind], json_integer((json_int_t)sum));
	}
	return all;
}

/* 0 as long as the clock has no frequency: a node can be asked before it has agreed on one. */
static json_int_t in_ns(const struct node *n, uint64_t ticks)
{
	return n->clock.tsc_khz ? (json_int_t)guest_tsc_to_ns(&n->clock, ticks) : 0;
}

/* What it took to keep this node's clock with node 0's. */
static json_t *time_kept(const struct node *n)
{
	uint64_t shortest = servo_shortest(&n->sync.servo);
	double uncertain, ppm = servo_ppm(&n->sync.servo, &uncertain);

	return json_pack("{s:I, s:f, s:I, s:I, s:I, s:I}", "shortest_rtt_ns",
			 n->self && shortest != UINT64_MAX ? in_ns(n, shortest) : (json_int_t)0,
			 "tsc_ppm", n->self ? -ppm : 0.0, "corrections",
			 (json_int_t)atomic_load(&n->rendezvous.steps), "worst_step_ns",
			 in_ns(n, n->sync.worst_ticks), "waits",
			 (json_int_t)atomic_load(&n->clock.waits), "waited_ns",
			 in_ns(n, atomic_load(&n->clock.waited)));
}

/*
 * Copies of other nodes' pages, and what the limit did to them. The limit is the one in force:
 * regions that came to live here have taken of it, those that left have given.
 */
static json_t *copies(const struct pager_stats *stats)
{
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I}", "limit", (json_int_t)(stats->evict.limit * PAGE_BYTES),
		"bytes", (json_int_t)(stats->evict.resident * PAGE_BYTES), "offered",
		(json_int_t)stats->evict.offered, "evicted", (json_int_t)stats->evict.evicted,
		"refaulted", (json_int_t)stats->evict.refaulted);
}

static double share(uint64_t part, uint64_t rest)
{
	return part ? (double)part / (double)(part + rest) : 0;
}

/*
 * Pages that were asked for ahead of a thread's walk (dsm/stream.h). Accuracy: how many of those
 * that were judged were right; coverage: how many of the pages that a thread needed they were.
 */
static json_t *ahead(const struct pager_stats *stats)
{
	const struct stream_stats *s = &stats->prefetch.streams;

	return json_pack("{s:I, s:I, s:I, s:f, s:f, s:I}", "asked", (json_int_t)s->asked, "right",
			 (json_int_t)s->right, "wrong", (json_int_t)s->wrong, "accuracy",
			 share(s->right, s->wrong), "coverage",
			 share(s->right, stats->dsm.faults_remote), "chained",
			 (json_int_t)stats->prefetch.chained);
}

static json_t *one_vcpu(const struct node *n, const struct vcpu *v)
{
	uint64_t waited = n->pager ? pager_waited(n->pager, atomic_load(&v->spent.tid)) : 0;
	struct vcpu_times t;

	vcpu_times(&v->spent, &t);
	return json_pack(
		"{s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "vcpu", (int)v->index, "alive_ms",
		in_ms(t.alive), "ran_ms", in_ms(t.ran), "descheduled_ms", in_ms(t.descheduled),
		"waited_ms", in_ms(waited), "asleep_ms", in_ms(t.rested[VCPU_REST_ASLEEP]),
		"device_ms", in_ms(t.rested[VCPU_REST_DEVICE]), "paused_ms",
		in_ms(t.rested[VCPU_REST_PAUSED]), "away_ms", in_ms(t.rested[VCPU_REST_AWAY]));
}

/* Where the time of the vCPUs went that this node has a thread for: cpu/vcpu_times.h. */
static json_t *vcpu_rows(const struct node *n)
{
	json_t *all = json_array();

	for (unsigned i = 0; all && i < n->topology.vcpus; i++)
		if (n->vcpu[i])
			json_array_append_new(all, one_vcpu(n, n->vcpu[i]));
	return all;
}

json_t *node_report(struct node *n)
{
	_cleanup_free_ struct pager_stats *stats = calloc(1, sizeof(*stats));
	double ran = n->run_ns ? (double)(clock_now_ns() - n->run_ns) / 1e9 : 0;

	if (!stats)
		return NULL;
	if (n->pager)
		pager_stats(n->pager, stats);
	return json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:b, s:f, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:o, "
		"s:o, s:o, s:o}",
		"name", n->cfg->nodes[n->self].name, "vcpus",
		(json_int_t)n->cfg->nodes[n->self].vcpus, "vcpus_left",
		(json_int_t)atomic_load(&n->moving.left), "vcpus_arrived",
		(json_int_t)atomic_load(&n->moving.arrived), "memory",
		(json_int_t)n->cfg->nodes[n->self].memory, "walks_read", n->kvm.trial.walks_read,
		"ran_seconds", ran, "faults_local", (json_int_t)stats->dsm.faults_local,
		"faults_remote", (json_int_t)stats->dsm.faults_remote, "prefetches",
		(json_int_t)stats->dsm.prefetches, "local", latency(&stats->local), "remote",
		latency(&stats->remote), "dsm", counters(&stats->dsm), "exits", exits(n),
		"ipis_sent", (json_int_t)atomic_load(&n->irq.sent_remote), "clock", time_kept(n),
		"copies", copies(stats), "ahead", ahead(stats), "vcpu_times", vcpu_rows(n));
}
