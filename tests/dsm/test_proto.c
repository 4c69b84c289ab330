/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The races that have names, one by one, against one core with its actions recorded. Three nodes;
 * region k has home k, so PAGE(k, i) is page i of the region of node k.
 */
#include "dsm/proto.h"
#include "tests/check.h"

#define NODES	    3
#define EPOCH	    7
#define HOLD	    1000
#define PENDING	    4
#define PAGE(k, i)  ((uint64_t)(k)*REGION_BYTES + (uint64_t)(i)*PAGE_BYTES)
#define LOG_ACTIONS 64

struct rig {
	struct dsm_proto *p;
	unsigned self;
	unsigned count; /* actions since the last expectation */
	struct dsm_action log[LOG_ACTIONS];
	uint64_t populated; /* of the first 64 pages of a tracked region */
	int error;	    /* what emit() returns */
	uint64_t now;
};

static const char page_data[PAGE_BYTES];

static int home_of(void *ctx, uint64_t gpa)
{
	return (int)(gpa >> REGION_SHIFT);
}

static int record(void *ctx, const struct dsm_action *a)
{
	struct rig *r = ctx;

	assert_in_range(r->count, 0, LOG_ACTIONS - 1);
	r->log[r->count++] = *a;
	if (a->type == DSM_TRACK)
		a->track.populated[0] = r->populated;
	return r->error;
}

static void rig_open(struct rig *r, unsigned self, uint64_t hold_ns)
{
	struct dsm_proto_config cfg = {
		.self = self,
		.nodes = NODES,
		.epoch = EPOCH,
		.hold_ns = hold_ns,
		.max_pending = PENDING,
		.home = home_of,
		.emit = record,
		.ctx = r,
		.gpa_end = NODES * REGION_BYTES,
	};

	*r = (struct rig){.self = self};
	assert_int_equal(dsm_proto_new(&cfg, &r->p), 0);
}

static void rig_close(struct rig *r)
{
	assert_int_equal(r->count, 0);
	dsm_proto_free(r->p);
}

static struct wire_hdr message(enum wire_type type, unsigned from, unsigned node, uint64_t gpa)
{
	return (struct wire_hdr){.type = (uint8_t)type,
				 .from = (uint16_t)from,
				 .node = (uint16_t)node,
				 .epoch = EPOCH,
				 .addr = gpa};
}

static int take(struct rig *r, enum wire_type type, unsigned from, unsigned node, uint64_t gpa)
{
	struct wire_hdr h = message(type, from, node, gpa);

	return dsm_proto_message(r->p, &h, NULL, r->now);
}

static int take_grant(struct rig *r, unsigned from, uint64_t gpa, unsigned flags, unsigned acks)
{
	struct wire_hdr h = message(WIRE_GRANT, from, r->self, gpa);

	h.flags = (uint8_t)flags;
	h.acks = (uint16_t)acks;
	h.len = flags & WIRE_GRANT_DATA ? PAGE_BYTES : 0;
	return dsm_proto_message(r->p, &h, h.len ? page_data : NULL, r->now);
}

/* The oldest recorded action; fails when there is none. */
static struct dsm_action next(struct rig *r)
{
	struct dsm_action a;

	assert_int_not_equal(r->count, 0);
	a = r->log[0];
	memmove(r->log, r->log + 1, --r->count * sizeof(r->log[0]));
	return a;
}

static void expect_action(struct rig *r, enum dsm_action_type type, uint64_t gpa)
{
	struct dsm_action a = next(r);

	assert_int_equal(a.type, type);
	assert_int_equal(a.gpa, gpa);
}

static void expect_map(struct rig *r, uint64_t gpa, const void *data, bool writable)
{
	struct dsm_action a = next(r);

	assert_int_equal(a.type, DSM_MAP);
	assert_int_equal(a.gpa, gpa);
	assert_ptr_equal(a.map.data, data);
	assert_int_equal(a.map.writable, writable);
}

