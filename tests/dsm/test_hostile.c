/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A core among hostile peers, built with AddressSanitizer and UndefinedBehaviorSanitizer: whatever
 * they send, it answers -EPROTO or goes on, every action stays inside of guest memory and legal on
 * this node's mappings, and a refused message changes nothing.
 *
 * Messages are random but likely: few pages, valid-looking fields, and every other one answers
 * something that the core has sent, so that they get far.
 */
#include "dsm/proto.h"
#include "tests/check.h"
#include "wire/run.h"

#define NODES	  4
#define REGIONS	  NODES
#define PAGES	  2 /* used of each region */
#define MESSAGES  1500
#define SEEDS	  600
#define SELF	  1
#define RECENT	  8
#define FIRST_BAD (REGIONS * REGION_BYTES)

struct victim {
	struct dsm_proto *p;
	uint64_t random, now;
	unsigned actions, sends, runs;
	uint64_t moves;
	struct wire_hdr sent[RECENT]; /* the last ones; [sends % RECENT] is the oldest */
	bool tracked[REGIONS];
	bool present[REGIONS][PAGES], writable[REGIONS][PAGES];
};

static uint64_t draw(struct victim *v, uint64_t n)
{
	v->random = v->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (v->random >> 33) % n;
}

static int home_of(void *ctx, uint64_t gpa)
{
	return (int)((gpa >> REGION_SHIFT) % NODES);
}

static void on_page(struct victim *v, const struct dsm_action *a)
{
	uint64_t region = a->gpa >> REGION_SHIFT, page = (a->gpa >> PAGE_SHIFT) % REGION_PAGES;
	bool plain = dsm_proto_home(v->p, a->gpa) == SELF && !v->tracked[region], *present,
	     *writable;

	assert_in_range(region, 0, REGIONS - 1);
	assert_in_range(page, 0, PAGES - 1);
	present = &v->present[region][page];
	writable = &v->writable[region][page];
	switch (a->type) {
	case DSM_MAP:
		assert_false(*present);
		*present = true;
		*writable = a->map.writable;
		break;
	case DSM_UNPROTECT:
		assert_true(*present);
		*writable = true;
		break;
	case DSM_PROTECT:
		assert_true(*present && *writable);
		*writable = false;
		break;
	case DSM_DROP:
		assert_true(*present && !*writable);
		*present = false;
		break;
	case DSM_GIVE:
		assert_true(*present);
		*present = *writable = false;
		break;
	default:
		assert_true(*present || plain);
	}
}

static void become_plain(struct victim *v, uint64_t region)
{
	assert_true(region < REGIONS && v->tracked[region]);
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

		assert_in_range(region, 0, REGIONS - 1);
		assert_false(v->tracked[region]);
		v->tracked[region] = true;
		v->present[region][0] = v->writable[region][0] = true;
		a->track.populated[0] = 1;
	} else if (a->type == DSM_UNTRACK) {
		become_plain(v, a->gpa >> REGION_SHIFT);
	} else if (a->type == DSM_CAME || a->type == DSM_LEFT) {
		assert_true(v->tracked[a->gpa >> REGION_SHIFT] == (a->type == DSM_LEFT));
		v->tracked[a->gpa >> REGION_SHIFT] = a->type == DSM_CAME;
	} else if (a->type != DSM_SEND && a->type != DSM_GIVE) {
		on_page(v, a);
	} else {
		assert_in_range(a->send.to, 0, NODES - 1);
		assert_int_not_equal(a->send.to, SELF);
		v->sent[v->sends++ % RECENT] = a->send.hdr;
		if (a->send.hdr.flags & WIRE_GRANT_DATA)
			on_page(v, a);
	}
	return 0;
}

static uint64_t any_gpa(struct victim *v)
{
	if (draw(v, 200) == 0)
		return draw(v, 2) ? UINT64_MAX - draw(v, 2 * PAGE_BYTES) : FIRST_BAD + draw(v, 3);
	return draw(v, REGIONS) * REGION_BYTES + draw(v, PAGES) * PAGE_BYTES;
}

static bool is_of_region(uint8_t type)
{
	return type == WIRE_HOME || type == WIRE_REHOME || type == WIRE_REHOME_ACK;
}

/* Mostly one that agrees with this node's copies. */
static void any_directory(struct victim *v, uint64_t addr, struct wire_home *ret)
{
	memset(ret->sharers, 0, sizeof(ret->sharers));
	memset(ret->owner, UINT8_MAX, sizeof(ret->owner));
	for (unsigned i = 0; addr % REGION_BYTES == 0 && i < PAGES; i++) {
		struct dsm_page_info info;

		dsm_proto_page(v->p, addr + i * PAGE_BYTES, &info);
		if (info.copy == DSM_OWNED) {
			ret->owner[i] = SELF;
			ret->sharers[i] = 1 << SELF;
		} else if (draw(v, 2)) {
			ret->owner[i] = (uint8_t)(info.copy ? UINT8_MAX : SELF ^ 1);
			ret->sharers[i] = 1 << (info.copy ? SELF : SELF ^ 1);
		}
		if (draw(v, 10) == 0)
			ret->sharers[i] ^= draw(v, 1 << NODES);
		if (draw(v, 10) == 0)
			ret->owner[i] = (uint8_t)draw(v, UINT8_MAX + 1);
	}
}

