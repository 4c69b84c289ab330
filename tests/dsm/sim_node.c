/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of one node: what the core's actions do to the mappings, and whether they may. */
#include "tests/dsm/sim_impl.h"

static int illegal(struct sim_node *n, const char *action, unsigned page, const char *why)
{
	return sim_fail(n->sim, "node %u: %s of page %u, which is %s", n->id, action, page, why);
}

static int do_map(struct sim_node *n, unsigned page, const struct dsm_action *a)
{
	struct sim_copy *c = &n->copy[page];
	bool writable = a->map.writable || n->sim->cfg->rule == SIM_BREAK_WRITABLE;

	if (c->present)
		return illegal(n, "MAP", page, "mapped");
	*c = (struct sim_copy){.present = true, .writable = writable, .since = ++n->sim->mappings};
	if (a->map.data)
		memcpy(c->word, a->map.data, sizeof(c->word));
	if (n->sim->cfg->rule != SIM_BREAK_WAKE)
		sim_wake(n, page);
	return 0;
}

static int do_unprotect(struct sim_node *n, unsigned page)
{
	if (!n->copy[page].present)
		return illegal(n, "UNPROTECT", page, "not mapped");
	n->copy[page].writable = true;
	sim_wake(n, page);
	return 0;
}

static int do_protect(struct sim_node *n, unsigned page)
{
	struct sim_copy *c = &n->copy[page];

	if (!c->present || !c->writable)
		return illegal(n, "PROTECT", page, "not writable");
	if (n->sim->cfg->rule != SIM_BREAK_PROTECT)
		c->writable = false;
	n->protected_last = (int)page;
	return 0;
}

static int do_drop(struct sim_node *n, unsigned page)
{
	if (!n->copy[page].present)
		return illegal(n, "DROP", page, "not mapped");
	n->tally.drops++;
	if (n->sim->cfg->rule != SIM_BREAK_DROP)
		n->copy[page].present = n->copy[page].writable = false;
	return 0;
}

static int do_send(struct sim_node *n, unsigned page, const struct dsm_action *a)
{
	struct sim_copy *c = &n->copy[page];
	bool data = a->send.hdr.flags & WIRE_GRANT_DATA,
	     write = a->send.hdr.flags & WIRE_GRANT_WRITE;

	if (data && !c->present)
		return illegal(n, "SEND", page, "not mapped");
	if (data && !write && c->writable && n->sim->cfg->rule != SIM_BREAK_PROTECT)
		return illegal(n, "SEND", page, "writable");
	if ((data && write) != (a->type == DSM_GIVE))
		return illegal(n, "SEND", page, "to be given, or not");
	n->tally.downgrades += data && !write && n->protected_last == (int)page;
	return sim_send(n, &a->send.hdr, a->send.to, c->word);
}

static int do_give(struct sim_node *n, unsigned page, const struct dsm_action *a)
{
	int r = do_send(n, page, a);

	return r < 0 ? r : do_drop(n, page); /* at once: nobody writes between the two */
}

/* The home's plain memory becomes tracked: say what is in it. */
static int do_track(struct sim_node *n, const struct dsm_action *a)
{
	struct sim *s = n->sim;
	unsigned region = (unsigned)(a->gpa >> REGION_SHIFT);

	if (a->gpa % REGION_BYTES || dsm_proto_home(n->proto, a->gpa) != (int)n->id ||
	    n->tracked[region])
		return sim_fail(s, "node %u: TRACK of region %u", n->id, region);
	n->tracked[region] = true;
	for (unsigned i = 0; i < s->pages; i++) {
		uint64_t page = s->page[i].gpa >> PAGE_SHIFT;

		if (sim_region(&s->page[i]) != region || !n->copy[i].present)
			continue;
		a->track.populated[page % REGION_PAGES / 64] |= UINT64_C(1) << page % 64;
	}
	return 0;
}

/* It is plain again: the kernel lets all accesses through. */
static int do_untrack(struct sim_node *n, const struct dsm_action *a)
{
	struct sim *s = n->sim;
	unsigned region = (unsigned)(a->gpa >> REGION_SHIFT);

	if (a->gpa % REGION_BYTES || dsm_proto_home(n->proto, a->gpa) != (int)n->id ||
	    !n->tracked[region])
		return sim_fail(s, "node %u: UNTRACK of region %u", n->id, region);
	n->tracked[region] = false;
	for (unsigned i = 0; i < s->pages; i++) {
		if (sim_region(&s->page[i]) != region)
			continue;
		n->copy[i].writable = n->copy[i].present;
		sim_wake(n, i);
	}
	return 0;
}

