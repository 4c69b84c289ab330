/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A core as bytes, and back. Everything in struct dsm_proto that decides what it does next is here;
 * what does not (statistics, free lists, addresses, the order of hash chains, since when threads
 * wait) is left out. Pages that a turn protects no longer are left out as well: hold_defer() treats
 * them as none.
 */
#include "tests/dsm/explore.h"

#include "dsm/proto_impl.h"

/* A turn began, or ran first, at LONG_AGO if it is over; the other times are near NOW. */
#define LONG_AGO 1
#define NOW	 (UINT64_C(1) << 50)
#define LENGTH	 (UINT64_C(1) << 40)

uint64_t xp_now(void)
{
	return NOW;
}

uint64_t xp_gpa(unsigned page)
{
	return page * REGION_BYTES + 3 * PAGE_BYTES;
}

unsigned xp_home(const struct explorer *x, unsigned page)
{
	return x->cfg.apart ? page % x->cfg.nodes : 0;
}

static int home_of(void *ctx, uint64_t gpa)
{
	const struct xp_core *c = ctx;

	return (int)xp_home(c->x, (unsigned)(gpa >> REGION_SHIFT));
}

static bool accept(void *ctx, uint64_t gpa)
{
	const struct xp_core *c = ctx;

	return !c->x->refuse;
}

/* New tables for the page's region, where there is none. */
static int lend(struct xp_core *c, unsigned page)
{
	if (!c->table[page]) {
		c->table[page] = calloc(REGION_PAGES, sizeof(*c->table[page]));
		for (unsigned i = 0; c->table[page] && i < REGION_PAGES; i++)
			c->table[page][i].requester = c->table[page][i].owner = NO_NODE;
	}
	if (!c->bytes[page])
		c->bytes[page] = calloc(REGION_PAGES, sizeof(*c->bytes[page]));
	return c->table[page] && c->bytes[page] ? 0 : -ENOMEM;
}

int xp_core_new(struct explorer *x, unsigned self, dsm_emit_fn emit, struct xp_core *ret)
{
	const struct dsm_proto_config cfg = {
		.self = self,
		.nodes = x->cfg.nodes,
		.hold_ns = x->cfg.turns ? LENGTH : 0,
		.max_pending = x->cfg.max_pending,
		.home = home_of,
		.accept = accept,
		.emit = emit,
		.ctx = ret,
		.gpa_end = x->cfg.pages * REGION_BYTES,
	};

	*ret = (struct xp_core){.x = x, .self = self};
	for (unsigned i = 0; i < x->cfg.pages; i++)
		if (lend(ret, i) < 0)
			return -ENOMEM;
	return dsm_proto_new(&cfg, &ret->proto);
}

void xp_core_free(struct xp_core *c)
{
	for (unsigned i = 0; i < XP_PAGES; i++) {
		free(c->table[i]);
		free(c->bytes[i]);
		if (c->proto && i < c->x->cfg.pages)
			c->proto->dir.region[i].home = NULL;
	}
	dsm_proto_free(c->proto);
}

/* The record of the page; made, if need be. */
static struct underway *record(struct dsm_proto *p, unsigned page)
{
	struct underway *u = underway_find(&p->underway, xp_gpa(page));

	return u ?: underway_add(&p->underway, xp_gpa(page));
}

/* What an earlier state has left in the pools goes back. */
static void clear(struct xp_core *c)
{
	struct dsm_proto *p = c->proto;

	for (unsigned i = 0; i < c->x->cfg.pages; i++) {
		struct underway *u = underway_find(&p->underway, xp_gpa(i));

		if (u && u->asked)
			underway_answered(&p->underway, u);
		if (u && u->kept)
			hold_take(&p->turn, u);
		if (u)
			underway_release(&p->underway, u);
	}
	p->dead = 0;
	p->has_to_self = false;
}

