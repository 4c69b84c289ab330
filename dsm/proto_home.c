/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The home's side: one transaction a page at a time, the others queue.
 *
 * The entry is changed to what it will be after the transaction when the transaction begins; the
 * messages that make it true are on their way until it is over. That also lets a request be judged
 * when it arrives: nobody who is a sharer then can ask to read, no owner can ask for anything,
 * because a node asks only for what it has lost, and it loses pages only by transactions that the
 * entry shows already.
 *
 * A transaction is over with the home's own GRANT to another node, if that waits for nobody: what
 * the next one sends to the requester comes behind it. Every other one is over with DONE.
 */
#include "dsm/proto_impl.h"

/* Who gives the data to @requester: the owner, the home, or the next sharer after the requester. */
static unsigned source_of(const struct dsm_proto *p, const struct home_entry *e, unsigned requester)
{
	uint64_t after = requester < MAX_NODES - 1 ? e->sharers >> (requester + 1) : 0;

	if (e->owner != NO_NODE)
		return e->owner;
	if (e->sharers & node_bit(p->cfg.self))
		return p->cfg.self;
	if (after)
		return requester + 1 + (unsigned)__builtin_ctzll(after);
	return (unsigned)__builtin_ctzll(e->sharers);
}

/* What the home asks of itself is over when it has mapped it. */
static int grant(struct dsm_proto *p, struct page_ref *at, unsigned to, uint8_t flags,
		 unsigned acks)
{
	struct wire_hdr h = proto_hdr(p, WIRE_GRANT, at->gpa, to);

	h.flags = flags;
	h.acks = (uint8_t)acks;
	if (to != p->cfg.self && !acks)
		at->entry->requester = NO_NODE;
	return proto_send(p, to, &h);
}

static struct ticket entry_ticket(const struct home_entry *e)
{
	return (struct ticket){.number = e->ticket, .node = e->requester};
}

/* A demand for the transaction under way. Who waits behind it lends it its age. */
static struct wire_hdr demand(const struct dsm_proto *p, const struct page_ref *at,
			      enum wire_type type)
{
	const struct home_entry *e = at->entry;
	struct wire_hdr h = proto_hdr(p, type, at->gpa, e->requester);
	const struct ticket oldest = requests_oldest(&p->requests, e->queue, entry_ticket(e));

	h.ticket = oldest.number;
	h.ticket_node = oldest.number ? oldest.node : 0;
	return h;
}

static int forward(struct dsm_proto *p, const struct page_ref *at, unsigned source,
		   enum wire_type type, unsigned acks)
{
	struct wire_hdr h = demand(p, at, type);

	h.acks = (uint8_t)acks;
	return proto_send(p, source, &h);
}

static int invalidate(struct dsm_proto *p, const struct page_ref *at, uint64_t nodes)
{
	struct wire_hdr h = demand(p, at, WIRE_INV);

	for (; nodes; nodes &= nodes - 1) {
		int r = proto_send(p, (unsigned)__builtin_ctzll(nodes), &h);

		if (r < 0)
			return r;
	}
	return 0;
}

static void set_owner(struct home_entry *e, unsigned node)
{
	e->owner = (uint8_t)node;
	e->sharers = node_bit(node);
}

static int begin_read(struct dsm_proto *p, struct page_ref *at, const struct request *req)
{
	struct home_entry *e = at->entry;
	unsigned source = source_of(p, e, req->node);

	e->owner = NO_NODE;
	e->sharers |= node_bit(req->node);
	return forward(p, at, source, WIRE_FWD_GETS, 0);
}

/* The home's own copy goes before the GRANT, so it is not among those that acknowledge. */
static int begin_write(struct dsm_proto *p, struct page_ref *at, const struct request *req)
{
	struct home_entry *e = at->entry;
	uint64_t others = e->sharers & ~node_bit(req->node);
	bool upgrade = others != e->sharers, own = others & node_bit(p->cfg.self);
	unsigned source = upgrade ? p->cfg.self : source_of(p, e, req->node);
	unsigned acks;
	int r;

	others &= ~node_bit(source);
	acks = (unsigned)__builtin_popcountll(others);
	set_owner(e, req->node);
	if (upgrade && !own)
		r = grant(p, at, req->node, WIRE_GRANT_WRITE, acks);
	else
		r = forward(p, at, source, upgrade ? WIRE_INV : WIRE_FWD_GETM, acks);
	return r < 0 ? r : invalidate(p, at, others);
}

