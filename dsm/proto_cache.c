/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node's copies: what it asked for (GRANT, INV_ACK) and what is asked of it (INV, DROP,
 * FWD_GETS, FWD_GETM). Copies of pages whose home is here obey the same messages as those of
 * others.
 */
#include "dsm/proto_impl.h"

#define ALL_GRANT_FLAGS (WIRE_GRANT_WRITE | WIRE_GRANT_DATA | WIRE_GRANT_ZERO)

/* The page's table exists: a fault made it, or the tracking of its region. */
static void set_copy(struct page_ref *at, enum dsm_copy copy)
{
	*at->copy = (uint8_t)copy;
}

/* Has the transaction begun that would answer this node's request? Only the home can tell. */
static bool may_be_answered(const struct dsm_proto *p, const struct page_ref *at)
{
	return at->home != p->cfg.self || at->entry->requester == p->cfg.self;
}

static bool all_acked(const struct underway *u)
{
	return (unsigned)__builtin_popcountll(u->acked) == u->acks;
}

static int complete(struct dsm_proto *p, struct page_ref *at, uint64_t now)
{
	struct wire_hdr done = proto_hdr(p, WIRE_DONE, at->gpa, p->cfg.self);
	struct underway *u = at->under, *lost = hold_begin(&p->turn, u, now);
	bool wanted = u->wanted, over = u->over;

	if (lost)
		underway_release(&p->underway, lost);
	underway_answered(&p->underway, u);
	if (wanted && !p->underway.wanted)
		hold_run(&p->turn, now);
	return over ? 0 : proto_send(p, at->home, &done);
}

/* Write permission for the page, which is mapped read-only. */
static int unprotect(struct dsm_proto *p, struct page_ref *at)
{
	set_copy(at, DSM_OWNED);
	return proto_act(p, &(struct dsm_action){.type = DSM_UNPROTECT,
						 .gpa = at->gpa,
						 .since = underway_woke(at->under, true)});
}

/*
 * Is @h an answer to this node's request? The page itself may come from any node, since the owner
 * sends it; a page that is here can only be upgraded, and only its home may say so. A reader gets
 * write permission with a zero page only, where the home grants ownership. An owner's driver that
 * finds its page to be all zero says ZERO in place of DATA.
 */
static bool grant_fits(const struct dsm_proto *p, const struct page_ref *at,
		       const struct wire_hdr *h)
{
	const struct underway *u = at->under;
	bool write = h->flags & WIRE_GRANT_WRITE, data = h->flags & WIRE_GRANT_DATA;
	bool zero = h->flags & WIRE_GRANT_ZERO;
	enum dsm_copy copy = page_copy(p, at);

	if (u->granted || (h->flags & ~ALL_GRANT_FLAGS) || h->len != (data ? PAGE_BYTES : 0))
		return false;
	if (data && zero)
		return false;
	if (u->write ? !write : (write && !(zero && h->from == at->home)))
		return false;
	if ((!u->write && h->acks) || __builtin_popcountll(u->acked) > h->acks)
		return false;
	if (!data && !zero)
		return u->write && copy == DSM_SHARED && h->from == at->home &&
		       !page_is_demanded(at);
	return copy == DSM_NONE;
}

static int map(struct dsm_proto *p, struct page_ref *at, const void *data, bool writable)
{
	set_copy(at, writable ? DSM_OWNED : DSM_SHARED);
	return proto_act(p, &(struct dsm_action){.type = DSM_MAP,
						 .gpa = at->gpa,
						 .since = underway_woke(at->under, writable),
						 .map = {.data = data, .writable = writable}});
}

static void count_grant(struct dsm_proto *p, const struct wire_hdr *h)
{
	if (h->from == p->cfg.self)
		return;
	if (h->flags & WIRE_GRANT_DATA)
		p->stats.data_grants++;
	else if (h->flags & WIRE_GRANT_ZERO)
		p->stats.zero_grants++;
	else
		p->stats.upgrade_grants++;
	p->stats.bytes_received += h->len;
}

