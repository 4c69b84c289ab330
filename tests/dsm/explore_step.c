/* SPDX-License-Identifier: Apache-2.0 */
/* One event: a core is put into its state, does it, and its actions change mappings and network. */
#include "tests/dsm/explore.h"

#include <stdarg.h>

#include "dsm/directory.h"

#define GAP 2 /* kept between tickets when faults are not limited */

int xp_fail(struct explorer *x, const char *fmt, ...)
{
	va_list ap;

	if (x->failure[0])
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(x->failure, sizeof(x->failure), fmt, ap);
	va_end(ap);
	return -EIO;
}

/* ---- actions of a core ---- */

static int send(struct xp_core *c, unsigned page, const struct dsm_action *a)
{
	struct explorer *x = c->x;
	struct xp_state *s = x->state;
	const struct wire_hdr *h = &a->send.hdr;
	uint8_t mapped = s->node[c->self].page[page].mapped;
	bool data = h->flags & WIRE_GRANT_DATA;
	const struct wire_home *home = a->send.payload;
	const uint64_t at = (xp_gpa(page) - a->gpa) >> PAGE_SHIFT; /* of HOME: in the part */
	struct xp_message m = {
		.from = (uint8_t)c->self,
		.to = (uint8_t)a->send.to,
		.page = (uint8_t)page,
		.type = h->type,
		.flags = h->flags,
		.node = h->node,
		.ticket = h->ticket,
		.acks = h->acks,
		.ticket_node = h->ticket_node,
		.fresh = data ? (mapped & XP_FRESH) != 0 : !s->written[page],
	};

	if (h->type == WIRE_HOME)
		m.part = at >= WIRE_HOME_PAGES;
	if (h->type == WIRE_HOME && !m.part) {
		m.sharers = (uint8_t)home->sharers[at];
		m.owner = home->owner[at];
	}
	/* A page that leaves is taken out, whatever it is mapped for. */
	if (data && (!(mapped & XP_PRESENT) || (a->type == DSM_SEND && (mapped & XP_WRITABLE))))
		return xp_fail(x, "node %u sends page %u, which is not mapped read-only", c->self,
			       page);
	if (!data && !(h->flags & WIRE_GRANT_ZERO))
		m.fresh = 0;
	if ((data && h->flags & WIRE_GRANT_WRITE) != (a->type == DSM_GIVE))
		return xp_fail(x, "node %u sends page %u and keeps it", c->self, page);
	if (((h->type == WIRE_GRANT && h->flags == WIRE_GRANT_WRITE) || h->type == WIRE_INV_ACK ||
	     h->type == WIRE_DROPPED) &&
	    mapped)
		return xp_fail(x, "node %u says that it has dropped page %u first", c->self, page);
	if (a->type == DSM_GIVE)
		s->node[c->self].page[page].mapped = 0;
	if (data && x->zero)
		m.flags = (uint8_t)(m.flags ^ WIRE_GRANT_DATA ^ WIRE_GRANT_ZERO);
	x->sent_page |= data;
	if (s->node[m.to].crashed || (h->type == WIRE_URGE && !x->cfg.turns))
		return 0;
	if (s->messages == XP_MESSAGES)
		return xp_fail(x, "more than %d messages", XP_MESSAGES);
	s->message[s->messages++] = m;
	return 0;
}

/* `fresh` of what is mapped now: set by take_message(). */
static int map(struct xp_core *c, struct xp_page *p, unsigned page, const struct dsm_action *a)
{
	const bool *fresh = a->map.data;

	if (p->mapped & XP_PRESENT)
		return xp_fail(c->x, "node %u maps page %u, which is mapped", c->self, page);
	p->mapped = (uint8_t)(XP_PRESENT | (a->map.writable ? XP_WRITABLE : 0));
	if (fresh ? *fresh : !c->x->state->written[page])
		p->mapped |= XP_FRESH;
	p->waits = 0;
	return 0;
}

static int track(struct xp_core *c, const struct dsm_action *a)
{
	unsigned page = (unsigned)(a->gpa >> REGION_SHIFT);

	if (c->x->state->node[c->self].page[page].mapped & XP_PRESENT)
		a->track.populated[0] |= UINT64_C(1) << (xp_gpa(page) >> PAGE_SHIFT) % 64;
	return 0;
}