static int begin(struct dsm_proto *p, struct page_ref *at, const struct request *req)
{
	struct home_entry *e = at->entry;

	e->requester = req->node;
	e->ticket = req->ticket;
	if (req->node != p->cfg.self)
		p->stats.served++;
	if (e->sharers == 0) {
		set_owner(e, req->node);
		return grant(p, at, req->node, WIRE_GRANT_WRITE | WIRE_GRANT_ZERO, 0);
	}
	return req->write ? begin_write(p, at, req) : begin_read(p, at, req);
}

static int track(struct dsm_proto *p, struct page_ref *at)
{
	uint64_t populated[REGION_PAGES / 64] = {0};
	struct dsm_action a = {
		.type = DSM_TRACK,
		.gpa = ALIGN_DOWN(at->gpa, REGION_BYTES),
		.track.populated = populated,
	};
	int r = proto_act(p, &a);

	if (r < 0)
		return r;
	r = directory_track(&p->dir, at->gpa, p->cfg.self, populated);
	if (r < 0)
		return proto_fail(p, r);
	at->entry = directory_home(&p->dir, at->gpa);
	at->copy = &at->entry->copy;
	p->stats.tracked_regions++;
	p->stats.memory = p->dir.bytes;
	return 0;
}

/*
 * @req now waits behind a transaction. If it is of the oldest turn, the demands that were made are
 * as old from now on. The entry does not tell any more who was asked for a copy: all nodes are
 * told, except for the two that certainly were not (a requester that gives its copy back was).
 */
static int urge(struct dsm_proto *p, const struct page_ref *at, const struct request *req)
{
	const struct wire_hdr h = demand(p, at, WIRE_URGE);
	const struct home_entry *e = at->entry;
	int r = 0;

	if (!h.ticket || h.ticket != req->ticket || h.ticket_node != req->node)
		return 0;
	for (unsigned to = 0; to < p->cfg.nodes && r == 0; to++)
		if ((to != e->requester || entry_takes_back(e)) && to != req->node)
			r = proto_send(p, to, &h);
	return r;
}

int home_request(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h)
{
	const struct request req = {
		.node = (uint8_t)h->from, .ticket = h->ticket, .write = h->type == WIRE_GETM};
	struct home_entry *e;
	int r = at->entry ? 0 : track(p, at);

	if (r < 0)
		return r;
	e = at->entry;
	if (e->owner == h->from || (!req.write && (e->sharers & node_bit(h->from))))
		return -EPROTO;
	if (e->requester == NO_NODE && region_state(p, at->gpa) == REGION_SETTLED)
		return begin(p, at, &req);
	r = requests_push(&p->requests, &e->queue, &req);
	if (r < 0)
		return r;
	p->stats.queued++;
	return e->requester == NO_NODE ? 0 : urge(p, at, &req);
}

int home_next(struct dsm_proto *p, struct page_ref *at)
{
	struct home_entry *e = at->entry;
	struct request next;
	int r = 0;

	e->requester = NO_NODE;
	while (r == 0 && e->requester == NO_NODE && requests_pop(&p->requests, &e->queue, &next))
		r = begin(p, at, &next);
	return r;
}

int home_done(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h)
{
	const struct home_entry *e = at->entry;

	if (!e || e->requester != h->from || entry_takes_back(e))
		return -EPROTO;
	/* What this transaction wants of the home's own copy is still to be done. */
	if (page_is_demanded(at))
		return -EPROTO;
	return home_next(p, at);
}

int home_gave(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h)
{
	return h->acks ? 0 : home_next(p, at);
}