static void put_home(struct xp_core *c, unsigned page, const struct xp_page *from)
{
	struct dsm_proto *p = c->proto;
	struct home_entry *e;

	c->lent[page] = p->dir.region[page].home = from->tracked ? c->table[page] : NULL;
	if (!from->tracked)
		return;
	e = directory_home(&p->dir, xp_gpa(page));
	*e = (struct home_entry){.sharers = from->sharers,
				 .owner = from->owner,
				 .requester = from->requester,
				 .copy = from->copy,
				 .ticket = from->ticket};
	for (unsigned i = 0; i < from->queued; i++)
		requests_push(&p->requests, &e->queue,
			      &(struct request){.node = from->queue[i].node,
						.ticket = from->queue[i].ticket,
						.write = from->queue[i].write});
}

static void put_region(struct xp_core *c, unsigned page, const struct xp_page *from)
{
	struct dsm_proto *p = c->proto;

	p->region[page] = (struct region){.home = from->home + 1,
					  .state = from->state,
					  .from = from->from,
					  .parts = from->parts};
	if (from->home == c->self) {
		put_home(c, page, from);
		return;
	}
	c->lent[page] = p->dir.region[page].copy = c->bytes[page];
	*directory_copy(&p->dir, xp_gpa(page)) = from->copy;
}

static void put_move(struct move *m, const struct xp_node *n)
{
	*m = (struct move){.active = n->leaves,
			   .told = n->told,
			   .to = n->leaves_to,
			   .waiting = n->waiting,
			   .region = n->leaving * REGION_BYTES};
}

static void put_pending(struct dsm_proto *p, unsigned page, const struct xp_page *from)
{
	struct underway *u;

	if (!from->pending)
		return;
	u = record(p, page);
	underway_ask(&p->underway, u, from->pending & XP_ASKED_WRITE);
	if (from->pending & XP_WANTED)
		underway_want(&p->underway, u);
	u->granted = from->pending & XP_GRANTED;
	u->acked = from->acked;
	u->acks = from->acks;
}

static void put_hold(struct dsm_proto *p, unsigned page, const struct xp_page *from)
{
	struct turn *t = &p->turn;
	struct underway *u = record(p, page);

	hold_begin(t, u, from->granted_now ? NOW - 1 : t->began - 1);
	if (from->hold == XP_QUIET)
		return;
	u->waits = true;
	u->demand = (struct wire_hdr){.type = from->type,
				      .from = from->home,
				      .node = from->node,
				      .acks = from->need,
				      .ticket = from->dticket,
				      .ticket_node = from->dticket_node,
				      .addr = xp_gpa(page)};
	list_del(&u->link);
	list_add_tail(from->hold == XP_LOUD ? &t->loud : &t->due, &u->link);
}

static void put_turn(struct turn *t, const struct xp_node *n)
{
	t->ticket = n->ticket;
	t->newest = n->newest;
	t->idle = n->idle;
	t->yielded = false;
	t->began = n->over ? LONG_AGO : NOW - 2;
	t->first_ran = !n->first_ran ? 0 : n->over ? LONG_AGO : NOW - 1;
	t->ran = n->ran ? NOW - 1 : 0;
}

void xp_core_put(struct xp_core *c, const struct xp_node *n)
{
	struct dsm_proto *p = c->proto;

	clear(c);
	put_turn(&p->turn, n);
	put_move(&p->move, n);
	for (unsigned i = 0; i < c->x->cfg.pages; i++) {
		put_region(c, i, &n->page[i]);
		put_pending(p, i, &n->page[i]);
	}
	for (unsigned place = 0; place < c->x->cfg.pages; place++)
		for (unsigned i = 0; i < c->x->cfg.pages; i++)
			if (n->page[i].hold && n->page[i].place == place)
				put_hold(p, i, &n->page[i]);
}

static void get_home(struct xp_core *c, unsigned page, struct xp_page *to)
{
	struct dsm_proto *p = c->proto;
	struct home_entry *e = directory_home(&p->dir, xp_gpa(page));
	struct request r;

	to->copy = DSM_OWNED;
	to->owner = to->requester = NO_NODE;
	to->tracked = e != NULL;
	if (!e)
		return;
	to->sharers = (uint8_t)e->sharers;
	to->owner = e->owner;
	to->requester = e->requester;
	to->ticket = e->requester == NO_NODE ? 0 : e->ticket;
	to->copy = e->copy;
	while (requests_pop(&p->requests, &e->queue, &r)) {
		to->queue[to->queued].node = r.node;
		to->queue[to->queued].ticket = r.ticket;
		to->queue[to->queued++].write = r.write;
	}
}