static struct wire_hdr expect_send(struct rig *r, enum wire_type type, unsigned to, unsigned node,
				   uint64_t gpa)
{
	struct dsm_action a = next(r);

	assert_int_equal(a.type, DSM_SEND);
	assert_int_equal(a.send.hdr.type, type);
	assert_int_equal(a.send.to, to);
	assert_int_equal(a.send.hdr.node, node);
	assert_int_equal(a.send.hdr.addr, gpa);
	assert_int_equal(a.send.hdr.from, r->self);
	assert_int_equal(a.send.hdr.epoch, EPOCH);
	return a.send.hdr;
}

static void expect_grant(struct rig *r, unsigned to, uint64_t gpa, unsigned flags, unsigned acks)
{
	struct wire_hdr h = expect_send(r, WIRE_GRANT, to, to, gpa);

	assert_int_equal(h.flags, flags);
	assert_int_equal(h.acks, acks);
	assert_int_equal(h.len, flags & WIRE_GRANT_DATA ? PAGE_BYTES : 0);
}

static void expect_copy(const struct rig *r, uint64_t gpa, enum dsm_copy copy)
{
	struct dsm_page_info info;

	dsm_proto_page(r->p, gpa, &info);
	assert_int_equal(info.copy, copy);
}

/* This node, which is not the home 0, reads the page; the window begins at r->now. */
static void get_shared(struct rig *r, uint64_t gpa)
{
	assert_int_equal(dsm_proto_fault(r->p, gpa, false, r->now), 0);
	expect_send(r, WIRE_GETS, 0, r->self, gpa);
	assert_int_equal(take_grant(r, 0, gpa, WIRE_GRANT_DATA, 0), 0);
	expect_map(r, gpa, page_data, false);
	expect_send(r, WIRE_DONE, 0, r->self, gpa);
	expect_copy(r, gpa, DSM_SHARED);
}

static void get_owned(struct rig *r, uint64_t gpa)
{
	assert_int_equal(dsm_proto_fault(r->p, gpa, true, r->now), 0);
	expect_send(r, WIRE_GETM, 0, r->self, gpa);
	assert_int_equal(take_grant(r, 0, gpa, WIRE_GRANT_ZERO | WIRE_GRANT_WRITE, 0), 0);
	expect_map(r, gpa, NULL, true);
	expect_send(r, WIRE_DONE, 0, r->self, gpa);
	expect_copy(r, gpa, DSM_OWNED);
}

static void first_request_from_outside_tracks_the_region(void **state)
{
	struct rig r;
	struct dsm_page_info info;

	rig_open(&r, 0, 0);
	expect_copy(&r, PAGE(0, 0), DSM_OWNED);
	assert_int_equal(dsm_proto_stats(r.p)->memory, 0);

	r.populated = 1;
	assert_int_equal(take(&r, WIRE_GETS, 1, 1, PAGE(0, 0)), 0);
	expect_action(&r, DSM_TRACK, PAGE(0, 0));
	expect_action(&r, DSM_PROTECT, PAGE(0, 0));
	expect_grant(&r, 1, PAGE(0, 0), WIRE_GRANT_DATA, 0);
	expect_copy(&r, PAGE(0, 0), DSM_SHARED);
	expect_copy(&r, PAGE(0, 1), DSM_NONE);
	dsm_proto_page(r.p, PAGE(0, 1), &info);
	assert_true(info.zero && info.tracked && !info.busy);
	dsm_proto_page(r.p, PAGE(0, 0), &info);
	assert_true(info.busy);
	assert_int_equal(info.sharers, 3);
	assert_int_equal(info.owner, -1);
	assert_int_equal(dsm_proto_stats(r.p)->memory, 16 * REGION_PAGES);
	assert_int_equal(dsm_proto_stats(r.p)->served, 1);
	rig_close(&r);
}

