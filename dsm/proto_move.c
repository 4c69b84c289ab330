/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Homes that move: a region of 2 MiB goes to live at another node while the guest runs.
 *
 *   old home                     new home                    all others
 *      | begins nothing more
 *      | --- REHOME --------------> | requests wait here
 *      | <-- REHOME_ACK ----------- | (or it refuses: nothing has happened)
 *      | --- REHOME ---------------------------------------------> | ask the new home from now on
 *      | <-- REHOME_ACK ------------------------------------------ |
 *      | --- HOME (directory) ----> | begins with what waits
 *
 * WHY IT IS RIGHT. A move begins when no transaction of the region is under way. A transaction is
 * over when its requester has all that others sent for it; so what is on its way for the region
 * then is GRANTs and REHOMEs of the old home, in
 * this order on each connection, and requests to it, in front of the REHOME_ACK. Therefore
 *   - a node that reads REHOME knows that the old home will not answer what it still waits for: it
 *     asks the new home again at once, and the old home may forget all that waits when the last
 *     REHOME_ACK is in. Nobody has to be told MOVED, and no request is lost or served twice;
 *   - the new home knows that it is to be one before anybody else can ask it, since the others are
 *     told after its REHOME_ACK. What comes before the directory waits;
 *   - two moves of a region cannot overtake each other: the second begins after HOME, which is sent
 *     after everybody has answered the first. So a REHOME from any node but the present home is
 *     false, and no generation is needed.
 * Copies stay where they are. Those of the old home become copies like others' (a byte each), those
 * of the new home get entries.
 *
 * LIMITS. A core moves one region at a time; any number may arrive. Requests for the region wait
 * for two round trips and a half. The home does not wait until the last transaction is over while
 * others wait: that may be held by the turn of a node (dsm/hold.h) that waits for a page of the
 * same region. Found by the simulator: such a turn ends by its time alone. A region in which
 * something is under way is moved later.
 */
#include "dsm/proto_impl.h"

#define PARTS 2
static_assert(PARTS * WIRE_HOME_PAGES == REGION_PAGES, "all of a region");

static struct region *region_of(const struct dsm_proto *p, uint64_t gpa)
{
	return &p->region[gpa >> REGION_SHIFT];
}

/* The messages that announce a move, and answer that. */
static int tell(struct dsm_proto *p, enum wire_type type, uint64_t region, unsigned new_home,
		unsigned to, uint8_t flags)
{
	struct wire_hdr h = proto_hdr(p, type, region, new_home);

	h.flags = flags;
	return proto_send(p, to, &h);
}

/* What this node waits for in the region, the new home is asked for. */
static int ask_again(struct dsm_proto *p, uint64_t region)
{
	unsigned home = (unsigned)proto_home(p, region);
	int r = 0;

	for (unsigned i = 0; r == 0 && p->underway.asked && i < REGION_PAGES; i++) {
		struct page_ref at = proto_page(p, region + i * PAGE_BYTES, home);
		struct wire_hdr h;

		if (!page_is_asked(&at))
			continue;
		h = proto_hdr(p, at.under->write ? WIRE_GETM : WIRE_GETS, at.gpa, p->cfg.self);
		h.ticket = p->turn.ticket;
		r = home == p->cfg.self ? home_request(p, &at, &h) : proto_send(p, home, &h);
	}
	return r;
}

/* ---- the old home ---- */

static bool is_idle(const struct dsm_proto *p, uint64_t region)
{
	for (unsigned i = 0; i < REGION_PAGES; i++)
		if (directory_home(&p->dir, region + i * PAGE_BYTES)->requester != NO_NODE)
			return false;
	return true;
}

int dsm_proto_move(struct dsm_proto *p, uint64_t gpa, unsigned to)
{
	uint64_t region = ALIGN_DOWN(gpa, REGION_BYTES);
	int r;

	if (p->dead)
		return p->dead;
	if (p->move.active || to >= p->cfg.nodes || to == p->cfg.self ||
	    proto_home(p, region) != (int)p->cfg.self || !directory_home(&p->dir, region) ||
	    region_of(p, region)->state != REGION_SETTLED || !is_idle(p, region))
		return 0;
	p->move = (struct move){
		.active = true, .to = (uint8_t)to, .region = region, .waiting = node_bit(to)};
	region_of(p, region)->state = REGION_LEAVING;
	r = tell(p, WIRE_REHOME, region, to, to, 0);
	return r < 0 ? r : 1;
}