static struct wire_hdr any_message(struct victim *v)
{
	static const uint8_t types[] = {WIRE_GETS, WIRE_GETM,	 WIRE_FWD_GETS,	  WIRE_FWD_GETM,
					WIRE_INV,  WIRE_INV_ACK, WIRE_DONE,	  WIRE_GRANT,
					WIRE_URGE, WIRE_PUT,	 WIRE_DROP,	  WIRE_DROPPED,
					WIRE_HOME, WIRE_REHOME,	 WIRE_REHOME_ACK, WIRE_PING};
	struct wire_hdr h = {
		.type = types[draw(v, sizeof(types))],
		.from = (uint8_t)(draw(v, 50) ? draw(v, NODES) : draw(v, UINT8_MAX)),
		.epoch = draw(v, 50) ? 1 : 2,
		.node = (uint8_t)(draw(v, 50) ? draw(v, NODES) : draw(v, UINT8_MAX)),
		.ticket = (uint8_t)draw(v, UINT8_MAX + 1),
		.acks = (uint8_t)(draw(v, 50) ? draw(v, NODES) : draw(v, UINT8_MAX)),
		.ticket_node = (uint8_t)(draw(v, 50) ? draw(v, NODES) : draw(v, UINT8_MAX)),
		.addr = any_gpa(v),
	};

	/* Mostly what the type wants, so that the message gets past the first check. */
	if ((h.type == WIRE_GETS || h.type == WIRE_GETM || h.type == WIRE_DONE ||
	     h.type == WIRE_PUT || h.type == WIRE_DROPPED) &&
	    h.from < NODES && draw(v, 10))
		h.node = h.from;
	if ((h.type == WIRE_GRANT || h.type == WIRE_INV_ACK || h.type == WIRE_DROP) && draw(v, 10))
		h.node = SELF;
	if (is_of_region(h.type) && draw(v, 10))
		h.addr &= ~(h.type == WIRE_HOME && draw(v, 2) ? REGION_BYTES / 2 - 1
							      : REGION_BYTES - 1);
	if (h.type == WIRE_REHOME_ACK)
		h.flags = (uint8_t)draw(v, 2);
	if (h.type == WIRE_GRANT)
		h.flags = (uint8_t)(draw(v, 20) ? draw(v, 8) : draw(v, 256));
	if (h.flags & WIRE_GRANT_DATA || draw(v, 100) == 0)
		h.len = PAGE_BYTES;
	return h;
}

/* What might come back for one of the last messages. */
static struct wire_hdr any_answer(struct victim *v)
{
	struct wire_hdr sent = v->sent[draw(v, MIN(v->sends, (unsigned)RECENT))];
	bool asked = sent.type == WIRE_GETS || sent.type == WIRE_GETM ||
		     (sent.node == SELF && draw(v, 2));
	struct wire_hdr h = {.epoch = 1, .node = sent.node, .addr = sent.addr};

	if (is_of_region(sent.type)) {
		/* What the others say of a move, in which this node has any of the parts. */
		h.type = draw(v, 4) ? WIRE_REHOME_ACK : WIRE_REHOME;
		h.flags = h.type == WIRE_REHOME_ACK && draw(v, 8) == 0;
		h.from = (uint8_t)draw(v, NODES);
		if (sent.type == WIRE_REHOME_ACK && draw(v, 4)) {
			h.type = WIRE_HOME;
			h.flags = 0;
			h.addr += draw(v, 2) * REGION_BYTES / 2;
		}
	} else if (asked) {
		h.type = draw(v, 20) ? WIRE_GRANT : WIRE_INV_ACK;
		h.flags = h.type == WIRE_GRANT ? (uint8_t)draw(v, 8) : 0;
		h.len = h.flags & WIRE_GRANT_DATA ? PAGE_BYTES : 0;
		h.acks = (uint8_t)(h.type == WIRE_GRANT ? draw(v, NODES) : 0);
		h.from = (uint8_t)draw(v, NODES);
	} else {
		h.type = sent.type == WIRE_DROP ? WIRE_DROPPED : WIRE_DONE;
		h.from = sent.node;
	}
	return h;
}

/* Field by field: what is between them is anything. */
static void assert_same(const struct dsm_page_info *a, const struct dsm_page_info *b)
{
	assert_int_equal(a->copy, b->copy);
	assert_int_equal(a->tracked, b->tracked);
	assert_int_equal(a->busy, b->busy);
	assert_int_equal(a->zero, b->zero);
	assert_int_equal(a->owner, b->owner);
	assert_int_equal(a->sharers, b->sharers);
}