static void zero_page_is_granted_for_writing_to_a_reader(void **state)
{
	struct rig r;

	rig_open(&r, 0, 0);
	assert_int_equal(take(&r, WIRE_GETS, 1, 1, PAGE(0, 5)), 0);
	expect_action(&r, DSM_TRACK, PAGE(0, 0));
	expect_grant(&r, 1, PAGE(0, 5), WIRE_GRANT_ZERO | WIRE_GRANT_WRITE, 0);
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 5)), 0);

	/* The home's own read of another zero page: at once, and no message. */
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 6) + 123, false, 0), 1);
	expect_map(&r, PAGE(0, 6), NULL, true);
	expect_copy(&r, PAGE(0, 6), DSM_OWNED);
	assert_int_equal(dsm_proto_stats(r.p)->faults_local, 1);
	rig_close(&r);

	rig_open(&r, 1, 0);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 5), false, 0), 0);
	expect_send(&r, WIRE_GETS, 0, 1, PAGE(0, 5));
	assert_int_equal(take_grant(&r, 0, PAGE(0, 5), WIRE_GRANT_ZERO | WIRE_GRANT_WRITE, 0), 0);
	expect_map(&r, PAGE(0, 5), NULL, true);
	expect_send(&r, WIRE_DONE, 0, 1, PAGE(0, 5));
	expect_copy(&r, PAGE(0, 5), DSM_OWNED);
	assert_int_equal(dsm_proto_stats(r.p)->memory, REGION_PAGES);
	rig_close(&r);
}

static void ack_may_come_before_the_grant(void **state)
{
	struct rig r;

	rig_open(&r, 1, 0);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, 0), 0);
	expect_send(&r, WIRE_GETM, 0, 1, PAGE(0, 0));
	assert_int_equal(take(&r, WIRE_INV_ACK, 2, 1, PAGE(0, 0)), 0);
	assert_int_equal(take(&r, WIRE_INV_ACK, 2, 1, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0),
			 -EPROTO);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 1), 0);
	expect_map(&r, PAGE(0, 0), page_data, true);
	expect_send(&r, WIRE_DONE, 0, 1, PAGE(0, 0));
	rig_close(&r);
}

static void grant_before_the_ack_is_readable_at_once(void **state)
{
	struct rig r;

	rig_open(&r, 1, 0);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, 0), 0);
	expect_send(&r, WIRE_GETM, 0, 1, PAGE(0, 0));
	assert_int_equal(take_grant(&r, 0, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 1), 0);
	expect_map(&r, PAGE(0, 0), page_data, false);
	expect_copy(&r, PAGE(0, 0), DSM_SHARED);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 0), WIRE_GRANT_WRITE, 1), -EPROTO);

	/* The transaction is ours until DONE: nobody can want the page now. */
	assert_int_equal(take(&r, WIRE_INV, 0, 2, PAGE(0, 0)), -EPROTO);

	/* A reader is served meanwhile, the writer that faults again waits on. */
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), false, 0), 1);
	expect_action(&r, DSM_WAKE, PAGE(0, 0));
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, 0), 0);

	assert_int_equal(take(&r, WIRE_INV_ACK, 2, 1, PAGE(0, 0)), 0);
	expect_action(&r, DSM_UNPROTECT, PAGE(0, 0));
	expect_send(&r, WIRE_DONE, 0, 1, PAGE(0, 0));
	expect_copy(&r, PAGE(0, 0), DSM_OWNED);
	assert_int_equal(dsm_proto_waiting(r.p), 0);
	rig_close(&r);
}

