/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node's copies: what it asked for (GRANT, INV_ACK) and what is asked of it (INV, DROP,
 * FWD_GETS, FWD_GETM). Copies of pages whose home is here obey the same messages as those of
 * others.
 */
#include "dsm/proto_impl.h"

#define ALL_GRANT_FLAGS (WIRE_GRANT_WRITE | WIRE_GRANT_DATA | WIRE_GRANT_ZERO)

enum dsm_copy cache_copy(const struct dsm_proto *p, uint64_t gpa, unsigned home)
{
	const struct home_entry *e;
	const uint8_t *copy;

	if (home == p->cfg.self) {
		e = directory_home(&p->dir, gpa);
		return e ? (enum dsm_copy)e->copy : DSM_OWNED;
	}
	copy = directory_copy(&p->dir, gpa);
	return copy ? (enum dsm_copy) * copy : DSM_NONE;
}

/* The page's table exists: a fault made it, or the tracking of its region. */
static void set_copy(struct dsm_proto *p, uint64_t gpa, unsigned home, enum dsm_copy copy)
{
	if (home == p->cfg.self)
		directory_home(&p->dir, gpa)->copy = (uint8_t)copy;
	else
		*directory_copy(&p->dir, gpa) = (uint8_t)copy;
}

/* Has the transaction begun that would answer this node's request? Only the home can tell. */
static bool may_be_answered(const struct dsm_proto *p, uint64_t gpa, unsigned home)
{
	return home != p->cfg.self || directory_home(&p->dir, gpa)->requester == p->cfg.self;
}

static bool all_acked(const struct pending *pend)
{
	return (unsigned)__builtin_popcountll(pend->acked) == pend->acks;
}

static int complete(struct dsm_proto *p, struct pending *pend, unsigned home, uint64_t now)
{
	uint64_t gpa = pend->node.gpa;
	struct wire_hdr done = proto_hdr(p, WIRE_DONE, gpa, p->cfg.self);
	bool wanted = pend->wanted, over = pend->over;

	hold_begin(&p->hold, gpa, now);
	pending_del(&p->pending, pend);
	if (wanted && !p->pending.wanted)
		hold_run(&p->hold, now);
	return over ? 0 : proto_send(p, home, &done);
}

/* Write permission for the page, which is mapped read-only. */
static int unprotect(struct dsm_proto *p, uint64_t gpa, unsigned home)
{
	set_copy(p, gpa, home, DSM_OWNED);
	return proto_act_on(p, DSM_UNPROTECT, gpa);
}

/*
 * Is @h an answer to @pend? The page itself may come from any node, since the owner sends it; a
 * page that is here can only be upgraded, and only its home may say so. A reader gets write
 * permission with a zero page only, where the home grants ownership. An owner's driver that finds
 * its page to be all zero says ZERO in place of DATA.
 */
static bool grant_fits(const struct dsm_proto *p, const struct wire_hdr *h, unsigned home,
		       const struct pending *pend)
{
	bool write = h->flags & WIRE_GRANT_WRITE, data = h->flags & WIRE_GRANT_DATA;
	bool zero = h->flags & WIRE_GRANT_ZERO;
	enum dsm_copy copy = cache_copy(p, h->addr, home);

	if (pend->granted || (h->flags & ~ALL_GRANT_FLAGS) || h->len != (data ? PAGE_BYTES : 0))
		return false;
	if (data && zero)
		return false;
	if (pend->write ? !write : (write && !(zero && h->from == home)))
		return false;
	if ((!pend->write && h->acks) || __builtin_popcountll(pend->acked) > h->acks)
		return false;
	if (!data && !zero)
		return pend->write && copy == DSM_SHARED && h->from == home &&
		       !hold_demand(&p->hold, h->addr);
	return copy == DSM_NONE;
}

