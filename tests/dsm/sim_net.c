/* SPDX-License-Identifier: Apache-2.0 */
/* The network, and most rules that can be broken: each is a lie that a message tells. */
#include "dsm/directory.h"
#include "tests/dsm/sim_impl.h"

static bool is_lost(const struct sim *s, unsigned a, unsigned b)
{
	return s->now >= s->lose_at &&
	       ((a == s->lose_a && b == s->lose_b) || (a == s->lose_b && b == s->lose_a));
}

static int post(struct sim *s, const struct wire_hdr *h, unsigned to, const uint64_t *word,
		uint64_t delay)
{
	struct sim_message *m = &s->message[s->messages];

	if (s->messages == SIM_MESSAGES)
		return sim_fail(s, "more than %u messages under way", SIM_MESSAGES);
	*m = (struct sim_message){.hdr = *h, .to = to, .at = s->now + delay};
	if (s->cfg->rule != SIM_BREAK_ORDER) {
		uint64_t *last = &s->last[h->from][to];

		m->at = *last = MAX(*last + 1, m->at);
	}
	if (h->flags & WIRE_GRANT_DATA)
		memcpy(m->word, word, sizeof(m->word));
	s->messages++;
	return 0;
}

static struct wire_hdr forged(const struct wire_hdr *h, enum wire_type type, unsigned from)
{
	struct wire_hdr f = *h;

	f.type = (uint8_t)type;
	f.from = (uint8_t)from;
	f.flags = 0;
	f.acks = 0;
	return f;
}

/* Tells the lie of the rule that is broken. Return: true when @h is not to be sent itself. */
static bool lie(struct sim_node *n, struct wire_hdr *h, unsigned to, int *r)
{
	struct sim *s = n->sim;
	bool begins = h->type == WIRE_FWD_GETS || h->type == WIRE_FWD_GETM;
	struct wire_hdr f;

	*r = 0;
	switch (s->cfg->rule) {
	case SIM_BREAK_INV:
		f = forged(h, WIRE_INV_ACK, to);
		/* The home that asks for itself would have to hear it from inside. */
		if (h->type != WIRE_INV || h->node == to)
			return false;
		*r = post(s, &f, h->node, NULL, sim_delay(s));
		return true;
	case SIM_BREAK_DONE:
		if (h->type == WIRE_DONE)
			return true;
		f = forged(h, WIRE_DONE, h->node);
		if (begins && h->node != n->id)
			*r = post(s, &f, n->id, NULL, 1);
		return false;
	case SIM_BREAK_ACKS:
		if (h->type == WIRE_GRANT)
			h->acks = 0;
		return h->type == WIRE_INV_ACK;
	case SIM_BREAK_STALE:
		if (h->type == WIRE_GRANT || h->type == WIRE_FWD_GETM)
			h->acks = 0;
		return h->type == WIRE_INV || h->type == WIRE_INV_ACK;
	case SIM_BREAK_KEEP: /* the DROP is answered on its way */
		if (h->type != WIRE_DROP)
			return false;
		f = forged(h, WIRE_DROPPED, to);
		*r = post(s, &f, n->id, NULL, sim_delay(s));
		return true;
	case SIM_BREAK_URGE:
		return h->type == WIRE_URGE;
	case SIM_BREAK_LOSE:
		return sim_chance(s, 1);
	default:
		return false;
	}
}

/* What a driver may do with a page that is all zero. */
static void shorten_zero_page(struct sim *s, struct wire_hdr *h, const uint64_t *word)
{
	if (!(h->flags & WIRE_GRANT_DATA))
		return;
	for (unsigned i = 0; i < SIM_WORDS; i++)
		if (word[i])
			return;
	if (sim_chance(s, 50))
		return;
	h->flags = (uint8_t)((h->flags & ~WIRE_GRANT_DATA) | WIRE_GRANT_ZERO);
	h->len = 0;
}