static int plain(struct xp_core *c, unsigned page)
{
	struct xp_page *p = &c->x->state->node[c->self].page[page];

	if (p->mapped & XP_PRESENT)
		p->mapped |= XP_WRITABLE;
	p->waits = 0;
	return 0;
}

static int change(struct xp_core *c, unsigned page, const struct dsm_action *a)
{
	struct xp_page *p = &c->x->state->node[c->self].page[page];

	if (a->type != DSM_MAP && !(p->mapped & XP_PRESENT))
		return xp_fail(c->x, "node %u: action %d on page %u, which is not mapped", c->self,
			       a->type, page);
	switch (a->type) {
	case DSM_MAP:
		return map(c, p, page, a);
	case DSM_UNPROTECT:
		p->mapped |= XP_WRITABLE;
		p->waits = 0;
		return 0;
	case DSM_PROTECT:
		if (!(p->mapped & XP_WRITABLE))
			return xp_fail(c->x, "node %u protects page %u twice", c->self, page);
		p->mapped = (uint8_t)(p->mapped & ~XP_WRITABLE);
		return 0;
	case DSM_DROP:
		p->mapped = 0;
		return 0;
	case DSM_WAKE:
		p->waits = 0;
		return 0;
	default:
		return -EINVAL;
	}
}

static bool is_of_region(const struct dsm_action *a)
{
	return a->type == DSM_SEND &&
	       (a->send.hdr.type == WIRE_REHOME || a->send.hdr.type == WIRE_REHOME_ACK ||
		a->send.hdr.type == WIRE_HOME);
}

int xp_emit(void *ctx, const struct dsm_action *a)
{
	struct xp_core *c = ctx;
	struct explorer *x = c->x;
	unsigned page = (unsigned)(a->gpa >> REGION_SHIFT);

	if (a->type == DSM_TRACK)
		return track(c, a);
	if (a->type == DSM_UNTRACK)
		return plain(c, page);
	if (a->type == DSM_CAME || a->type == DSM_LEFT)
		return 0;
	if (page >= x->cfg.pages || (a->gpa != xp_gpa(page) && !is_of_region(a)))
		return xp_fail(x, "node %u: an action on address %#llx", c->self,
			       (unsigned long long)a->gpa);
	return a->type == DSM_SEND || a->type == DSM_GIVE ? send(c, page, a) : change(c, page, a);
}

/* ---- events ---- */

/* Where @m is about: its page, or its region. */
static uint64_t address(const struct xp_message *m)
{
	uint64_t region = m->page * REGION_BYTES;

	if (m->type == WIRE_REHOME || m->type == WIRE_REHOME_ACK)
		return region;
	if (m->type == WIRE_HOME)
		return region + m->part * WIRE_HOME_PAGES * PAGE_BYTES;
	return xp_gpa(m->page);
}

/* Of the part that @m carries: nothing is known of the pages that do not exist here. */
static void directory_of(const struct xp_message *m, struct wire_home *ret)
{
	const uint64_t at = (xp_gpa(m->page) % REGION_BYTES) >> PAGE_SHIFT;

	memset(ret->sharers, 0, sizeof(ret->sharers));
	memset(ret->owner, NO_NODE, sizeof(ret->owner));
	if (m->part)
		return;
	ret->sharers[at] = m->sharers;
	ret->owner[at] = m->owner;
}