/* Return: false when the core has died, which a hostile peer may achieve: the VM stops. */
static bool receive(struct victim *v, const struct wire_hdr *h, const void *page)
{
	struct wire_home home;
	struct dsm_page_info before, after;
	unsigned actions = v->actions;
	int r;

	dsm_proto_page(v->p, h->addr, &before);
	any_directory(v, h->addr, &home);
	r = dsm_proto_message(v->p, h, h->type == WIRE_HOME ? &home : page, v->now);
	v->moves = dsm_proto_stats(v->p)->regions_left + dsm_proto_stats(v->p)->regions_came;
	assert_true(r == 0 || r == -EPROTO);
	if (r == 0 || v->actions != actions)
		return dsm_proto_tick(v->p, v->now) == 0;
	dsm_proto_page(v->p, h->addr, &after);
	assert_same(&before, &after);
	return true;
}

/* As what is above the transport takes it: of what passes there, page by page. Return: as above. */
static bool receive_run(struct victim *v, struct wire_hdr h, const void *page)
{
	h.addr = ALIGN_DOWN(h.addr, REGION_BYTES);
	h.more = (uint8_t)(draw(v, 4) ? PAGES - 1 : WIRE_RUN_PAGES + draw(v, 256 - WIRE_RUN_PAGES));
	h.len *= wire_run_pages(&h);
	if (wire_check(&h, WIRE_CLASS_PAGE) < 0)
		return true;
	assert_in_range(h.more, 0, WIRE_RUN_PAGES - 1);
	v->runs++;
	for (unsigned i = 0; i < wire_run_pages(&h); i++) {
		struct wire_hdr part = wire_run_part(&h, i, 1);

		if (!receive(v, &part, page))
			return false;
	}
	return true;
}

/* Return: as above. */
static bool attack_once(struct victim *v, const void *page)
{
	struct wire_hdr h;
	int r;

	v->now += draw(v, 100);
	if (draw(v, 3) == 0) {
		r = dsm_proto_fault(v->p, any_gpa(v), draw(v, 2) ? DSM_WRITE : DSM_READ, v->now);
		assert_true(r == 0 || r == 1 || r == -EAGAIN || r == -EFAULT || r == -EPROTO);
		return r != -EPROTO;
	}
	if (draw(v, 10) == 0) {
		r = dsm_proto_prefetch(v->p, any_gpa(v), draw(v, 2), v->now);
		assert_true(r == 0 || r == -EPROTO);
		return r == 0;
	}
	if (draw(v, 10) == 0) {
		r = dsm_proto_put(v->p, any_gpa(v));
		assert_true(r == 0 || r == 1);
		return true;
	}
	if (draw(v, 10) == 0) {
		r = dsm_proto_move(v->p, any_gpa(v), (unsigned)draw(v, NODES + 1));
		assert_true(r == 0 || r == 1);
		return true;
	}
	if (draw(v, 10) == 0) {
		r = dsm_proto_untrack(v->p, any_gpa(v));
		assert_true(r == 0 || r == 1);
		return true;
	}
	if (draw(v, 20) == 0)
		dsm_proto_set_idle(v->p, draw(v, 2));
	if (draw(v, 10) == 0)
		assert_int_equal(dsm_proto_tick(v->p, v->now), 0);
	h = v->sends && draw(v, 2) ? any_answer(v) : any_message(v);
	return draw(v, 8) ? receive(v, &h, page) : receive_run(v, h, page);
}

static void attack(uint64_t seed, unsigned *accepted, uint64_t *moves, unsigned *runs)
{
	struct victim v = {.random = seed};
	const struct dsm_proto_config cfg = {
		.self = SELF,
		.nodes = NODES,
		.epoch = 1,
		.hold_ns = seed % 2 ? 300 : 0,
		.max_pending = 1 + (unsigned)(seed % 20),
		.home = home_of,
		.emit = emit,
		.ctx = &v,
		.gpa_end = FIRST_BAD,
	};
	_cleanup_free_ void *page = calloc(1, PAGE_BYTES);

	assert_non_null(page);
	assert_int_equal(dsm_proto_new(&cfg, &v.p), 0);
	for (unsigned i = 0; i < MESSAGES && attack_once(&v, page); i++)
		;
	*accepted += v.actions;
	*moves += v.moves;
	*runs += v.runs;
	dsm_proto_free(v.p);
}

static void hostile_peers_do_no_harm(void **state)
{
	unsigned actions = 0, runs = 0;
	uint64_t moves = 0;

	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		attack(seed, &actions, &moves, &runs);
	/* They got past the door often enough to mean something. */
	assert_in_range(actions, SEEDS * 100, UINT32_MAX);
	assert_in_range(moves, SEEDS / 4, UINT32_MAX);
	assert_in_range(runs, SEEDS * 10, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_peers_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
