/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>

#include "tests/dsm/sim_impl.h"

#define MAX_EVENTS 100000 /* a node */
#define MICROS	   NSEC_PER_USEC

static const char *const break_names[SIM_BREAKS] = {
	[SIM_BREAK_NOTHING] = "nothing",   [SIM_BREAK_INV] = "inv",
	[SIM_BREAK_WRITABLE] = "writable", [SIM_BREAK_PROTECT] = "protect",
	[SIM_BREAK_DROP] = "drop",	   [SIM_BREAK_DONE] = "done",
	[SIM_BREAK_ACKS] = "acks",	   [SIM_BREAK_WAKE] = "wake",
	[SIM_BREAK_LOSE] = "lose",	   [SIM_BREAK_STALE] = "stale",
	[SIM_BREAK_ORDER] = "order",	   [SIM_BREAK_KEEP] = "keep",
	[SIM_BREAK_URGE] = "urge",
};

const char *sim_break_name(enum sim_break rule)
{
	return rule < SIM_BREAKS ? break_names[rule] : NULL;
}

/* splitmix64: every seed is as good as another, 0 included. */
uint64_t sim_random(struct sim *s, uint64_t n)
{
	uint64_t z = s->random += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return (z ^ (z >> 31)) % n;
}

bool sim_chance(struct sim *s, unsigned percent)
{
	return sim_random(s, 100) < percent;
}

uint64_t sim_delay(struct sim *s)
{
	uint64_t d = 1 + sim_random(s, s->delay);

	return sim_chance(s, s->late_percent) ? 10 * d : d;
}

int sim_page_at(const struct sim *s, uint64_t gpa)
{
	for (unsigned i = 0; i < s->pages; i++)
		if (s->page[i].gpa == gpa)
			return (int)i;
	return -1;
}

unsigned sim_region(const struct sim_page *p)
{
	return (unsigned)(p->gpa >> REGION_SHIFT);
}

int sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->result->failure[0])
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(s->result->failure, sizeof(s->result->failure), fmt, ap);
	va_end(ap);
	sim_trace(s, "FAILURE: %s", s->result->failure);
	return -EIO;
}

void sim_trace(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->cfg->trace)
		return;
	fprintf(s->cfg->trace, "%9llu ", (unsigned long long)s->now);
	va_start(ap, fmt);
	vfprintf(s->cfg->trace, fmt, ap);
	va_end(ap);
	fputc('\n', s->cfg->trace);
}

bool sim_turns_help(const struct sim *s)
{
	return s->hold > 20 * s->delay;
}

static int home_of(void *ctx, uint64_t gpa)
{
	struct sim_node *n = ctx;

	return (int)((gpa >> REGION_SHIFT) % n->sim->nodes);
}

static bool accept(void *ctx, uint64_t gpa)
{
	struct sim_node *n = ctx;

	return sim_chance(n->sim, 80);
}