static void demand_waits_for_the_end_of_the_hold_window(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	get_shared(&r, PAGE(0, 0));
	assert_true(dsm_proto_deadline(r.p) == UINT64_MAX);
	r.now = 500;
	assert_int_equal(take(&r, WIRE_INV, 0, 2, PAGE(0, 0)), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(take(&r, WIRE_INV, 0, 2, PAGE(0, 0)), -EPROTO);
	assert_int_equal(dsm_proto_deadline(r.p), 10 + HOLD);
	assert_int_equal(dsm_proto_stats(r.p)->held, 1);

	/* Only this page waits. */
	get_shared(&r, PAGE(0, 1));
	r.now = 500 + HOLD;
	assert_int_equal(take(&r, WIRE_INV, 0, 2, PAGE(0, 1)), 0);
	expect_action(&r, DSM_DROP, PAGE(0, 1));
	expect_send(&r, WIRE_INV_ACK, 2, 2, PAGE(0, 1));

	assert_int_equal(dsm_proto_tick(r.p, 9 + HOLD), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(dsm_proto_tick(r.p, 10 + HOLD), 0);
	expect_action(&r, DSM_DROP, PAGE(0, 0));
	expect_send(&r, WIRE_INV_ACK, 2, 2, PAGE(0, 0));
	expect_copy(&r, PAGE(0, 0), DSM_NONE);
	assert_true(dsm_proto_deadline(r.p) == UINT64_MAX);
	rig_close(&r);
}

static void full_hold_pool_ends_the_oldest_window(void **state)
{
	struct rig r;
	const unsigned pool = 4 * PENDING + 64;

	rig_open(&r, 1, HOLD);
	for (unsigned i = 0; i <= pool; i++)
		get_shared(&r, PAGE(0, i));
	assert_int_equal(take(&r, WIRE_INV, 0, 2, PAGE(0, 1)), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(take(&r, WIRE_INV, 0, 2, PAGE(0, 0)), 0);
	expect_action(&r, DSM_DROP, PAGE(0, 0));
	expect_send(&r, WIRE_INV_ACK, 2, 2, PAGE(0, 0));
	rig_close(&r);
}

static void owner_protects_sends_and_drops(void **state)
{
	struct rig r;
	struct wire_hdr h = message(WIRE_FWD_GETM, 0, 2, PAGE(0, 0));

	rig_open(&r, 1, 0);
	get_owned(&r, PAGE(0, 0));
	assert_int_equal(dsm_proto_message(r.p, &h, NULL, 0), 0);
	expect_action(&r, DSM_PROTECT, PAGE(0, 0));
	expect_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0);
	expect_action(&r, DSM_DROP, PAGE(0, 0));
	expect_copy(&r, PAGE(0, 0), DSM_NONE);

	/* A sharer that gives its copy away passes on how many others must acknowledge. */
	get_shared(&r, PAGE(0, 1));
	h = message(WIRE_FWD_GETM, 0, 2, PAGE(0, 1));
	h.acks = 1;
	assert_int_equal(dsm_proto_message(r.p, &h, NULL, 0), 0);
	expect_grant(&r, 2, PAGE(0, 1), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 1);
	expect_action(&r, DSM_DROP, PAGE(0, 1));

	get_owned(&r, PAGE(0, 2));
	assert_int_equal(take(&r, WIRE_FWD_GETS, 0, 2, PAGE(0, 2)), 0);
	expect_action(&r, DSM_PROTECT, PAGE(0, 2));
	expect_grant(&r, 2, PAGE(0, 2), WIRE_GRANT_DATA, 0);
	expect_copy(&r, PAGE(0, 2), DSM_SHARED);
	assert_int_equal(dsm_proto_stats(r.p)->downgrades, 1);
	assert_int_equal(dsm_proto_stats(r.p)->invalidations, 2);
	rig_close(&r);
}

static void upgrade_that_lost_the_race_gets_data(void **state)
{
	struct rig r;

	rig_open(&r, 1, 0);
	get_shared(&r, PAGE(0, 0));
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, 0), 0);
	expect_send(&r, WIRE_GETM, 0, 1, PAGE(0, 0));
	/* A reader was first: this copy stays. */
	assert_int_equal(take(&r, WIRE_FWD_GETS, 0, 2, PAGE(0, 0)), 0);
	expect_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_DATA, 0);
	/* A writer was next: it goes. */
	assert_int_equal(take(&r, WIRE_INV, 0, 2, PAGE(0, 0)), 0);
	expect_action(&r, DSM_DROP, PAGE(0, 0));
	expect_send(&r, WIRE_INV_ACK, 2, 2, PAGE(0, 0));
	/* Then it is our turn; there is nothing to upgrade any more. */
	assert_int_equal(take_grant(&r, 0, PAGE(0, 0), WIRE_GRANT_WRITE, 0), -EPROTO);
	assert_int_equal(take_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0), 0);
	expect_map(&r, PAGE(0, 0), page_data, true);
	expect_send(&r, WIRE_DONE, 0, 1, PAGE(0, 0));
	rig_close(&r);
}

