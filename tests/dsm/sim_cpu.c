/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual CPUs: accesses, the faults they raise, and how they wake. */
#include "tests/dsm/sim_impl.h"

#define YIELD_PERCENT 3 /* of the accesses */

void sim_choose_access(struct sim *s, struct sim_cpu *c)
{
	c->page = sim_chance(s, s->hot_percent) ? 0 : (unsigned)sim_random(s, s->pages);
	bool many = sim_chance(s, s->many_percent);
	for (unsigned i = 0; i < SIM_ALSO; i++)
		c->also[i] = many ? (unsigned)sim_random(s, s->pages) : c->page;
	c->word = (unsigned)sim_random(s, SIM_WORDS);
	c->op = !sim_chance(s, s->write_percent) ? SIM_READ
		: sim_chance(s, 50)		 ? SIM_WRITE
						 : SIM_ADD;
}

static void raise_fault(struct sim *s, unsigned node, unsigned page, bool write)
{
	if (s->faults == SIM_FAULTS)
		return;
	s->fault[s->faults++] = (struct sim_fault){
		.node = node, .page = page, .write = write, .at = s->now + sim_delay(s)};
}

/* As the kernel does it: an event for this access, and perhaps others that nobody waits for. */
static void fault(struct sim_node *n, struct sim_cpu *c)
{
	struct sim *s = n->sim;
	bool write = c->op != SIM_READ;

	if (s->faults == SIM_FAULTS) {
		c->at = s->now + s->delay;
		return;
	}
	c->waits = true;
	c->at = s->now;
	c->tries++;
	raise_fault(s, n->id, c->missing, write);
	if (sim_chance(s, s->duplicate_percent))
		raise_fault(s, n->id, c->missing, sim_chance(s, 80) ? write : !write);
	if (sim_chance(s, s->duplicate_percent / 4))
		raise_fault(s, n->id, (unsigned)sim_random(s, s->pages), sim_chance(s, 50));
}

bool sim_tracked(const struct sim_node *n, unsigned page)
{
	return sim_home(n, page) != n->id || n->tracked[sim_region(&n->sim->page[page])];
}

static int check_value(struct sim_node *n, const struct sim_cpu *c)
{
	uint64_t got = n->copy[c->page].word[c->word];
	uint64_t want = n->sim->page[c->page].golden[c->word];

	if (got == want)
		return 0;
	return sim_fail(n->sim, "node %u read %llu of page %u word %u; the last write was %llu",
			n->id, (unsigned long long)got, c->page, c->word, (unsigned long long)want);
}

/* A node is idle while all its CPUs sleep or have nothing left to do. */
static void tell_idle(struct sim_node *n)
{
	bool idle = true;

	for (unsigned i = 0; i < n->sim->cpus; i++)
		idle &= n->cpu[i].asleep || !n->cpu[i].left;
	if (idle == n->idle)
		return;
	sim_trace(n->sim, "node %u: %s", n->id, idle ? "is idle" : "is awake");
	n->sim->result->idle += idle;
	n->idle = idle;
	dsm_proto_set_idle(n->proto, idle);
}

static int perform(struct sim_node *n, struct sim_cpu *c)
{
	struct sim *s = n->sim;
	uint64_t *mine = &n->copy[c->page].word[c->word];
	uint64_t *golden = &s->page[c->page].golden[c->word];
	int r = c->op == SIM_WRITE ? 0 : check_value(n, c);

	if (r < 0)
		return r;
	if (c->op == SIM_WRITE)
		*mine = *golden = ++s->written << 20;
	if (c->op == SIM_ADD)
		*mine = *golden = *mine + 1;
	sim_trace(s, "node %u: %s page %u word %u", n->id,
		  c->op == SIM_READ    ? "reads"
		  : c->op == SIM_WRITE ? "writes"
				       : "adds to",
		  c->page, c->word);
	s->result->accesses++;
	s->result->longest = MAX(s->result->longest, s->now - c->began);
	s->result->most_tries = MAX(s->result->most_tries, c->tries);
	c->began = c->tries = 0;
	c->left--;
	c->asleep = sim_chance(s, s->sleep_percent);
	c->at = s->now + 1 + sim_random(s, c->asleep ? 10 * s->think : s->think);
	sim_choose_access(s, c);
	tell_idle(n);
	if (sim_chance(s, YIELD_PERCENT)) { /* as if it sent an interrupt */
		sim_trace(s, "node %u: yields", n->id);
		dsm_proto_yield(n->proto);
	}
	return 0;
}