static void choose_shape(struct sim *s)
{
	s->nodes = 2 + (unsigned)sim_random(s, SIM_FEW - 1);
	s->pages = 1 + (unsigned)sim_random(s, SIM_PAGES);
	s->cpus = 1 + (unsigned)sim_random(s, SIM_CPUS);
	s->accesses = 20 + (unsigned)sim_random(s, 60);
	s->max_pending = sim_chance(s, 25) ? 1 : 1 + (unsigned)sim_random(s, 2 * SIM_PAGES);
	s->write_percent = (unsigned)sim_random(s, 100);
	s->hot_percent = (unsigned)sim_random(s, 100);
	s->late_percent = (unsigned)sim_random(s, 20);
	s->duplicate_percent = sim_chance(s, 50) ? 0 : (unsigned)sim_random(s, 50);
	s->prefetch_percent = sim_chance(s, 40) ? 0 : (unsigned)sim_random(s, 50);
	s->sleep_percent = sim_chance(s, 40) ? 0 : (unsigned)sim_random(s, 50);
	s->put_percent = sim_chance(s, 50) ? 0 : (unsigned)sim_random(s, 50);
	s->untrack_percent = sim_chance(s, 50) ? 0 : (unsigned)sim_random(s, 50);
	s->move_percent = sim_chance(s, 50) ? 0 : (unsigned)sim_random(s, 20);
	s->delay = 500 + sim_random(s, sim_chance(s, 50) ? 10 * MICROS : 200 * MICROS);
	s->think = 1 + sim_random(s, sim_chance(s, 50) ? MICROS : 100 * MICROS);
	s->hold = sim_chance(s, 40) ? 0 : 1 + sim_random(s, 100 * MICROS);
	/* Instructions that need several pages at once: only turns that outlast a request help. */
	if (sim_turns_help(s))
		s->many_percent = (unsigned)sim_random(s, 50);
	if (s->cfg->nodes) {
		s->nodes = s->cfg->nodes;
		s->accesses = MIN(s->accesses, 2000 / s->nodes);
		s->max_pending = 2 * SIM_PAGES;
	}
	if (s->cfg->fail)
		s->fail_at = 1 + sim_random(s, s->accesses * s->nodes);
	if (s->cfg->limit)
		s->limit = 1 + SIM_ALSO + (unsigned)sim_random(s, 2);
	s->lose_at = s->told_at = UINT64_MAX;
	if (s->cfg->storm) {
		s->nodes = 3 + (unsigned)sim_random(s, SIM_FEW - 2);
		s->pages = 2 + (unsigned)sim_random(s, SIM_ALSO);
		s->max_pending = 2 * SIM_PAGES;
		s->delay = 500 + sim_random(s, MICROS);
		s->hold = 100 * MICROS;
		/* Readers make writers wait for acknowledgements, too. */
		s->write_percent = sim_chance(s, 50) ? 100 : 20 + (unsigned)sim_random(s, 80);
		s->many_percent = 100;
		s->late_percent = 0;
		s->yield_percent = sim_chance(s, 50) ? 0 : 1 + (unsigned)sim_random(s, 100);
	} else if (!s->cfg->fail && sim_chance(s, 10)) {
		s->lose_at = sim_random(s, s->accesses * (s->delay + s->think));
		s->told_at = s->lose_at + sim_random(s, 20 * s->delay);
		s->lose_a = (unsigned)sim_random(s, s->nodes);
		s->lose_b = (s->lose_a + 1 + (unsigned)sim_random(s, s->nodes - 1)) % s->nodes;
	}
	snprintf(s->result->shape, sizeof(s->result->shape),
		 "%u nodes, %u CPUs each, %u pages, %u accesses, max_pending %u, delay %llu ns, "
		 "hold %llu ns, %u%% writes, %u%% of many pages, %u%% prefetches, %u%% sleep, "
		 "%u%% yields, %u%% offers, limit %u, %u%% moves%s",
		 s->nodes, s->cpus, s->pages, s->accesses, s->max_pending,
		 (unsigned long long)s->delay, (unsigned long long)s->hold, s->write_percent,
		 s->many_percent, s->prefetch_percent, s->sleep_percent, s->yield_percent,
		 s->put_percent, s->limit, s->move_percent,
		 s->lose_at == UINT64_MAX ? "" : ", a connection is lost");
}

/* Pages lie anywhere in the regions, several in one or far apart; some homes have filled theirs. */
static void place_pages(struct sim *s)
{
	const uint64_t room = REGION_PAGES / SIM_PAGES;

	for (unsigned i = 0; i < s->pages; i++) {
		uint64_t region = sim_random(s, 2 * s->nodes);
		struct sim_page *p = &s->page[i];
		struct sim_copy *c;

		p->gpa = region * REGION_BYTES + (i * room + sim_random(s, room)) * PAGE_BYTES;
		p->home = (unsigned)(region % s->nodes);
		c = &s->node[p->home].copy[i];
		if (sim_chance(s, 50)) {
			c->present = c->writable = true;
			c->word[0] = p->golden[0] = ++s->written;
		}
	}
}

static int start_node(struct sim *s, unsigned id)
{
	struct sim_node *n = &s->node[id];
	const struct dsm_proto_config cfg = {
		.self = id,
		.nodes = s->nodes,
		.epoch = SIM_EPOCH,
		.hold_ns = s->hold,
		.max_pending = s->max_pending,
		.home = home_of,
		.accept = accept,
		.emit = sim_emit,
		.ctx = n,
		.gpa_end = 2 * s->nodes * REGION_BYTES,
	};

	n->sim = s;
	n->id = id;
	n->protected_last = -1;
	for (unsigned i = 0; i < s->cpus; i++) {
		n->cpu[i] = (struct sim_cpu){.left = s->accesses, .at = sim_random(s, s->think)};
		sim_choose_access(s, &n->cpu[i]);
	}
	return dsm_proto_new(&cfg, &n->proto);
}