static void upgrade_invalidates_the_home_too(void **state)
{
	struct rig r;

	rig_open(&r, 0, 0);
	r.populated = 1;
	assert_int_equal(take(&r, WIRE_GETS, 1, 1, PAGE(0, 0)), 0);
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 0)), 0);
	assert_int_equal(take(&r, WIRE_GETS, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(take(&r, WIRE_DONE, 2, 2, PAGE(0, 0)), 0);
	r.count = 0;
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0);
	expect_grant(&r, 1, PAGE(0, 0), WIRE_GRANT_WRITE, 2);
	expect_send(&r, WIRE_INV, 2, 1, PAGE(0, 0));
	expect_action(&r, DSM_DROP, PAGE(0, 0));
	expect_send(&r, WIRE_INV_ACK, 1, 1, PAGE(0, 0));
	rig_close(&r);
}

static void request_that_overtakes_its_own_done_waits(void **state)
{
	struct rig r;

	rig_open(&r, 0, 0);
	r.populated = 1;
	assert_int_equal(take(&r, WIRE_GETS, 1, 1, PAGE(0, 0)), 0);
	r.count = 0;
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(dsm_proto_stats(r.p)->queued, 1);
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 0)), 0);
	expect_grant(&r, 1, PAGE(0, 0), WIRE_GRANT_WRITE, 1);
	expect_action(&r, DSM_DROP, PAGE(0, 0));
	expect_send(&r, WIRE_INV_ACK, 1, 1, PAGE(0, 0));
	rig_close(&r);
}

static void requests_are_served_in_the_order_of_arrival(void **state)
{
	struct rig r;

	rig_open(&r, 0, 0);
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0);
	r.count = 0;
	assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), false, 0), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_FWD_GETM, 1, 2, PAGE(0, 0));
	assert_int_equal(take(&r, WIRE_DONE, 2, 2, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_FWD_GETS, 2, 0, PAGE(0, 0));
	assert_int_equal(take_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_DATA, 0), 0);
	expect_map(&r, PAGE(0, 0), page_data, false);
	rig_close(&r);
}

static void write_that_joins_a_read_faults_again(void **state)
{
	struct rig r;

	rig_open(&r, 1, 0);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), false, 0), 0);
	expect_send(&r, WIRE_GETS, 0, 1, PAGE(0, 0));
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, 0), 0);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), false, 0), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(take_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_DATA, 0), 0);
	expect_map(&r, PAGE(0, 0), page_data, false);
	expect_send(&r, WIRE_DONE, 0, 1, PAGE(0, 0));
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, 0), 0);
	expect_send(&r, WIRE_GETM, 0, 1, PAGE(0, 0));
	assert_int_equal(dsm_proto_stats(r.p)->faults_remote, 2);
	rig_close(&r);
}

static void stale_events_are_answered_at_once(void **state)
{
	struct rig r;

	rig_open(&r, 1, 0);
	get_owned(&r, PAGE(0, 0));
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, 0), 1);
	expect_action(&r, DSM_UNPROTECT, PAGE(0, 0));
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), false, 0), 1);
	expect_action(&r, DSM_WAKE, PAGE(0, 0));
	get_shared(&r, PAGE(0, 1));
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 1), false, 0), 1);
	expect_action(&r, DSM_WAKE, PAGE(0, 1));
	/* Not tracked: nothing to unprotect. */
	assert_int_equal(dsm_proto_fault(r.p, PAGE(1, 0), true, 0), 1);
	expect_action(&r, DSM_WAKE, PAGE(1, 0));
	assert_int_equal(dsm_proto_fault(r.p, NODES * REGION_BYTES, true, 0), -EFAULT);
	rig_close(&r);
}

