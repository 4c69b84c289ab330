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
	if (!p->region || directory_init(&p->dir, cfg->gpa_end) ||
	    pending_init(&p->pending, cfg->max_pending) ||
	    hold_init(&p->hold, HOLDS(cfg->max_pending), cfg->hold_ns, cfg->self) ||
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
	pending_free(&p->pending);
	hold_free(&p->hold);
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

static int dispatch(struct dsm_proto *p, const struct wire_hdr *h, const void *payload,
		    uint64_t now)
{
	int home = proto_home(p, h->addr);
	bool at_home = home == (int)p->cfg.self, from_home = home == h->from;

	if (home < 0)
		return -EPROTO;
	switch (h->type) {
	case WIRE_GETS:
	case WIRE_GETM:
		return at_home && h->node == h->from ? home_request(p, h) : -EPROTO;
	case WIRE_DONE:
		return at_home && h->node == h->from ? home_done(p, h) : -EPROTO;
	case WIRE_FWD_GETS:
	case WIRE_FWD_GETM:
	case WIRE_INV:
		return from_home && h->node != p->cfg.self ? cache_demand(p, h, (unsigned)home, now)
							   : -EPROTO;
	case WIRE_URGE:
		return from_home ? cache_urge(p, h) : -EPROTO;
	case WIRE_PUT:
		return at_home && h->node == h->from ? home_put(p, h) : -EPROTO;
	case WIRE_DROP:
		return from_home && h->node == p->cfg.self ? cache_demand(p, h, (unsigned)home, now)
							   : -EPROTO;
	case WIRE_DROPPED:
		return at_home && h->node == h->from ? home_dropped(p, h) : -EPROTO;
	case WIRE_REHOME:
		return from_home ? move_announced(p, h) : -EPROTO;
	case WIRE_REHOME_ACK:
		return at_home ? move_acked(p, h, now) : -EPROTO;
	case WIRE_HOME:
		return at_home ? move_came(p, h, payload, now) : -EPROTO;
	case WIRE_INV_ACK:
		return h->node == p->cfg.self ? cache_ack(p, h, (unsigned)home, now) : -EPROTO;
	case WIRE_GRANT:
		return h->node == p->cfg.self ? cache_grant(p, h, (unsigned)home, payload, now)
					      : -EPROTO;
	default:
		return -EPROTO;
	}
}

int proto_drain(struct dsm_proto *p, uint64_t now)
{
	while (p->has_to_self) {
		struct wire_hdr h = p->to_self;
		int r;

		p->has_to_self = false;
		r = dispatch(p, &h, NULL, now);
		if (r < 0)
			return proto_fail(p, r);
	}
	return 0;
}

int dsm_proto_message(struct dsm_proto *p, const struct wire_hdr *h, const void *payload,
		      uint64_t now)
{
	int r;

	if (p->dead)
		return p->dead;
	if (h->from >= p->cfg.nodes || h->from == p->cfg.self || h->node >= p->cfg.nodes ||
	    h->acks >= p->cfg.nodes || h->ticket_node >= p->cfg.nodes || h->epoch != p->cfg.epoch)
		return -EPROTO;
	hold_saw(&p->hold, h->ticket);
	r = dispatch(p, h, payload, now);
	return r < 0 ? r : proto_drain(p, now);
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
static void want(struct dsm_proto *p, struct pending *pend, uint64_t now)
{
	pending_want(&p->pending, pend);
	hold_wait(&p->hold, now);
}

/* Serves a demand that waited. Return: 0; negative errno. */
static int serve(struct dsm_proto *p, struct hold *held, unsigned home, uint64_t now)
{
	struct wire_hdr demand = hold_take(&p->hold, held);
	int r = cache_serve(p, &demand, home);

	return r < 0 ? r : proto_drain(p, now);
}

/* Makes a request. Return: 0, also when the home was this node and has answered; negative errno. */
static int ask(struct dsm_proto *p, uint64_t page, unsigned home, bool write, bool wanted,
	       uint64_t now)
{
	struct pending *pend;
	struct wire_hdr h;
	struct hold *held = hold_demand(&p->hold, page);
	int r = held ? serve(p, held, home, now) : 0; /* this request will come after it */

	if (r < 0)
		return r;
	if (home != p->cfg.self && directory_touch(&p->dir, page) < 0)
		return proto_fail(p, -ENOMEM);
	p->stats.memory = p->dir.bytes;
	pend = pending_add(&p->pending, page, write);
	if (wanted)
		want(p, pend, now);
	h = proto_hdr(p, write ? WIRE_GETM : WIRE_GETS, page, p->cfg.self);
	h.ticket = p->hold.ticket;
	r = proto_send(p, home, &h);
	return r < 0 ? r : proto_drain(p, now);
}

int dsm_proto_fault(struct dsm_proto *p, uint64_t gpa, bool write, uint64_t now)
{
	uint64_t page = ALIGN_DOWN(gpa, PAGE_BYTES);
	int home = proto_home(p, page), r;
	struct pending *pend;

	if (p->dead)
		return p->dead;
	if (home < 0)
		return -EFAULT;
	if (suffices(cache_copy(p, page, (unsigned)home), write)) {
		bool tracked = home != (int)p->cfg.self || directory_home(&p->dir, page);

		return serve_at_once(p, page, write && tracked);
	}
	pend = pending_find(&p->pending, page);
	if (pend) {
		want(p, pend, now);
		return 0;
	}
	if (p->pending.count == p->cfg.max_pending)
		return -EAGAIN;
	r = ask(p, page, (unsigned)home, write, true, now);
	if (r < 0)
		return r;
	if (pending_find(&p->pending, page)) {
		p->stats.faults_remote++;
		return 0;
	}
	p->stats.faults_local++;
	return 1;
}

int dsm_proto_prefetch(struct dsm_proto *p, uint64_t gpa, bool write, uint64_t now)
{
	uint64_t page = ALIGN_DOWN(gpa, PAGE_BYTES);
	int home = proto_home(p, page);

	if (p->dead)
		return p->dead;
	if (home < 0 || suffices(cache_copy(p, page, (unsigned)home), write) ||
	    pending_find(&p->pending, page) || hold_demand(&p->hold, page) ||
	    p->pending.count == p->cfg.max_pending)
		return 0;
	p->stats.prefetches++;
	return ask(p, page, (unsigned)home, write, false, now);
}

int dsm_proto_tick(struct dsm_proto *p, uint64_t now)
{
	struct hold *h;

	while (!p->dead && (h = hold_ended(&p->hold, now)) != NULL)
		serve(p, h, (unsigned)proto_home(p, h->node.gpa), now);
	return p->dead;
}

void dsm_proto_set_idle(struct dsm_proto *p, bool idle)
{
	p->hold.idle = idle;
}

void dsm_proto_yield(struct dsm_proto *p)
{
	hold_yield(&p->hold);
}

uint64_t dsm_proto_deadline(const struct dsm_proto *p)
{
	return hold_deadline(&p->hold);
}

unsigned dsm_proto_waiting(const struct dsm_proto *p)
{
	return p->pending.count;
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
	uint64_t page = ALIGN_DOWN(gpa, PAGE_BYTES);
	int home = proto_home(p, page);
	const struct home_entry *e = NULL;

	*ret = (struct dsm_page_info){.copy = DSM_NONE, .owner = -1};
	if (home < 0)
		return;
	ret->copy = cache_copy(p, page, (unsigned)home);
	ret->busy = pending_find(&p->pending, page) || hold_demand(&p->hold, page);
	if (home != (int)p->cfg.self)
		return;
	e = directory_home(&p->dir, page);
	if (!e) {
		ret->owner = home;
		ret->sharers = node_bit((unsigned)home);
		return;
	}
	ret->tracked = true;
	ret->busy |= e->requester != NO_NODE;
	ret->zero = e->sharers == 0;
	ret->owner = e->owner == NO_NODE ? -1 : e->owner;
	ret->sharers = e->sharers;
}
