/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies that go back to their home: the offer, and what the home makes of it.
 *
 * The offer changes nothing at either end, so it needs no answer and crosses with anything: the
 * home judges it by what the directory says when it arrives. A sharer's bit is cleared when its
 * transaction begins, as all entries are changed; the requester that is no sharer is the mark of
 * such a transaction. It lasts until the copy is gone: a message that just said "drop it" could be
 * on its way still while another node is granted the page, writes, and tells the sharer so by
 * another page. For the same reason DROPPED carries a stamp: the writer that comes next must not
 * write before the copy was read last.
 */
#include "dsm/proto_impl.h"

int dsm_proto_put(struct dsm_proto *p, uint64_t gpa)
{
	struct page_ref at;
	struct wire_hdr h;
	int r;

	if (p->dead)
		return p->dead;
	if (!proto_enter(p, ALIGN_DOWN(gpa, PAGE_BYTES), &at) || at.home == p->cfg.self ||
	    page_copy(p, &at) == DSM_NONE || page_is_asked(&at) || page_is_demanded(&at))
		return 0;
	h = proto_hdr(p, WIRE_PUT, at.gpa, p->cfg.self);
	r = proto_send(p, at.home, &h);
	if (r < 0)
		return r;
	p->stats.offers++;
	return 1;
}

/* As if a thread of this node wanted to write to the page. */
static int fetch(struct dsm_proto *p, struct page_ref *at)
{
	struct wire_hdr h = proto_hdr(p, WIRE_GETM, at->gpa, p->cfg.self);

	/*
	 * It will be offered again. Half of the room is kept for faults: whoever has seen that
	 * there is some may have read them before this message.
	 */
	if (p->underway.asked >= (p->cfg.max_pending + 1) / 2)
		return 0;
	proto_ask(p, at, true);
	p->stats.returns++;
	h.ticket = p->turn.ticket;
	return proto_send(p, p->cfg.self, &h);
}

int home_put(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h)
{
	struct home_entry *e = at->entry;
	struct wire_hdr drop;

	if (!e || region_state(p, at->gpa) != REGION_SETTLED || e->requester != NO_NODE ||
	    page_is_asked(at) || !(e->sharers & node_bit(h->from)))
		return 0;
	if (e->sharers == node_bit(h->from))
		return fetch(p, at);
	e->sharers &= ~node_bit(h->from);
	e->requester = (uint8_t)h->from;
	e->ticket = 0;
	p->stats.returns++;
	drop = proto_hdr(p, WIRE_DROP, at->gpa, h->from);
	return proto_send(p, h->from, &drop);
}

int home_dropped(struct dsm_proto *p, struct page_ref *at, const struct wire_hdr *h)
{
	const struct home_entry *e = at->entry;

	if (!e || e->requester != h->from || !entry_takes_back(e))
		return -EPROTO;
	return home_next(p, at);
}