static void zero_may_come_in_place_of_data(void **state)
{
	struct rig r;

	rig_open(&r, 1, 0);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), false, 0), 0);
	expect_send(&r, WIRE_GETS, 0, 1, PAGE(0, 0));
	/* Write permission for a reader is the home's to give. */
	assert_int_equal(take_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_ZERO | WIRE_GRANT_WRITE, 0),
			 -EPROTO);
	assert_int_equal(take_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_ZERO, 0), 0);
	expect_map(&r, PAGE(0, 0), NULL, false);
	expect_send(&r, WIRE_DONE, 0, 1, PAGE(0, 0));
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 1), true, 0), 0);
	expect_send(&r, WIRE_GETM, 0, 1, PAGE(0, 1));
	assert_int_equal(take_grant(&r, 2, PAGE(0, 1), WIRE_GRANT_ZERO | WIRE_GRANT_WRITE, 1), 0);
	expect_map(&r, PAGE(0, 1), NULL, false);
	rig_close(&r);
}

static void too_many_requests_must_come_again(void **state)
{
	struct rig r;

	rig_open(&r, 1, 0);
	for (unsigned i = 0; i < PENDING; i++) {
		assert_int_equal(dsm_proto_fault(r.p, PAGE(0, i), false, 0), 0);
		expect_send(&r, WIRE_GETS, 0, 1, PAGE(0, i));
	}
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, PENDING), false, 0), -EAGAIN);
	assert_int_equal(dsm_proto_waiting(r.p), PENDING);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 0), WIRE_GRANT_DATA, 0), 0);
	r.count = 0;
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, PENDING), false, 0), 0);
	expect_send(&r, WIRE_GETS, 0, 1, PAGE(0, PENDING));
	rig_close(&r);
}

static void flood_of_requests_hits_its_own_limit(void **state)
{
	struct rig r;

	rig_open(&r, 0, 0);
	for (unsigned i = 0; i <= PENDING; i++)
		assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, i)), 0);
	for (unsigned i = 0; i < PENDING; i++) {
		assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, i)), 0);
		assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, i)), -EPROTO);
	}
	assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, PENDING)), -EPROTO);
	/* The home itself still has its place. */
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, 0), 0);
	r.count = 0;
	rig_close(&r);
}

static void broken_protocol_changes_nothing(void **state)
{
	struct rig r;
	struct wire_hdr h;

	rig_open(&r, 1, HOLD);
	get_shared(&r, PAGE(0, 0));
	get_owned(&r, PAGE(0, 1));
	/* Not ours to answer, of no page, not from the home, for ourselves, for nobody. */
	assert_int_equal(take(&r, WIRE_GETS, 2, 2, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_GETS, 2, 0, PAGE(1, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_GETS, 2, 2, NODES * REGION_BYTES), -EPROTO);
	assert_int_equal(take(&r, WIRE_GETS, 2, 2, UINT64_MAX), -EPROTO);
	assert_int_equal(take(&r, WIRE_GETS, 2, 2, PAGE(1, 0) + 1), -EPROTO);
	assert_int_equal(take(&r, WIRE_INV, 2, 2, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_INV, 0, 1, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_INV, 0, NODES, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_INV, NODES, 2, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_INV, 1, 2, PAGE(1, 0)), -EPROTO);
	/* What is not here, what is not asked for. */
	assert_int_equal(take(&r, WIRE_INV, 0, 2, PAGE(0, 2)), -EPROTO);
	assert_int_equal(take(&r, WIRE_INV, 0, 2, PAGE(2, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_FWD_GETM, 0, 2, PAGE(0, 2)), -EPROTO);
	assert_int_equal(take(&r, WIRE_INV, 0, 2, PAGE(0, 1)), -EPROTO);
	assert_int_equal(take(&r, WIRE_INV_ACK, 2, 1, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_DONE, 2, 2, PAGE(1, 0)), -EPROTO);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 2), WIRE_GRANT_DATA, 0), -EPROTO);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 0), WIRE_GRANT_WRITE, 0), -EPROTO);
	h = message(WIRE_FWD_GETS, 0, 2, PAGE(0, 0));
	h.epoch++;
	assert_int_equal(dsm_proto_message(r.p, &h, NULL, 0), -EPROTO);
	h = message(WIRE_PING, 0, 0, 0);
	assert_int_equal(dsm_proto_message(r.p, &h, NULL, 0), -EPROTO);

	assert_int_equal(r.count, 0);
	expect_copy(&r, PAGE(0, 0), DSM_SHARED);
	expect_copy(&r, PAGE(0, 1), DSM_OWNED);
	expect_copy(&r, PAGE(1, 0), DSM_OWNED);
	assert_int_equal(dsm_proto_stats(r.p)->memory, REGION_PAGES);
	rig_close(&r);
}