/* Begins with what waits in the region, as far as that is possible. */
static int begin_all(struct dsm_proto *p, uint64_t region, uint64_t now)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < REGION_PAGES; i++) {
		struct page_ref at = proto_page(p, region + i * PAGE_BYTES, p->cfg.self);

		if (!at.entry->queue)
			continue;
		r = home_next(p, &at);
		if (r == 0) /* what it wants of this node: one message at a time */
			r = proto_drain(p, &at, now);
		proto_leave(p, &at);
	}
	return r;
}

static int send_directory(struct dsm_proto *p, uint64_t region, unsigned to)
{
	int r = 0;

	for (unsigned part = 0; r == 0 && part < PARTS; part++) {
		struct wire_home home;
		struct dsm_action a = {.type = DSM_SEND,
				       .gpa = region + part * WIRE_HOME_PAGES * PAGE_BYTES,
				       .send = {.to = (uint16_t)to, .payload = &home}};

		for (unsigned i = 0; i < WIRE_HOME_PAGES; i++) {
			const struct home_entry *e =
				directory_home(&p->dir, a.gpa + i * PAGE_BYTES);

			home.sharers[i] = e->sharers;
			home.owner[i] = e->owner;
		}
		a.send.hdr = proto_hdr(p, WIRE_HOME, a.gpa, to);
		a.send.hdr.len = sizeof(home);
		r = proto_act(p, &a);
	}
	return r;
}

/* Everybody knows: from now on this node is one of the others. */
static int hand_over(struct dsm_proto *p)
{
	uint64_t region = p->move.region;
	struct request forgotten;
	int r = send_directory(p, region, p->move.to);

	for (unsigned i = 0; r == 0 && i < REGION_PAGES; i++)
		while (requests_pop(&p->requests,
				    &directory_home(&p->dir, region + i * PAGE_BYTES)->queue,
				    &forgotten))
			;
	if (r == 0 && directory_leave(&p->dir, region) < 0)
		r = proto_fail(p, -ENOMEM);
	if (r < 0)
		return r;
	*region_of(p, region) = (struct region){.home = p->move.to + 1};
	p->move.active = false;
	p->stats.regions_left++;
	p->stats.tracked_regions--;
	p->stats.memory = p->dir.bytes;
	r = proto_act_on(p, DSM_LEFT, region);
	return r < 0 ? r : ask_again(p, region);
}

/* The new home would not have it. */
static int stay(struct dsm_proto *p, uint64_t now)
{
	p->move.active = false;
	p->stats.regions_refused++;
	region_of(p, p->move.region)->state = REGION_SETTLED;
	return begin_all(p, p->move.region, now);
}

static int acked(struct dsm_proto *p, const struct wire_hdr *h, uint64_t now)
{
	struct move *m = &p->move;
	int r = 0;

	if (!m->active || h->addr != m->region || h->node != m->to ||
	    !(m->waiting & node_bit(h->from)) || (h->flags && m->told))
		return -EPROTO;
	m->waiting &= ~node_bit(h->from);
	if (h->flags)
		return stay(p, now);
	for (unsigned i = 0; !m->told && i < p->cfg.nodes && r == 0; i++) {
		if (i == p->cfg.self || i == m->to)
			continue;
		m->waiting |= node_bit(i);
		r = tell(p, WIRE_REHOME, m->region, m->to, i, 0);
	}
	m->told = true;
	return r < 0 || m->waiting ? r : hand_over(p);
}

/* ---- all others, the new home among them ---- */

/* Nothing is under way in the region that a transaction of the old home has begun. */
static bool is_quiet(const struct dsm_proto *p, uint64_t region)
{
	for (unsigned i = 0; i < REGION_PAGES; i++) {
		const struct underway *u = underway_find(&p->underway, region + i * PAGE_BYTES);

		if (u && ((u->asked && (u->granted || u->acked)) || u->waits))
			return false;
	}
	return true;
}