int cache_grant(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h,
		const void *payload, uint64_t now)
{
	struct underway *u = at->under;
	bool arrives = h->flags & (WIRE_GRANT_DATA | WIRE_GRANT_ZERO), writable;
	int r = 0;

	if (!page_is_asked(at) || !may_be_answered(p, at) || !grant_fits(p, at, h))
		return -EPROTO;
	count_grant(p, h);
	u->granted = true;
	u->acks = h->acks;
	u->over = h->from == at->home && at->home != p->cfg.self && !h->acks;
	writable = (h->flags & WIRE_GRANT_WRITE) && all_acked(u);
	if (arrives)
		r = map(p, at, h->flags & WIRE_GRANT_DATA ? payload : NULL, writable);
	else if (writable)
		r = unprotect(p, at);
	if (r < 0 || !all_acked(u))
		return r;
	return complete(p, at, now);
}

int cache_ack(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h, uint64_t now)
{
	struct underway *u = at->under;
	int r;

	/* After the grant some are missing, else the request would be gone. */
	if (!page_is_asked(at) || !u->write || h->from == at->home ||
	    (u->acked & node_bit(h->from)) || !may_be_answered(p, at))
		return -EPROTO;
	u->acked |= node_bit(h->from);
	if (!u->granted || !all_acked(u))
		return 0;
	r = unprotect(p, at);
	return r < 0 ? r : complete(p, at, now);
}

/* Does the copy go with @h, and nobody get it? */
static bool is_last_word(const struct wire_hdr *h)
{
	return h->type == WIRE_INV || h->type == WIRE_DROP;
}

int cache_demand(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h, uint64_t now)
{
	enum dsm_copy copy = page_copy(p, at);
	bool asked = page_is_asked(at);

	/* Acknowledgements are missing: until our DONE, the page's transaction is ours. */
	if (asked && at->under->granted)
		return -EPROTO;
	/* The home asks an owner for its page; it never just invalidates it. */
	if (copy == DSM_NONE || (is_last_word(h) && copy == DSM_OWNED))
		return -EPROTO;
	if (at->home == p->cfg.self && !at->entry)
		return -EPROTO;
	if (page_is_demanded(at))
		return -EPROTO;
	/* A request of our own for the page comes after this one: to keep the page delays both. */
	if (!asked && hold_defer(&p->turn, at->under, h, now)) {
		p->stats.held++;
		return 0;
	}
	return cache_serve(p, at, h);
}

int cache_urge(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h)
{
	const struct ticket ticket = {.number = h->ticket, .node = h->ticket_node};

	if (page_is_demanded(at))
		hold_urge(&p->turn, at->under, ticket);
	return 0;
}

/*
 * An invalidation is acknowledged to the writer, the end of an offered copy to the home. The home's
 * own copy is invalidated for an upgrade, which can be granted then.
 */
static int serve_last_word(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h)
{
	bool offered = h->type == WIRE_DROP, grants = at->home == p->cfg.self;
	enum wire_type type = offered ? WIRE_DROPPED : grants ? WIRE_GRANT : WIRE_INV_ACK;
	struct wire_hdr answer = proto_hdr(p, type, at->gpa, h->node);
	int r;

	if (grants) {
		answer.flags = WIRE_GRANT_WRITE;
		answer.acks = h->acks;
	}
	p->stats.invalidations++;
	set_copy(at, DSM_NONE);
	r = proto_act_on(p, DSM_DROP, at->gpa);
	return r < 0 ? r : proto_send(p, offered ? at->home : h->node, &answer);
}

/*
 * Sends the page, which must not change while it is read: a copy that stays becomes read-only
 * first, the page that goes is taken out.
 */
static int serve_fwd(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h)
{
	struct wire_hdr data = proto_hdr(p, WIRE_GRANT, at->gpa, h->node);
	bool write = h->type == WIRE_FWD_GETM, owned = page_copy(p, at) == DSM_OWNED;
	int r = 0;

	data.flags = WIRE_GRANT_DATA | (write ? WIRE_GRANT_WRITE : 0);
	data.acks = h->acks;
	data.len = PAGE_BYTES;
	p->stats.downgrades += owned && !write;
	p->stats.invalidations += write;
	set_copy(at, write ? DSM_NONE : DSM_SHARED);
	if (owned && !write)
		r = proto_act_on(p, DSM_PROTECT, at->gpa);
	return r < 0 ? r : proto_send(p, h->node, &data);
}

int cache_serve(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h)
{
	int r = is_last_word(h) ? serve_last_word(p, at, h) : serve_fwd(p, at, h);

	return r < 0 || at->home != p->cfg.self ? r : home_gave(p, at, h);
}
