/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The home's side: one transaction a page at a time, the others queue.
 *
 * The entry is changed to what it will be after the transaction when the transaction begins; the
 * messages that make it true are on their way until DONE. That also lets a request be judged when
 * it arrives: nobody who is a sharer then can ask to read, no owner can ask for anything, because
 * a node asks only for what it has lost, and it loses pages only by transactions that the entry
 * shows already.
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

static int grant(struct dsm_proto *p, uint64_t gpa, unsigned to, uint8_t flags, unsigned acks)
{
	struct wire_hdr h = proto_hdr(p, WIRE_GRANT, gpa, to);

	h.flags = flags;
	h.acks = (uint16_t)acks;
	return proto_send(p, to, &h);
}

static int forward(struct dsm_proto *p, uint64_t gpa, unsigned source, enum wire_type type,
		   unsigned requester, unsigned acks)
{
	struct wire_hdr h = proto_hdr(p, type, gpa, requester);

	h.acks = (uint16_t)acks;
	return proto_send(p, source, &h);
}

static int invalidate(struct dsm_proto *p, uint64_t gpa, uint64_t nodes, unsigned requester)
{
	struct wire_hdr h = proto_hdr(p, WIRE_INV, gpa, requester);

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

static int begin_read(struct dsm_proto *p, struct home_entry *e, uint64_t gpa, unsigned requester)
{
	unsigned source = source_of(p, e, requester);

	e->owner = NO_NODE;
	e->sharers |= node_bit(requester);
	return forward(p, gpa, source, WIRE_FWD_GETS, requester, 0);
}

static int begin_write(struct dsm_proto *p, struct home_entry *e, uint64_t gpa, unsigned requester)
{
	uint64_t others = e->sharers & ~node_bit(requester);
	bool upgrade = others != e->sharers;
	unsigned source = upgrade ? 0 : source_of(p, e, requester);
	unsigned acks;
	int r;

	if (!upgrade)
		others &= ~node_bit(source);
	acks = (unsigned)__builtin_popcountll(others);
	set_owner(e, requester);
	if (upgrade)
		r = grant(p, gpa, requester, WIRE_GRANT_WRITE, acks);
	else
		r = forward(p, gpa, source, WIRE_FWD_GETM, requester, acks);
	return r < 0 ? r : invalidate(p, gpa, others, requester);
}

static int begin(struct dsm_proto *p, struct home_entry *e, uint64_t gpa, unsigned requester,
		 bool write)
{
	e->requester = (uint8_t)requester;
	if (requester != p->cfg.self)
		p->stats.served++;
	if (e->sharers == 0) {
		set_owner(e, requester);
		return grant(p, gpa, requester, WIRE_GRANT_WRITE | WIRE_GRANT_ZERO, 0);
	}
	return write ? begin_write(p, e, gpa, requester) : begin_read(p, e, gpa, requester);
}

static int track(struct dsm_proto *p, uint64_t gpa)
{
	uint64_t populated[REGION_PAGES / 64] = {0};
	struct dsm_action a = {
		.type = DSM_TRACK,
		.gpa = ALIGN_DOWN(gpa, REGION_BYTES),
		.track.populated = populated,
	};
	int r = proto_act(p, &a);

	if (r < 0)
		return r;
	r = directory_track(&p->dir, gpa, p->cfg.self, populated);
	if (r < 0)
		return proto_fail(p, r);
	p->stats.tracked_regions++;
	p->stats.memory = p->dir.bytes;
	return 0;
}

int home_request(struct dsm_proto *p, const struct wire_hdr *h)
{
	struct home_entry *e = directory_home(&p->dir, h->addr);
	bool write = h->type == WIRE_GETM;
	int r;

	if (!e) {
		r = track(p, h->addr);
		if (r < 0)
			return r;
		e = directory_home(&p->dir, h->addr);
	}
	if (e->owner == h->from || (!write && (e->sharers & node_bit(h->from))))
		return -EPROTO;
	if (e->requester == NO_NODE)
		return begin(p, e, h->addr, h->from, write);
	r = requests_push(&p->requests, &e->queue, h->from, write);
	if (r == 0)
		p->stats.queued++;
	return r;
}

int home_done(struct dsm_proto *p, const struct wire_hdr *h)
{
	struct home_entry *e = directory_home(&p->dir, h->addr);
	struct request next;

	if (!e || e->requester != h->from)
		return -EPROTO;
	/* What this transaction wants of the home's own copy is still to be done. */
	if (hold_demands(&p->hold, h->addr))
		return -EPROTO;
	e->requester = NO_NODE;
	if (!requests_pop(&p->requests, &e->queue, &next))
		return 0;
	return begin(p, e, h->addr, next.node, next.write);
}