static void home_does_not_believe_an_early_done(void **state)
{
	struct rig r;

	rig_open(&r, 0, HOLD);
	assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, 9)), 0); /* tracks the region */
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, 0), 1);
	r.count = 0;
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0); /* held: the page is fresh */
	assert_int_equal(r.count, 0);
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_DONE, 2, 2, PAGE(0, 0)), -EPROTO);
	/* Nor a grant of its own page that it has not begun to ask for. */
	assert_int_equal(dsm_proto_tick(r.p, HOLD), 0);
	r.count = 0;
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, HOLD), 0);
	assert_int_equal(take_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0),
			 -EPROTO);
	assert_int_equal(take(&r, WIRE_INV_ACK, 2, 0, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_FWD_GETM, 1, 0, PAGE(0, 0));
	rig_close(&r);
}

static void failed_action_ends_the_core(void **state)
{
	struct rig r;

	rig_open(&r, 1, 0);
	r.error = -EIO;
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), false, 0), -EIO);
	r.count = 0;
	r.error = 0;
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 1), false, 0), -EIO);
	assert_int_equal(take(&r, WIRE_GETS, 2, 2, PAGE(1, 0)), -EIO);
	assert_int_equal(dsm_proto_tick(r.p, 0), -EIO);
	rig_close(&r);
}

static void configuration_is_checked(void **state)
{
	struct dsm_proto *p;
	const struct dsm_proto_config good = {.self = 0,
					      .nodes = 1,
					      .max_pending = 1,
					      .home = home_of,
					      .emit = record,
					      .gpa_end = PAGE_BYTES};
	struct dsm_proto_config bad;

	assert_int_equal(dsm_proto_new(&good, &p), 0);
	dsm_proto_free(p);
	bad = good, bad.self = 1;
	assert_int_equal(dsm_proto_new(&bad, &p), -EINVAL);
	bad = good, bad.nodes = MAX_NODES + 1;
	assert_int_equal(dsm_proto_new(&bad, &p), -EINVAL);
	bad = good, bad.max_pending = 0;
	assert_int_equal(dsm_proto_new(&bad, &p), -EINVAL);
	bad = good, bad.gpa_end = 0;
	assert_int_equal(dsm_proto_new(&bad, &p), -EINVAL);
	bad = good, bad.gpa_end = UINT64_MAX;
	assert_int_equal(dsm_proto_new(&bad, &p), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_request_from_outside_tracks_the_region),
		cmocka_unit_test(zero_page_is_granted_for_writing_to_a_reader),
		cmocka_unit_test(ack_may_come_before_the_grant),
		cmocka_unit_test(grant_before_the_ack_is_readable_at_once),
		cmocka_unit_test(demand_waits_for_the_end_of_the_hold_window),
		cmocka_unit_test(full_hold_pool_ends_the_oldest_window),
		cmocka_unit_test(owner_protects_sends_and_drops),
		cmocka_unit_test(upgrade_that_lost_the_race_gets_data),
		cmocka_unit_test(upgrade_invalidates_the_home_too),
		cmocka_unit_test(request_that_overtakes_its_own_done_waits),
		cmocka_unit_test(requests_are_served_in_the_order_of_arrival),
		cmocka_unit_test(write_that_joins_a_read_faults_again),
		cmocka_unit_test(stale_events_are_answered_at_once),
		cmocka_unit_test(zero_may_come_in_place_of_data),
		cmocka_unit_test(too_many_requests_must_come_again),
		cmocka_unit_test(flood_of_requests_hits_its_own_limit),
		cmocka_unit_test(broken_protocol_changes_nothing),
		cmocka_unit_test(home_does_not_believe_an_early_done),
		cmocka_unit_test(failed_action_ends_the_core),
		cmocka_unit_test(configuration_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