static int do_move(struct sim_node *n, const struct dsm_action *a)
{
	unsigned region = (unsigned)(a->gpa >> REGION_SHIFT);
	bool came = a->type == DSM_CAME;

	sim_trace(n->sim, "node %u:   region %u %s", n->id, region, came ? "comes" : "has left");
	if (a->gpa % REGION_BYTES || n->tracked[region] == came ||
	    (dsm_proto_home(n->proto, a->gpa) == (int)n->id) != came)
		return sim_fail(n->sim, "node %u: CAME or LEFT of region %u", n->id, region);
	n->tracked[region] = came;
	n->touched[region] = !came;
	n->sim->result->moves += came;
	return 0;
}

static bool is_of_region(const struct wire_hdr *h)
{
	return h->type == WIRE_REHOME || h->type == WIRE_REHOME_ACK || h->type == WIRE_HOME;
}

static int act(struct sim_node *n, unsigned page, const struct dsm_action *a)
{
	switch (a->type) {
	case DSM_SEND:
		return do_send(n, page, a);
	case DSM_GIVE:
		return do_give(n, page, a);
	case DSM_MAP:
		return do_map(n, page, a);
	case DSM_UNPROTECT:
		return do_unprotect(n, page);
	case DSM_PROTECT:
		return do_protect(n, page);
	case DSM_DROP:
		return do_drop(n, page);
	case DSM_WAKE:
		if (!n->copy[page].present && sim_tracked(n, page))
			return illegal(n, "WAKE", page, "not mapped");
		sim_wake(n, page);
		return 0;
	default:
		break;
	}
	return -EINVAL;
}

/* Is this the action that fails? Then its node has stopped, and the others get to know. */
static bool fails(struct sim_node *n)
{
	static const int errors[] = {-ENOMEM, -EAGAIN, -ENOSPC, -EEXIST, -ENOENT, -EPIPE};
	struct sim *s = n->sim;

	if (++s->actions != s->fail_at)
		return false;
	s->failed = n;
	s->error = errors[sim_random(s, ARRAY_SIZE(errors))];
	s->lose_at = s->now;
	s->told_at = s->now + 1 + sim_random(s, 20 * s->delay);
	sim_trace(s, "node %u:   an action fails: %s", n->id, strerror(-s->error));
	return true;
}

unsigned sim_home(const struct sim_node *n, unsigned page)
{
	return (unsigned)dsm_proto_home(n->proto, n->sim->page[page].gpa);
}

int sim_emit(void *ctx, const struct dsm_action *a)
{
	static const char *const names[] = {
		[DSM_SEND] = "SEND",	   [DSM_MAP] = "MAP",	[DSM_UNPROTECT] = "UNPROTECT",
		[DSM_PROTECT] = "PROTECT", [DSM_DROP] = "DROP", [DSM_WAKE] = "WAKE",
		[DSM_TRACK] = "TRACK",	   [DSM_GIVE] = "GIVE",
	};
	struct sim_node *n = ctx;
	int page = sim_page_at(n->sim, a->gpa), protected = n->protected_last;
	int r;

	if (n->sim->failed == n)
		return sim_fail(n->sim, "node %u goes on after a failure", n->id);
	if (fails(n))
		return n->sim->error;
	if (a->type == DSM_TRACK)
		return do_track(n, a);
	if (a->type == DSM_UNTRACK)
		return do_untrack(n, a);
	if (a->type == DSM_CAME || a->type == DSM_LEFT)
		return do_move(n, a);
	if (a->type == DSM_SEND && is_of_region(&a->send.hdr))
		return a->send.hdr.type == WIRE_HOME ? sim_send_home(n, a)
						     : sim_send(n, &a->send.hdr, a->send.to, NULL);
	if (page < 0)
		return sim_fail(n->sim, "node %u: an action on page %#llx", n->id,
				(unsigned long long)a->gpa);
	if (a->type != DSM_SEND)
		sim_trace(n->sim, "node %u:   %s page %d%s", n->id, names[a->type], page,
			  a->type == DSM_MAP && a->map.writable ? " writable" : "");
	r = act(n, (unsigned)page, a);
	if (n->protected_last == protected)
		n->protected_last = -1;
	return r;
}