static int arrive(struct dsm_proto *p, const struct wire_hdr *h)
{
	int r;

	if (p->cfg.accept && !p->cfg.accept(p->cfg.ctx, h->addr))
		return tell(p, WIRE_REHOME_ACK, h->addr, h->node, h->from, WIRE_REHOME_REFUSED);
	if (directory_arrive(&p->dir, h->addr) < 0)
		return proto_fail(p, -ENOMEM);
	*region_of(p, h->addr) = (struct region){.home = (uint8_t)(p->cfg.self + 1),
						 .state = REGION_ARRIVING,
						 .from = (uint8_t)h->from};
	p->stats.tracked_regions++;
	p->stats.memory = p->dir.bytes;
	r = proto_act_on(p, DSM_CAME, h->addr);
	if (r == 0)
		r = tell(p, WIRE_REHOME_ACK, h->addr, h->node, h->from, 0);
	return r < 0 ? r : ask_again(p, h->addr);
}

static int announced(struct dsm_proto *p, const struct wire_hdr *h)
{
	int r;

	if (h->addr % REGION_BYTES || h->node == h->from || !is_quiet(p, h->addr))
		return -EPROTO;
	if (h->node == p->cfg.self)
		return arrive(p, h);
	region_of(p, h->addr)->home = h->node + 1;
	r = tell(p, WIRE_REHOME_ACK, h->addr, h->node, h->from, 0);
	return r < 0 ? r : ask_again(p, h->addr);
}

/*
 * May this be the page's entry? It agrees with the copy that is here, and with what waits: who
 * asks has lost its copy, or wants to write to it.
 */
static bool entry_fits(const struct dsm_proto *p, const struct home_entry *e, uint64_t sharers,
		       uint8_t owner)
{
	bool owned = owner != NO_NODE;
	uint64_t self = node_bit(p->cfg.self);

	if (p->cfg.nodes < MAX_NODES && sharers >> p->cfg.nodes)
		return false;
	if (owned && (owner >= p->cfg.nodes || sharers != node_bit(owner)))
		return false;
	if (!(sharers & self) != (e->copy == DSM_NONE) ||
	    (owner == p->cfg.self) != (e->copy == DSM_OWNED))
		return false;
	return !(requests_nodes(&p->requests, e->queue, !owned) & sharers);
}

static int came(struct dsm_proto *p, const struct wire_hdr *h, const void *payload, uint64_t now)
{
	struct region *region = region_of(p, h->addr);
	uint64_t part = h->addr % REGION_BYTES / (WIRE_HOME_PAGES * PAGE_BYTES);
	struct wire_home home;
	struct home_entry *e;

	if (region->state != REGION_ARRIVING || h->from != region->from ||
	    h->addr % (WIRE_HOME_PAGES * PAGE_BYTES) || region->parts >> part & 1)
		return -EPROTO;
	memcpy(&home, payload, sizeof(home)); /* of any alignment */
	for (unsigned i = 0; i < WIRE_HOME_PAGES; i++)
		if (!entry_fits(p, directory_home(&p->dir, h->addr + i * PAGE_BYTES),
				home.sharers[i], home.owner[i]))
			return -EPROTO;
	for (unsigned i = 0; i < WIRE_HOME_PAGES; i++) {
		e = directory_home(&p->dir, h->addr + i * PAGE_BYTES);
		e->sharers = home.sharers[i];
		e->owner = home.owner[i];
	}
	region->parts |= (uint8_t)(1 << part);
	if (region->parts != (1 << PARTS) - 1)
		return 0;
	region->state = REGION_SETTLED;
	region->parts = region->from = 0;
	p->stats.regions_came++;
	return begin_all(p, ALIGN_DOWN(h->addr, REGION_BYTES), now);
}

bool move_is_about(const struct wire_hdr *h)
{
	return h->type == WIRE_REHOME || h->type == WIRE_REHOME_ACK || h->type == WIRE_HOME;
}

int move_message(struct dsm_proto *p, const struct wire_hdr *h, const void *payload, uint64_t now)
{
	int home = proto_home(p, h->addr);

	if (home < 0 || (h->type == WIRE_REHOME ? home != h->from : home != (int)p->cfg.self))
		return -EPROTO;
	switch (h->type) {
	case WIRE_REHOME:
		return announced(p, h);
	case WIRE_REHOME_ACK:
		return acked(p, h, now);
	default:
		return came(p, h, payload, now);
	}
}