/* What the core has made in place of the table that it was lent, which it has freed. */
static int take_back(struct xp_core *c, unsigned page)
{
	void *now = c->proto->dir.region[page].home;

	if (now == c->lent[page])
		return 0;
	free(now);
	if (c->lent[page] == c->table[page])
		c->table[page] = NULL;
	if (c->lent[page] == c->bytes[page])
		c->bytes[page] = NULL;
	return lend(c, page);
}

static int get_region(struct xp_core *c, unsigned page, struct xp_page *to)
{
	struct dsm_proto *p = c->proto;
	const struct region *region = &p->region[page];

	to->home = region->home - 1;
	to->state = region->state;
	to->from = region->from;
	to->parts = region->parts;
	if (to->home == c->self)
		get_home(c, page, to);
	else
		to->copy = *directory_copy(&p->dir, xp_gpa(page));
	return take_back(c, page);
}

static void get_move(const struct move *m, struct xp_node *n)
{
	n->leaves = m->active;
	n->told = m->active && m->told;
	n->leaves_to = m->active ? m->to : 0;
	n->waiting = m->active ? (uint8_t)m->waiting : 0;
	n->leaving = m->active ? (uint8_t)(m->region >> REGION_SHIFT) : 0;
}

static int get_pending(struct xp_core *c, unsigned page, struct xp_page *to)
{
	const struct underway *u = underway_find(&c->proto->underway, xp_gpa(page));

	if (u && !u->asked && !u->kept)
		return xp_fail(c->x, "node %u keeps a record of page %u that is of no use", c->self,
			       page);
	if (!u || !u->asked)
		return 0;
	to->pending = (uint8_t)(XP_ASKED | (u->write ? XP_ASKED_WRITE : 0) |
				(u->wanted ? XP_WANTED : 0) | (u->granted ? XP_GRANTED : 0));
	to->acked = (uint8_t)u->acked;
	to->acks = (uint8_t)u->acks;
	return 0;
}

/* Places count from 0 in each list; of quiet ones the order does not matter: the table is large. */
static void get_holds(const struct explorer *x, const struct turn *t, const struct list *list,
		      enum xp_hold kind, struct xp_node *n)
{
	uint8_t place = 0;

	list_for_each (l, list) {
		const struct underway *u = container_of(l, struct underway, link);
		struct xp_page *to = &n->page[u->gpa >> REGION_SHIFT];
		bool now = t->ticket && u->mapped >= t->began;

		if (kind == XP_QUIET && !now)
			continue;
		to->hold = (uint8_t)kind;
		to->granted_now = now;
		to->place = kind == XP_QUIET ? 0 : place++;
		if (kind == XP_QUIET)
			continue;
		to->type = u->demand.type;
		to->node = u->demand.node;
		to->need = u->demand.acks;
		to->dticket = u->demand.ticket;
		to->dticket_node = u->demand.ticket_node;
	}
}

static void get_turn(const struct turn *t, struct xp_node *n)
{
	n->ticket = t->ticket;
	n->newest = t->newest;
	n->idle = t->idle;
	n->ran = t->ran != 0;
	n->first_ran = t->first_ran != 0;
	n->over = t->ticket && (t->first_ran ? t->first_ran : t->began) == LONG_AGO;
}

int xp_core_get(struct xp_core *c, struct xp_node *n)
{
	struct dsm_proto *p = c->proto;
	int r = 0;

	for (unsigned i = 0; i < c->x->cfg.pages; i++) {
		struct xp_page *to = &n->page[i];

		*to = (struct xp_page){.mapped = to->mapped, .waits = to->waits};
		r = r < 0 ? r : get_region(c, i, to);
		r = r < 0 ? r : get_pending(c, i, to);
	}
	get_move(&p->move, n);
	if (r < 0 || !c->x->cfg.turns)
		return r;
	get_turn(&p->turn, n);
	get_holds(c->x, &p->turn, &p->turn.quiet, XP_QUIET, n);
	get_holds(c->x, &p->turn, &p->turn.loud, XP_LOUD, n);
	get_holds(c->x, &p->turn, &p->turn.due, XP_DUE, n);
	return 0;
}
