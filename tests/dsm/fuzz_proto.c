/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol core among hostile peers: whatever they send, it answers -EPROTO or goes on, every
 * action stays inside of guest memory and legal on this node's mappings, and a refused message
 * changes nothing.
 *
 * Input: one byte of configuration, then steps of STEP bytes: a fault, the passing of time, a
 * message from nothing, or an answer to one of the last messages that the core has sent, so that
 * peers get far.
 */
#include "dsm/proto.h"
#include "tests/fuzz/fuzz.h"
#include "wire/run.h"

#define NODES	  4
#define REGIONS	  NODES
#define PAGES	  2 /* used of each region */
#define SELF	  1
#define RECENT	  8
#define STEP	  12
#define FIRST_BAD (REGIONS * REGION_BYTES)

struct victim {
	struct dsm_proto *p;
	uint64_t now;
	unsigned actions, sends;
	struct wire_hdr sent[RECENT]; /* the last ones; [sends % RECENT] is the oldest */
	bool tracked[REGIONS];
	bool present[REGIONS][PAGES], writable[REGIONS][PAGES];
};

static int home_of(void *ctx, uint64_t gpa)
{
	return (int)((gpa >> REGION_SHIFT) % NODES);
}

static void on_page(struct victim *v, const struct dsm_action *a)
{
	uint64_t region = a->gpa >> REGION_SHIFT, page = (a->gpa >> PAGE_SHIFT) % REGION_PAGES;

	fuzz_check(region < REGIONS && page < PAGES);
	bool plain = dsm_proto_home(v->p, a->gpa) == SELF && !v->tracked[region];
	bool *present = &v->present[region][page], *writable = &v->writable[region][page];

	switch (a->type) {
	case DSM_MAP:
		fuzz_check(!*present);
		*present = true;
		*writable = a->map.writable;
		break;
	case DSM_UNPROTECT:
		fuzz_check(*present);
		*writable = true;
		break;
	case DSM_PROTECT:
		fuzz_check(*present && *writable);
		*writable = false;
		break;
	case DSM_DROP:
		fuzz_check(*present && !*writable);
		*present = false;
		break;
	case DSM_GIVE:
		fuzz_check(*present);
		*present = *writable = false;
		break;
	default:
		fuzz_check(*present || plain);
	}
}

static void become_plain(struct victim *v, uint64_t region)
{
	fuzz_check(region < REGIONS && v->tracked[region]);
	v->tracked[region] = false;
	for (unsigned i = 0; i < PAGES; i++)
		v->present[region][i] = v->writable[region][i] = false;
}

static int emit(void *ctx, const struct dsm_action *a)
{
	struct victim *v = ctx;

	v->actions++;
	if (a->type == DSM_TRACK) {
		unsigned region = (unsigned)(a->gpa >> REGION_SHIFT);

		fuzz_check(region < REGIONS && !v->tracked[region]);
		v->tracked[region] = true;
		v->present[region][0] = v->writable[region][0] = true;
		a->track.populated[0] = 1;
	} else if (a->type == DSM_UNTRACK) {
		become_plain(v, a->gpa >> REGION_SHIFT);
	} else if (a->type == DSM_CAME || a->type == DSM_LEFT) {
		fuzz_check(v->tracked[a->gpa >> REGION_SHIFT] == (a->type == DSM_LEFT));
		v->tracked[a->gpa >> REGION_SHIFT] = a->type == DSM_CAME;
	} else if (a->type != DSM_SEND && a->type != DSM_GIVE) {
		on_page(v, a);
	} else {
		fuzz_check(a->send.to < NODES && a->send.to != SELF);
		v->sent[v->sends++ % RECENT] = a->send.hdr;
		if (a->send.hdr.flags & WIRE_GRANT_DATA)
			on_page(v, a);
	}
	return 0;
}

/* Mostly one of few pages, now and then no page at all. */
static uint64_t some_gpa(uint64_t dice)
{
	if (dice >= 252)
		return dice & 1 ? UINT64_MAX - dice * PAGE_BYTES : FIRST_BAD + (dice & 2);
	return dice % REGIONS * REGION_BYTES + dice / REGIONS % PAGES * PAGE_BYTES;
}

/* Mostly a node of the cluster. */
static uint8_t some_node(uint64_t dice)
{
	return (uint8_t)(dice < 248 ? dice % NODES : dice);
}