static int take_message(struct explorer *x, struct xp_core *c, unsigned index)
{
	static const bool fresh = true, old = false;
	struct xp_state *s = x->state;
	struct xp_message m = s->message[index];
	const struct wire_hdr h = {
		.type = m.type,
		.from = m.from,
		.node = m.node,
		.flags = m.flags,
		.ticket = m.ticket,
		.acks = m.acks,
		.ticket_node = m.ticket_node,
		.addr = address(&m),
		.len = m.flags & WIRE_GRANT_DATA ? PAGE_BYTES : 0,
	};
	struct wire_home home;
	const void *payload = m.type == WIRE_HOME ? (void *)&home : m.fresh ? &fresh : &old;
	uint8_t written = s->written[m.page];
	int r;

	s->messages--;
	memmove(&s->message[index], &s->message[index + 1],
		(s->messages - index) * sizeof(s->message[0]));
	if (m.flags & WIRE_GRANT_ZERO) /* map() takes what it gets without data from here */
		s->written[m.page] = !m.fresh;
	if (m.type == WIRE_HOME)
		directory_of(&m, &home);
	r = dsm_proto_message(c->proto, &h, payload, xp_now());
	s->written[m.page] = written;
	return r < 0 ? xp_fail(x, "node %u: %s of page %u from node %u for node %u: %s", c->self,
			       wire_type_name(m.type), m.page, m.from, m.node, strerror(-r))
		     : 0;
}

static int fault(struct explorer *x, struct xp_core *c, struct xp_event e)
{
	struct xp_page *p = &x->state->node[e.node].page[e.at];
	int r;

	p->waits = 1;
	r = dsm_proto_fault(c->proto, xp_gpa(e.at) + 8, e.mode & XP_WRITE ? DSM_WRITE : DSM_READ,
			    xp_now());
	if (r == -EAGAIN) { /* the driver has not taken it yet */
		p->waits = 0;
		return 0;
	}
	if (r == 1 && p->waits)
		return xp_fail(x, "node %u: a fault on page %u is served, nobody woken", e.node,
			       e.at);
	return r < 0 ? xp_fail(x, "node %u: a fault on page %u: %s", e.node, e.at, strerror(-r))
		     : 0;
}

static void crash(struct xp_state *s, unsigned node)
{
	uint8_t kept = 0;

	memset(&s->node[node], 0, sizeof(s->node[node]));
	s->node[node].crashed = s->crashed = 1;
	for (unsigned i = 0; i < s->messages; i++)
		if (s->message[i].to != node)
			s->message[kept++] = s->message[i];
	s->messages = kept;
}

static void use(uint8_t *budget)
{
	if (*budget != XP_UNLIMITED)
		--*budget;
}

static int happen(struct explorer *x, struct xp_core *c, struct xp_event e)
{
	struct xp_node *n = &x->state->node[e.node];
	int r = 0;

	switch ((enum xp_kind)e.kind) {
	case XP_DELIVER:
		return take_message(x, c, e.at);
	case XP_TICK:
		r = dsm_proto_tick(c->proto, xp_now());
		break;
	case XP_FAULT:
		use(&n->faults);
		return fault(x, c, e);
	case XP_PREFETCH:
		use(&n->prefetches);
		r = dsm_proto_prefetch(c->proto, xp_gpa(e.at), e.mode & XP_WRITE, xp_now());
		break;
	case XP_PUT:
		use(&n->puts);
		r = dsm_proto_put(c->proto, xp_gpa(e.at));
		break;
	case XP_UNTRACK:
		r = dsm_proto_untrack(c->proto, xp_gpa(e.at));
		break;
	case XP_MOVE:
		use(&n->moves);
		r = dsm_proto_move(c->proto, xp_gpa(e.at), e.mode);
		break;
	case XP_IDLE:
		dsm_proto_set_idle(c->proto, !n->idle);
		break;
	default:
		return -EINVAL;
	}
	return r < 0 ? xp_fail(x, "node %u: event %u: %s", e.node, e.kind, strerror(-r)) : 0;
}

/* Who may write has written: every other copy is old from now on. */
static void write_pages(const struct explorer *x, struct xp_state *s)
{
	for (unsigned i = 0; i < x->cfg.nodes; i++)
		for (unsigned p = 0; p < x->cfg.pages; p++) {
			if (!(s->node[i].page[p].mapped & XP_WRITABLE))
				continue;
			s->written[p] = 1;
			for (unsigned k = 0; k < x->cfg.nodes; k++)
				s->node[k].page[p].mapped &= (uint8_t)~XP_FRESH;
			for (unsigned k = 0; k < s->messages; k++)
				if (s->message[k].page == p)
					s->message[k].fresh = 0;
			s->node[i].page[p].mapped |= XP_FRESH;
		}
}