/* The earliest event of each kind. */
struct next {
	enum { NOTHING, MESSAGE, FAULT, ACCESS, TICK } kind;
	uint64_t at;
	unsigned index; /* of the message or fault */
	struct sim_node *node;
	struct sim_cpu *cpu;
};

static void consider_nodes(struct sim *s, struct next *best)
{
	for (unsigned i = 0; i < s->nodes; i++) {
		struct sim_node *n = &s->node[i];
		uint64_t deadline = dsm_proto_deadline(n->proto);

		if (n == s->failed)
			continue;
		if (deadline != UINT64_MAX && deadline + n->tick_delay < best->at)
			*best = (struct next){.kind = TICK,
					      .at = MAX(s->now, deadline + n->tick_delay),
					      .node = n};
		for (unsigned k = 0; k < s->cpus; k++) {
			struct sim_cpu *c = &n->cpu[k];

			if (!c->waits && c->left && c->at < best->at)
				*best = (struct next){
					.kind = ACCESS, .at = c->at, .node = n, .cpu = c};
		}
	}
}

static struct next next_event(struct sim *s)
{
	struct next best = {.kind = NOTHING, .at = UINT64_MAX};

	for (unsigned i = 0; i < s->messages; i++)
		if (s->message[i].at < best.at)
			best = (struct next){.kind = MESSAGE, .at = s->message[i].at, .index = i};
	for (unsigned i = 0; i < s->faults; i++)
		if (s->fault[i].at < best.at)
			best = (struct next){.kind = FAULT, .at = s->fault[i].at, .index = i};
	consider_nodes(s, &best);
	return best;
}

int sim_returned(struct sim_node *n, int r, const char *call)
{
	int want = n->sim->failed == n ? n->sim->error : 0;

	if (want ? r == want : r >= 0)
		return 0;
	return sim_fail(n->sim, "node %u: %s returned %d", n->id, call, r);
}

static int tick(struct sim_node *n)
{
	struct sim *s = n->sim;
	int r;

	n->tick_delay = sim_random(s, s->delay);
	sim_trace(s, "node %u: a turn has ended", n->id);
	r = dsm_proto_tick(n->proto, s->now);
	return sim_returned(n, r, "tick");
}

static int handle(struct sim *s, const struct next *e)
{
	s->now = e->at;
	switch (e->kind) {
	case MESSAGE:
		return sim_deliver(s, e->index);
	case FAULT:
		return sim_take_fault(s, e->index);
	case ACCESS:
		return sim_access(e->node, e->cpu);
	case TICK:
		return tick(e->node);
	case NOTHING:
		break;
	}
	return -EINVAL;
}

static int run(struct sim *s)
{
	for (;;) {
		struct next e = next_event(s);
		int r;

		if (e.kind == NOTHING && s->now < s->lose_at)
			return sim_check_rest(s);
		/* The ends of a lost connection stop the VM; nothing wrong was seen until now. */
		if (e.at >= s->told_at) {
			s->result->lost = !s->failed;
			s->result->failed = s->failed;
			return 0;
		}
		if (++s->result->events > MAX_EVENTS * s->nodes)
			return sim_fail(s, "no end after %u events", MAX_EVENTS * s->nodes);
		r = handle(s, &e);
		if (r == 0)
			r = sim_check_mappings(s);
		if (r == 0 && s->now < s->lose_at)
			r = sim_check_progress(s);
		if (r < 0)
			return r;
	}
}

static void collect(struct sim *s)
{
	for (unsigned i = 0; i < s->nodes; i++) {
		const struct dsm_stats *stats = dsm_proto_stats(s->node[i].proto);

		s->result->faults += stats->faults_local + stats->faults_remote;
		s->result->prefetches += stats->prefetches;
		s->result->held += stats->held;
		s->result->queued += stats->queued;
		s->result->joined += s->node[i].tally.joined;
		s->result->returns += stats->returns;
	}
}

int sim_run(const struct sim_config *cfg, struct sim_result *ret)
{
	struct sim *s = calloc(1, sizeof(*s));
	int r = 0;

	*ret = (struct sim_result){0};
	if (!s)
		return -ENOMEM;
	s->cfg = cfg;
	s->result = ret;
	s->random = cfg->seed;
	choose_shape(s);
	place_pages(s);
	for (unsigned i = 0; i < s->nodes && r == 0; i++)
		r = start_node(s, i);
	if (r == 0) {
		r = run(s);
		collect(s);
	}
	for (unsigned i = 0; i < s->nodes; i++)
		dsm_proto_free(s->node[i].proto);
	free(s);
	return r;
}