static struct wire_hdr some_message(struct fuzz_input *in)
{
	static const uint8_t types[] = {WIRE_GETS, WIRE_GETM,	 WIRE_FWD_GETS,	  WIRE_FWD_GETM,
					WIRE_INV,  WIRE_INV_ACK, WIRE_DONE,	  WIRE_GRANT,
					WIRE_URGE, WIRE_PUT,	 WIRE_DROP,	  WIRE_DROPPED,
					WIRE_HOME, WIRE_REHOME,	 WIRE_REHOME_ACK, WIRE_PING};
	struct wire_hdr h = {
		.type = types[fuzz_take(in, 1) % sizeof(types)],
		.flags = (uint8_t)fuzz_take(in, 1),
		.from = some_node(fuzz_take(in, 1)),
		.epoch = 1,
		.node = some_node(fuzz_take(in, 1)),
		.ticket = (uint8_t)fuzz_take(in, 1),
		.acks = some_node(fuzz_take(in, 1)),
		.ticket_node = some_node(fuzz_take(in, 1)),
		.addr = some_gpa(fuzz_take(in, 1)),
	};

	if (h.flags == 255)
		h.epoch = 2;
	if (h.type == WIRE_REHOME || h.type == WIRE_REHOME_ACK || h.type == WIRE_HOME)
		h.addr &= ~(h.acks & 1 ? REGION_BYTES / 2 - 1 : REGION_BYTES - 1);
	h.len = h.flags & WIRE_GRANT_DATA ? PAGE_BYTES : 0;
	return h;
}

/* What might come back for one of the last messages. */
static struct wire_hdr some_answer(const struct victim *v, struct fuzz_input *in)
{
	struct wire_hdr sent = v->sent[fuzz_take(in, 1) % MIN(v->sends, (unsigned)RECENT)];
	uint64_t dice = fuzz_take(in, 1);
	bool asked =
		sent.type == WIRE_GETS || sent.type == WIRE_GETM || (sent.node == SELF && dice & 1);
	struct wire_hdr h = {
		.type = WIRE_DONE,
		.from = sent.node,
		.epoch = 1,
		.node = sent.node,
		.addr = sent.addr,
	};

	if (sent.type == WIRE_DROP)
		h.type = WIRE_DROPPED;
	if (sent.type == WIRE_REHOME || sent.type == WIRE_REHOME_ACK) {
		h.type = sent.type == WIRE_REHOME ? WIRE_REHOME_ACK : WIRE_HOME;
		h.from = some_node(fuzz_take(in, 1));
		h.flags = h.type == WIRE_REHOME_ACK && dice % 16 == 0;
		h.addr += h.type == WIRE_HOME && dice & 1 ? REGION_BYTES / 2 : 0;
		return h;
	}
	if (!asked)
		return h;
	h.type = dice < 248 ? WIRE_GRANT : WIRE_INV_ACK;
	h.flags = h.type == WIRE_GRANT ? fuzz_take(in, 1) & 7 : 0;
	h.len = h.flags & WIRE_GRANT_DATA ? PAGE_BYTES : 0;
	h.acks = (uint8_t)(h.type == WIRE_GRANT ? fuzz_take(in, 1) % NODES : 0);
	h.from = some_node(fuzz_take(in, 1));
	return h;
}

static void check_same(const struct dsm_page_info *a, const struct dsm_page_info *b)
{
	fuzz_check(a->copy == b->copy && a->tracked == b->tracked && a->busy == b->busy);
	fuzz_check(a->zero == b->zero && a->owner == b->owner && a->sharers == b->sharers);
}

/* One that agrees with this node's copies, or (acks) does not. */
static void directory_of(const struct victim *v, const struct wire_hdr *h, struct wire_home *ret)
{
	memset(ret->sharers, 0, sizeof(ret->sharers));
	memset(ret->owner, UINT8_MAX, sizeof(ret->owner));
	for (unsigned i = 0; h->addr % REGION_BYTES == 0 && i < PAGES; i++) {
		struct dsm_page_info info;

		dsm_proto_page(v->p, h->addr + i * PAGE_BYTES, &info);
		ret->sharers[i] = (info.copy ? 1 << SELF : 0) ^ h->acks;
		ret->owner[i] = info.copy == DSM_OWNED ? SELF : h->ticket_node ?: UINT8_MAX;
	}
}