/* ---- the canonical form ---- */

/* Visits every ticket of the state. */
static void each_ticket(const struct explorer *x, struct xp_state *s,
			void (*fn)(uint8_t *ticket, uint8_t *table), uint8_t *table)
{
	for (unsigned i = 0; i < x->cfg.nodes; i++) {
		struct xp_node *n = &s->node[i];

		fn(&n->ticket, table);
		fn(&n->newest, table);
		for (unsigned p = 0; p < x->cfg.pages; p++) {
			fn(&n->page[p].ticket, table);
			fn(&n->page[p].dticket, table);
			for (unsigned k = 0; k < n->page[p].queued; k++)
				fn(&n->page[p].queue[k].ticket, table);
		}
	}
	for (unsigned i = 0; i < s->messages; i++)
		fn(&s->message[i].ticket, table);
}

static void note(uint8_t *ticket, uint8_t *seen)
{
	seen[*ticket] = 1;
}

static void rename_ticket(uint8_t *ticket, uint8_t *name)
{
	*ticket = name[*ticket];
}

static unsigned gap(const struct explorer *x, const struct xp_state *s)
{
	unsigned left = 1;

	if (x->cfg.faults == XP_UNLIMITED)
		return GAP;
	for (unsigned i = 0; i < x->cfg.nodes; i++)
		left += s->node[i].faults;
	return left;
}

/* 0 is no ticket and keeps its name; it counts as one that others have a distance to. */
static void rename_tickets(const struct explorer *x, struct xp_state *s)
{
	uint8_t seen[256] = {0}, name[256] = {0};
	unsigned most = gap(x, s), last = 0, next = 0;
	bool fresh = false;

	if (!x->cfg.turns) { /* they mean nothing: all become 0 */
		each_ticket(x, s, rename_ticket, name);
		return;
	}
	each_ticket(x, s, note, seen);
	for (unsigned i = 0; i < x->cfg.nodes; i++)
		fresh |= !s->node[i].newest && !s->node[i].crashed;
	for (unsigned t = 1; t < 256; t++) {
		if (!seen[t])
			continue;
		next += next || fresh ? MIN(t - last, most) : 1;
		name[t] = (uint8_t)next;
		last = t;
	}
	each_ticket(x, s, rename_ticket, name);
}

static int compare(const struct explorer *x, const struct xp_message *a, const struct xp_message *b)
{
	return memcmp(a, b, x->cfg.reorder ? sizeof(*a) : 2);
}
static_assert(offsetof(struct xp_message, to) == 1, "from and to come first");

/* Stable: what a connection carries stays in order. */
static void sort_messages(const struct explorer *x, struct xp_state *s)
{
	for (unsigned i = 1; i < s->messages; i++) {
		struct xp_message m = s->message[i];
		unsigned at = i;

		for (; at > 0 && compare(x, &s->message[at - 1], &m) > 0; at--)
			s->message[at] = s->message[at - 1];
		s->message[at] = m;
	}
}

int xp_step(struct explorer *x, struct xp_state *s, struct xp_event e)
{
	struct xp_node *n = &s->node[e.node];
	struct xp_core *c = &x->core[e.node];
	int r = 0;

	x->events++;
	x->state = s;
	x->sent_page = false;
	x->zero = e.mode & XP_ZERO;
	x->refuse = e.mode & XP_REFUSE;
	if (e.kind == XP_CRASH) {
		crash(s, e.node);
	} else if (e.kind == XP_LOSE) {
		s->messages--;
		memmove(&s->message[e.at], &s->message[e.at + 1],
			(s->messages - e.at) * sizeof(s->message[0]));
	} else if (e.kind == XP_TOUCH) {
		n->page[e.at].mapped = XP_PRESENT | XP_WRITABLE;
	} else if (e.kind == XP_EXPIRE) {
		n->over = 1;
	} else {
		xp_core_put(c, n);
		r = happen(x, c, e);
		if (xp_core_get(c, n) < 0)
			return -ENOMEM;
	}
	write_pages(x, s);
	rename_tickets(x, s);
	sort_messages(x, s);
	return r;
}