static int map(struct dsm_proto *p, const struct wire_hdr *h, unsigned home, const void *data,
	       bool writable)
{
	set_copy(p, h->addr, home, writable ? DSM_OWNED : DSM_SHARED);
	return proto_act(p, &(struct dsm_action){.type = DSM_MAP,
						 .gpa = h->addr,
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

int cache_grant(struct dsm_proto *p, const struct wire_hdr *h, unsigned home, const void *payload,
		uint64_t now)
{
	struct pending *pend = pending_find(&p->pending, h->addr);
	bool arrives = h->flags & (WIRE_GRANT_DATA | WIRE_GRANT_ZERO), writable;
	int r = 0;

	if (!pend || !may_be_answered(p, h->addr, home) || !grant_fits(p, h, home, pend))
		return -EPROTO;
	count_grant(p, h);
	pend->granted = true;
	pend->acks = h->acks;
	pend->over = h->from == home && home != p->cfg.self && !h->acks;
	writable = (h->flags & WIRE_GRANT_WRITE) && all_acked(pend);
	if (arrives)
		r = map(p, h, home, h->flags & WIRE_GRANT_DATA ? payload : NULL, writable);
	else if (writable)
		r = unprotect(p, h->addr, home);
	if (r < 0 || !all_acked(pend))
		return r;
	return complete(p, pend, home, now);
}

int cache_ack(struct dsm_proto *p, const struct wire_hdr *h, unsigned home, uint64_t now)
{
	struct pending *pend = pending_find(&p->pending, h->addr);
	int r;

	/* After the grant some are missing, else the request would be gone. */
	if (!pend || !pend->write || h->from == home || (pend->acked & node_bit(h->from)) ||
	    !may_be_answered(p, h->addr, home))
		return -EPROTO;
	pend->acked |= node_bit(h->from);
	if (!pend->granted || !all_acked(pend))
		return 0;
	r = unprotect(p, h->addr, home);
	return r < 0 ? r : complete(p, pend, home, now);
}

/* Does the copy go with @h, and nobody get it? */
static bool is_last_word(const struct wire_hdr *h)
{
	return h->type == WIRE_INV || h->type == WIRE_DROP;
}

int cache_demand(struct dsm_proto *p, const struct wire_hdr *h, unsigned home, uint64_t now)
{
	enum dsm_copy copy = cache_copy(p, h->addr, home);
	const struct pending *pend = pending_find(&p->pending, h->addr);

	/* Acknowledgements are missing: until our DONE, the page's transaction is ours. */
	if (pend && pend->granted)
		return -EPROTO;
	/* The home asks an owner for its page; it never just invalidates it. */
	if (copy == DSM_NONE || (is_last_word(h) && copy == DSM_OWNED))
		return -EPROTO;
	if (home == p->cfg.self && !directory_home(&p->dir, h->addr))
		return -EPROTO;
	if (hold_demand(&p->hold, h->addr))
		return -EPROTO;
	/* A request of our own for the page comes after this one: to keep the page delays both. */
	if (!pend && hold_defer(&p->hold, h, now)) {
		p->stats.held++;
		return 0;
	}
	return cache_serve(p, h, home);
}

int cache_urge(struct dsm_proto *p, const struct wire_hdr *h)
{
	hold_urge(&p->hold, h->addr, (struct ticket){.number = h->ticket, .node = h->ticket_node});
	return 0;
}

/*
 * An invalidation is acknowledged to the writer, the end of an offered copy to the home. The home's
 * own copy is invalidated for an upgrade, which can be granted then.
 */
static int serve_last_word(struct dsm_proto *p, const struct wire_hdr *h, unsigned home)
{
	bool offered = h->type == WIRE_DROP, grants = home == p->cfg.self;
	enum wire_type type = offered ? WIRE_DROPPED : grants ? WIRE_GRANT : WIRE_INV_ACK;
	struct wire_hdr answer = proto_hdr(p, type, h->addr, h->node);
	int r;

	if (grants) {
		answer.flags = WIRE_GRANT_WRITE;
		answer.acks = h->acks;
	}
	p->stats.invalidations++;
	set_copy(p, h->addr, home, DSM_NONE);
	r = proto_act_on(p, DSM_DROP, h->addr);
	return r < 0 ? r : proto_send(p, offered ? home : h->node, &answer);
}

/*
 * Sends the page, which must not change while it is read: a writable one is protected first. The
 * copy that stays is read-only; the page that goes is taken out before it is sent.
 */
static int serve_fwd(struct dsm_proto *p, const struct wire_hdr *h, unsigned home)
{
	struct wire_hdr data = proto_hdr(p, WIRE_GRANT, h->addr, h->node);
	bool write = h->type == WIRE_FWD_GETM, owned = cache_copy(p, h->addr, home) == DSM_OWNED;
	int r = 0;

	data.flags = WIRE_GRANT_DATA | (write ? WIRE_GRANT_WRITE : 0);
	data.acks = h->acks;
	data.len = PAGE_BYTES;
	p->stats.downgrades += owned && !write;
	p->stats.invalidations += write;
	set_copy(p, h->addr, home, write ? DSM_NONE : DSM_SHARED);
	if (owned)
		r = proto_act_on(p, DSM_PROTECT, h->addr);
	return r < 0 ? r : proto_send(p, h->node, &data);
}

int cache_serve(struct dsm_proto *p, const struct wire_hdr *h, unsigned home)
{
	int r = is_last_word(h) ? serve_last_word(p, h, home) : serve_fwd(p, h, home);

	return r < 0 || home != p->cfg.self ? r : home_gave(p, h);
}