static bool allowed(struct sim_node *n, unsigned page, enum sim_op op)
{
	struct sim_copy *copy = &n->copy[page];

	/* Plain memory of the home: the kernel fills it, nobody is told. */
	if (!copy->present && !sim_tracked(n, page))
		*copy = (struct sim_copy){.present = true, .writable = true};
	return copy->present && (copy->writable || op == SIM_READ);
}

/* Return: true; or false with the first page that is missing. */
static bool has_all(struct sim_node *n, struct sim_cpu *c)
{
	c->missing = c->page;
	for (unsigned i = 0; allowed(n, c->missing, c->op); i++) {
		if (i == SIM_ALSO)
			return true;
		c->missing = c->also[i];
	}
	return false;
}

int sim_access(struct sim_node *n, struct sim_cpu *c)
{
	c->asleep = false;
	c->began = c->began ? c->began : n->sim->now;
	tell_idle(n);
	if (has_all(n, c))
		return perform(n, c);
	sim_trace(n->sim, "node %u: faults on page %u, %s", n->id, c->missing,
		  c->op == SIM_READ ? "read" : "write");
	fault(n, c);
	return 0;
}

/* As a driver that guesses: any page, here or not, wanted or not. */
static int prefetch(struct sim_node *n)
{
	struct sim *s = n->sim;
	const struct dsm_stats *stats = dsm_proto_stats(n->proto);
	unsigned page = (unsigned)sim_random(s, s->pages), waiting = dsm_proto_waiting(n->proto);
	bool write = sim_chance(s, s->write_percent), asked;
	uint64_t gpa = s->page[page].gpa, messages = s->result->messages;
	struct dsm_page_info before, after;
	int r;

	sim_trace(s, "node %u: prefetches page %u, %s", n->id, page, write ? "write" : "read");
	dsm_proto_page(n->proto, gpa, &before);
	r = dsm_proto_prefetch(n->proto, gpa + sim_random(s, PAGE_BYTES), write, s->now);
	if (r < 0)
		return sim_returned(n, r, "a prefetch");
	dsm_proto_page(n->proto, gpa, &after);
	asked = dsm_proto_waiting(n->proto) > waiting || after.copy != before.copy;
	n->tally.prefetches += asked;
	if (asked && n->id != sim_home(n, page))
		n->touched[sim_region(&s->page[page])] = true;
	if (asked && (before.copy == DSM_OWNED || (before.copy == DSM_SHARED && !write)))
		return sim_fail(s, "node %u: prefetches page %u, which it has", n->id, page);
	if (!asked && s->result->messages != messages)
		return sim_fail(s, "node %u: asks for page %u again", n->id, page);
	if (stats->prefetches != n->tally.prefetches)
		return sim_fail(s, "node %u: counts %llu prefetches, not %llu", n->id,
				(unsigned long long)stats->prefetches,
				(unsigned long long)n->tally.prefetches);
	return 0;
}

int sim_take_fault(struct sim *s, unsigned index)
{
	struct sim_fault f = s->fault[index];
	struct sim_node *n = &s->node[f.node];
	unsigned before = dsm_proto_waiting(n->proto);
	int r;

	s->fault[index] = s->fault[--s->faults];
	sim_trace(s, "node %u: fault event, page %u, %s", f.node, f.page,
		  f.write ? "write" : "read");
	if (n->id != sim_home(n, f.page))
		n->touched[sim_region(&s->page[f.page])] = true;
	r = dsm_proto_fault(n->proto, s->page[f.page].gpa + sim_random(s, PAGE_BYTES), f.write,
			    s->now);
	if (r == -EAGAIN && s->failed != n) {
		raise_fault(s, f.node, f.page, f.write);
		return 0;
	}
	if (r < 0)
		return sim_returned(n, r, "a fault");
	n->tally.local += r == 1;
	n->tally.remote += r == 0 && dsm_proto_waiting(n->proto) > before;
	n->tally.joined += r == 0 && dsm_proto_waiting(n->proto) == before;
	return sim_chance(s, s->prefetch_percent) ? prefetch(n) : 0;
}

/* Who waits for the page tries again. Their events may have been read already: those are stale. */
void sim_wake(struct sim_node *n, unsigned page)
{
	struct sim *s = n->sim;

	for (unsigned i = 0; i < s->cpus; i++) {
		struct sim_cpu *c = &n->cpu[i];

		if (!c->waits || c->missing != page)
			continue;
		c->waits = false;
		c->at = s->now + sim_random(s, 3);
	}
	for (unsigned i = 0; i < s->faults;) {
		if (s->fault[i].node == n->id && s->fault[i].page == page && sim_chance(s, 50))
			s->fault[i] = s->fault[--s->faults];
		else
			i++;
	}
}
