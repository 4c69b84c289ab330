/* SPDX-License-Identifier: Apache-2.0 */
/* Entry points of the protocol core: faults, messages, time. Theory of operation: proto.h. */
#include "dsm/proto_impl.h"

#define MAX_PENDING (1U << 20)
#define MAX_GPA	    (UINT64_C(1) << 52) /* of x86-64; a machine has less: GPA_LIMIT */

/* Pages that a turn protects: some rounds of what the node may ask for; with more, the oldest not.
 */
#define HOLDS(max_pending) (4 * (max_pending) + 64)

int dsm_proto_new(const struct dsm_proto_config *cfg, struct dsm_proto **ret)
{
	struct dsm_proto *p;

	if (cfg->nodes < 1 || cfg->nodes > MAX_NODES || cfg->self >= cfg->nodes || !cfg->home ||
	    !cfg->emit || cfg->max_pending < 1 || cfg->max_pending > MAX_PENDING ||
	    cfg->gpa_end == 0 || cfg->gpa_end > MAX_GPA)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->cfg = *cfg;
	p->region = calloc((cfg->gpa_end >> REGION_SHIFT) + 1, sizeof(p->region[0]));
	hold_init(&p->turn, HOLDS(cfg->max_pending), cfg->hold_ns, cfg->self);
	if (!p->region || directory_init(&p->dir, cfg->gpa_end) ||
	    underway_init(&p->underway, cfg->max_pending + HOLDS(cfg->max_pending)) ||
	    requests_init(&p->requests, cfg->nodes, cfg->max_pending)) {
		dsm_proto_free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

void dsm_proto_free(struct dsm_proto *p)
{
	if (!p)
		return;
	directory_free(&p->dir, p->cfg.gpa_end);
	underway_free(&p->underway);
	requests_free(&p->requests);
	free(p->region);
	free(p);
}

int proto_fail(struct dsm_proto *p, int error)
{
	p->dead = error;
	return error;
}

int proto_act(struct dsm_proto *p, const struct dsm_action *a)
{
	int r = p->cfg.emit(p->cfg.ctx, a);

	return r < 0 ? proto_fail(p, r) : 0;
}

int proto_act_on(struct dsm_proto *p, enum dsm_action_type type, uint64_t gpa)
{
	return proto_act(p, &(struct dsm_action){.type = type, .gpa = gpa});
}

struct wire_hdr proto_hdr(const struct dsm_proto *p, enum wire_type type, uint64_t gpa,
			  unsigned node)
{
	return (struct wire_hdr){
		.type = (uint8_t)type,
		.from = (uint8_t)p->cfg.self,
		.epoch = p->cfg.epoch,
		.node = (uint8_t)node,
		.addr = gpa,
	};
}

int proto_send(struct dsm_proto *p, unsigned to, const struct wire_hdr *h)
{
	bool data = h->flags & WIRE_GRANT_DATA, gives = data && h->flags & WIRE_GRANT_WRITE;

	if (to == p->cfg.self) {
		assert(!p->has_to_self);
		p->to_self = *h;
		p->has_to_self = true;
		return 0;
	}
	if (data)
		p->stats.bytes_sent += PAGE_BYTES;
	return proto_act(p, &(struct dsm_action){.type = gives ? DSM_GIVE : DSM_SEND,
						 .gpa = h->addr,
						 .send = {.to = (uint16_t)to, .hdr = *h}});
}

int proto_home(const struct dsm_proto *p, uint64_t gpa)
{
	int home, moved;

	if (gpa >= p->cfg.gpa_end || gpa % PAGE_BYTES)
		return -1;
	home = p->cfg.home(p->cfg.ctx, gpa);
	if (home < 0 || home >= (int)p->cfg.nodes)
		return -1;
	moved = p->region[gpa >> REGION_SHIFT].home;
	return moved ? moved - 1 : home;
}

struct page_ref proto_page(const struct dsm_proto *p, uint64_t gpa, unsigned home)
{
	struct page_ref at = {.gpa = gpa, .home = home, .under = underway_find(&p->underway, gpa)};

	if (home != p->cfg.self) {
		at.copy = directory_copy(&p->dir, gpa);
		return at;
	}
	at.entry = directory_home(&p->dir, gpa);
	at.copy = at.entry ? &at.entry->copy : NULL;
	return at;
}

bool proto_enter(const struct dsm_proto *p, uint64_t gpa, struct page_ref *ret)
{
	int home = proto_home(p, gpa);

	if (home < 0)
		return false;
	*ret = proto_page(p, gpa, (unsigned)home);
	return true;
}

void proto_leave(struct dsm_proto *p, struct page_ref *at)
{
	if (at->under)
		underway_release(&p->underway, at->under);
}

void proto_ask(struct dsm_proto *p, struct page_ref *at, bool write)
{
	if (!at->under)
		at->under = underway_add(&p->underway, at->gpa);
	underway_ask(&p->underway, at->under, write);
}

static int dispatch(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h,
		    const void *payload, uint64_t now)
{
	bool at_home = at->home == p->cfg.self, from_home = at->home == h->from;
	bool by_asker = h->node == h->from, for_asker = h->node == p->cfg.self;

	switch (h->type) {
	case WIRE_GETS:
	case WIRE_GETM:
		return at_home && by_asker ? home_request(p, at, h) : -EPROTO;
	case WIRE_DONE:
		return at_home && by_asker ? home_done(p, at, h) : -EPROTO;
	case WIRE_FWD_GETS:
	case WIRE_FWD_GETM:
	case WIRE_INV:
		return from_home && !for_asker ? cache_demand(p, at, h, now) : -EPROTO;
	case WIRE_URGE:
		return from_home ? cache_urge(p, at, h) : -EPROTO;
	case WIRE_PUT:
		return at_home && by_asker ? home_put(p, at, h) : -EPROTO;
	case WIRE_DROP:
		return from_home && for_asker ? cache_demand(p, at, h, now) : -EPROTO;
	case WIRE_DROPPED:
		return at_home && by_asker ? home_dropped(p, at, h) : -EPROTO;
	case WIRE_INV_ACK:
		return for_asker ? cache_ack(p, at, h, now) : -EPROTO;
	case WIRE_GRANT:
		return for_asker ? cache_grant(p, at, h, payload, now) : -EPROTO;
	default:
		return -EPROTO;
	}
}

int proto_drain(struct dsm_proto *p, struct page_ref *at, uint64_t now)
{
	while (p->has_to_self) {
		struct wire_hdr h = p->to_self;
		int r;

		p->has_to_self = false;
		assert(h.addr == at->gpa);
		r = dispatch(p, at, &h, NULL, now);
		if (r < 0)
			return proto_fail(p, r);
	}
	return 0;
}

int dsm_proto_message(struct dsm_proto *p, const struct wire_hdr *h, const void *payload,
		      uint64_t now)
{
	struct page_ref at;
	int r;

	if (p->dead)
		return p->dead;
	if (h->from >= p->cfg.nodes || h->from == p->cfg.self || h->node >= p->cfg.nodes ||
	    h->acks >= p->cfg.nodes || h->ticket_node >= p->cfg.nodes || h->epoch != p->cfg.epoch)
		return -EPROTO;
	hold_saw(&p->turn, h->ticket);
	if (move_is_about(h))
		return move_message(p, h, payload, now);
	if (!proto_enter(p, h->addr, &at))
		return -EPROTO;
	r = dispatch(p, &at, h, payload, now);
	if (r == 0)
		r = proto_drain(p, &at, now);
	proto_leave(p, &at);
	return r;
}

/* The page is here as the fault wants it: the event is stale or came twice. */
static int serve_at_once(struct dsm_proto *p, uint64_t gpa, bool writable)
{
	int r = proto_act_on(p, writable ? DSM_UNPROTECT : DSM_WAKE, gpa);

	if (r < 0)
		return r;
	p->stats.faults_local++;
	return 1;
}

/* Is this node's copy of the page enough? */
static bool suffices(enum dsm_copy copy, bool write)
{
	return copy == DSM_OWNED || (copy == DSM_SHARED && !write);
}

/* A thread waits for the page from now on. */
static void want(struct dsm_proto *p, struct page_ref *at, uint64_t now)
{
	underway_want(&p->underway, at->under);
	hold_wait(&p->turn, now);
}

/* Serves the demand that waits. Return: 0; negative errno. */
static int serve(struct dsm_proto *p, struct page_ref *at, uint64_t now)
{
	struct wire_hdr demand = hold_take(&p->turn, at->under);
	int r;

	p->stats.held_ns += now - at->under->held;
	r = cache_serve(p, at, &demand);
	return r < 0 ? r : proto_drain(p, at, now);
}

/* Makes a request. Return: 0, also when the home was this node and has answered; negative errno. */
static int ask(struct dsm_proto *p, struct page_ref *at, bool write, bool wanted, uint64_t now)
{
	struct wire_hdr h;
	int r = page_is_demanded(at) ? serve(p, at, now) : 0; /* this request will come after it */

	if (r < 0)
		return r;
	if (at->home != p->cfg.self && !at->copy) {
		at->copy = directory_touch(&p->dir, at->gpa);
		if (!at->copy)
			return proto_fail(p, -ENOMEM);
	}
	p->stats.memory = p->dir.bytes;
	proto_ask(p, at, write);
	if (wanted)
		want(p, at, now);
	h = proto_hdr(p, write ? WIRE_GETM : WIRE_GETS, at->gpa, p->cfg.self);
	h.ticket = p->turn.ticket;
	r = proto_send(p, at->home, &h);
	return r < 0 ? r : proto_drain(p, at, now);
}

/* A thread waits for the page. Return: as dsm_proto_fault(). */
static int fault(struct dsm_proto *p, struct page_ref *at, enum dsm_want wants, uint64_t now)
{
	bool write = wants != DSM_READ;
	int r;

	if (suffices(page_copy(p, at), write)) /* nothing of a plain region is protected */
		return serve_at_once(p, at->gpa, write && at->copy);
	if (page_is_asked(at)) {
		want(p, at, now);
		underway_fault(at->under, wants == DSM_WRITE, now);
		return 0;
	}
	if (p->underway.asked == p->cfg.max_pending)
		return -EAGAIN;
	r = ask(p, at, write, true, now);
	if (r < 0)
		return r;
	if (!page_is_asked(at)) {
		p->stats.faults_local++;
		return 1;
	}
	underway_fault(at->under, wants == DSM_WRITE, now);
	p->stats.faults_remote++;
	return 0;
}

int dsm_proto_fault(struct dsm_proto *p, uint64_t gpa, enum dsm_want wants, uint64_t now)
{
	struct page_ref at;
	int r;

	if (p->dead)
		return p->dead;
	if (!proto_enter(p, ALIGN_DOWN(gpa, PAGE_BYTES), &at))
		return -EFAULT;
	r = fault(p, &at, wants, now);
	proto_leave(p, &at);
	return r;
}

int dsm_proto_prefetch(struct dsm_proto *p, uint64_t gpa, bool write, uint64_t now)
{
	struct page_ref at;
	int r;

	if (p->dead)
		return p->dead;
	if (!proto_enter(p, ALIGN_DOWN(gpa, PAGE_BYTES), &at) ||
	    suffices(page_copy(p, &at), write) || page_is_asked(&at) || page_is_demanded(&at) ||
	    p->underway.asked == p->cfg.max_pending)
		return 0;
	p->stats.prefetches++;
	r = ask(p, &at, write, false, now);
	proto_leave(p, &at);
	return r;
}

int dsm_proto_tick(struct dsm_proto *p, uint64_t now)
{
	const struct underway *u;
	struct page_ref at;

	while (!p->dead && (u = hold_ended(&p->turn, now)) != NULL) {
		at = proto_page(p, u->gpa, (unsigned)proto_home(p, u->gpa));
		serve(p, &at, now);
		proto_leave(p, &at);
	}
	return p->dead;
}

void dsm_proto_set_idle(struct dsm_proto *p, bool idle)
{
	p->turn.idle = idle;
}

void dsm_proto_yield(struct dsm_proto *p)
{
	hold_yield(&p->turn);
}

uint64_t dsm_proto_deadline(const struct dsm_proto *p)
{
	return hold_deadline(&p->turn);
}

struct turn_info dsm_proto_turn(const struct dsm_proto *p, uint64_t now)
{
	return hold_info(&p->turn, now);
}

unsigned dsm_proto_waiting(const struct dsm_proto *p)
{
	return p->underway.asked;
}

unsigned dsm_proto_unwanted(const struct dsm_proto *p)
{
	return p->underway.asked - p->underway.wanted;
}

int dsm_proto_home(const struct dsm_proto *p, uint64_t gpa)
{
	return proto_home(p, ALIGN_DOWN(gpa, PAGE_BYTES));
}

const struct dsm_stats *dsm_proto_stats(const struct dsm_proto *p)
{
	return &p->stats;
}

void dsm_proto_page(const struct dsm_proto *p, uint64_t gpa, struct dsm_page_info *ret)
{
	const struct home_entry *e;
	struct page_ref at;

	*ret = (struct dsm_page_info){.copy = DSM_NONE, .owner = -1};
	if (!proto_enter(p, ALIGN_DOWN(gpa, PAGE_BYTES), &at))
		return;
	ret->copy = page_copy(p, &at);
	ret->busy = page_is_asked(&at) || page_is_demanded(&at);
	if (at.home != p->cfg.self)
		return;
	e = at.entry;
	if (!e) {
		ret->owner = (int)at.home;
		ret->sharers = node_bit(at.home);
		return;
	}
	ret->tracked = true;
	ret->busy |= e->requester != NO_NODE;
	ret->zero = e->sharers == 0;
	ret->owner = e->owner == NO_NODE ? -1 : e->owner;
	ret->sharers = e->sharers;
}