/* Return: false when the core has died, which a hostile peer may achieve: the VM stops. */
static bool receive(struct victim *v, const struct wire_hdr *h)
{
	static const uint8_t page[PAGE_BYTES];
	struct wire_home home;
	struct dsm_page_info before, after;
	unsigned actions = v->actions;

	dsm_proto_page(v->p, h->addr, &before);
	directory_of(v, h, &home);
	int r = dsm_proto_message(v->p, h, h->type == WIRE_HOME ? (void *)&home : page, v->now);
	fuzz_check(r == 0 || r == -EPROTO);
	if (r == 0 || v->actions != actions)
		return dsm_proto_tick(v->p, v->now) == 0;
	dsm_proto_page(v->p, h->addr, &after);
	check_same(&before, &after);
	return true;
}

/* What passes the transport, page by page. Return: as receive(). */
static bool receive_run(struct victim *v, struct wire_hdr h, uint64_t more)
{
	h.addr = ALIGN_DOWN(h.addr, REGION_BYTES);
	h.more = (uint8_t)more;
	h.len *= wire_run_pages(&h);
	if (wire_check(&h, WIRE_CLASS_PAGE) < 0)
		return true;
	for (unsigned i = 0; i < wire_run_pages(&h); i++) {
		struct wire_hdr part = wire_run_part(&h, i, 1);

		fuzz_check(i < WIRE_RUN_PAGES && wire_check(&part, WIRE_CLASS_PAGE) == 0);
		if (i < PAGES && !receive(v, &part))
			return false;
	}
	return true;
}

/* Return: as receive(). */
static bool step(struct victim *v, struct fuzz_input in)
{
	uint64_t op = fuzz_take(&in, 1), passes = fuzz_take(&in, 1);
	struct wire_hdr h;
	int r;

	v->now += passes;
	switch (op % 8) {
	case 0:
	case 1:
		r = dsm_proto_fault(v->p, some_gpa(fuzz_take(&in, 1)),
				    op & 8 ? DSM_WRITE : DSM_READ, v->now);
		fuzz_check(r == 0 || r == 1 || r == -EAGAIN || r == -EFAULT || r == -EPROTO);
		return r != -EPROTO;
	case 2:
		r = dsm_proto_prefetch(v->p, some_gpa(fuzz_take(&in, 1)), op & 8, v->now);
		fuzz_check(r == 0 || r == -EPROTO);
		return r == 0;
	case 3:
		if (op & 128) {
			r = dsm_proto_move(v->p, some_gpa(fuzz_take(&in, 1)), op / 32 % 4);
			fuzz_check(r == 0 || r == 1);
		} else if (op & 64) {
			r = dsm_proto_untrack(v->p, some_gpa(fuzz_take(&in, 1)));
			fuzz_check(r == 0 || r == 1);
		} else if (op & 32) {
			r = dsm_proto_put(v->p, some_gpa(fuzz_take(&in, 1)));
			fuzz_check(r == 0 || r == 1);
		} else if (op & 16)
			dsm_proto_yield(v->p);
		else
			dsm_proto_set_idle(v->p, op & 8);
		fuzz_check(dsm_proto_tick(v->p, v->now) == 0);
		return true;
	case 4:
	case 5:
		h = some_message(&in);
		return op & 128 ? receive_run(v, h, op & 64 ? 1 : passes) : receive(v, &h);
	default:
		h = v->sends ? some_answer(v, &in) : some_message(&in);
		return op & 128 ? receive_run(v, h, op & 64 ? 1 : passes) : receive(v, &h);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_input in = fuzz_input(data, len);
	uint64_t setting = fuzz_take(&in, 1);
	struct victim v = {.now = 1};
	const struct dsm_proto_config cfg = {
		.self = SELF,
		.nodes = NODES,
		.epoch = 1,
		.hold_ns = setting & 1 ? 300 : 0,
		.max_pending = 1 + (unsigned)(setting / 2 % 20),
		.home = home_of,
		.emit = emit,
		.ctx = &v,
		.gpa_end = FIRST_BAD,
	};

	fuzz_check(dsm_proto_new(&cfg, &v.p) == 0);
	while (fuzz_left(&in)) {
		size_t n = MIN((size_t)STEP, fuzz_left(&in));

		/* A step begins where it begins, however much the one before it has read. */
		if (!step(&v, fuzz_input(in.at, n)))
			break;
		in.at += n;
	}
	dsm_proto_free(v.p);
	return 0;
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	return fuzz_noise(random, data, 1 + STEP * (10 + fuzz_random(random) % 300));
}