int sim_send(struct sim_node *n, const struct wire_hdr *h, unsigned to, const uint64_t *word)
{
	struct sim *s = n->sim;
	struct wire_hdr sent = *h;
	int r;

	sim_trace(s, "node %u:   SEND %s to %u, page %d for %u, flags %u, acks %u", n->id,
		  wire_type_name(h->type), to, sim_page_at(s, h->addr), h->node, h->flags, h->acks);
	if (to >= s->nodes || to == n->id || h->from != n->id || h->epoch != SIM_EPOCH ||
	    wire_check(h, WIRE_CLASS_PAGE) < 0)
		return sim_fail(s, "node %u sends an invalid %s to %u", n->id,
				wire_type_name(h->type), to);
	n->tally.sent += h->flags & WIRE_GRANT_DATA ? PAGE_BYTES : 0;
	s->result->messages++;
	if (lie(n, &sent, to, &r) || r < 0 || is_lost(s, n->id, to))
		return r;
	shorten_zero_page(s, &sent, word);
	return post(s, &sent, to, word, sim_delay(s));
}

static void count(struct sim_node *n, const struct wire_hdr *h)
{
	n->tally.served += h->type == WIRE_GETS || h->type == WIRE_GETM;
	if (h->type != WIRE_GRANT)
		return;
	n->tally.received += h->len;
	if (h->flags & WIRE_GRANT_DATA)
		n->tally.data_grants++;
	else if (h->flags & WIRE_GRANT_ZERO)
		n->tally.zero_grants++;
	else
		n->tally.upgrade_grants++;
}

/* Where a page's entry is in the part of a directory that begins at @addr; -1 when it is not. */
static int place_in_part(const struct sim *s, unsigned page, uint64_t addr)
{
	uint64_t gpa = s->page[page].gpa, end = addr + WIRE_HOME_PAGES * PAGE_BYTES;

	return gpa >= addr && gpa < end ? (int)((gpa - addr) >> PAGE_SHIFT) : -1;
}

int sim_send_home(struct sim_node *n, const struct dsm_action *a)
{
	const struct wire_home *home = a->send.payload;
	struct sim *s = n->sim;
	unsigned before = s->messages;
	int r = sim_send(n, &a->send.hdr, a->send.to, NULL);

	for (unsigned i = 0; s->messages > before && i < s->pages; i++) {
		int at = place_in_part(s, i, a->gpa);

		s->message[before].sharers[i] = at < 0 ? 0 : home->sharers[at];
		s->message[before].owner[i] = at < 0 ? NO_NODE : home->owner[at];
	}
	return r;
}

static void directory_of(const struct sim *s, const struct sim_message *m, struct wire_home *ret)
{
	memset(ret->sharers, 0, sizeof(ret->sharers));
	memset(ret->owner, NO_NODE, sizeof(ret->owner));
	for (unsigned i = 0; i < s->pages; i++) {
		int at = place_in_part(s, i, m->hdr.addr);

		if (at < 0)
			continue;
		ret->sharers[at] = m->sharers[i];
		ret->owner[at] = m->owner[i];
	}
}

int sim_deliver(struct sim *s, unsigned index)
{
	struct sim_message m = s->message[index];
	struct sim_node *n = &s->node[m.to];
	struct wire_home home;
	int r;

	s->message[index] = s->message[--s->messages];
	if (is_lost(s, m.hdr.from, m.to))
		return 0;
	sim_trace(s, "node %u: gets %s from %u, page %d for %u", m.to, wire_type_name(m.hdr.type),
		  m.hdr.from, sim_page_at(s, m.hdr.addr), m.hdr.node);
	count(n, &m.hdr);
	if (m.hdr.type == WIRE_HOME)
		directory_of(s, &m, &home);
	r = dsm_proto_message(n->proto, &m.hdr, m.hdr.type == WIRE_HOME ? (void *)&home : m.word,
			      s->now);
	if (sim_returned(n, r, wire_type_name(m.hdr.type)) < 0)
		return -EIO;
	if (sim_give_back(n) < 0)
		return -EIO;
	if (sim_chance(s, s->yield_percent)) {
		sim_trace(s, "node %u: yields", n->id);
		dsm_proto_yield(n->proto);
	}
	return 0;
}
