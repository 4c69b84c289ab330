/* SPDX-License-Identifier: Apache-2.0 */
/* When a node keeps what it fetched and when it gives way (dsm/hold.h); prefetched pages. */
#include "tests/dsm/rig.h"

/* Written from the text of dsm/hold.h. */
#define WAIT_LENGTHS 32
#define YIELDED	     16 /* likewise: a turn that is yielded is this much shorter */
#define RUN_LENGTHS  4

/* The home 0 says: give up your copy, @node wants to write; its turn has @ticket. */
static void demand(struct rig *r, uint64_t gpa, unsigned node, uint8_t ticket)
{
	struct wire_hdr h = message(WIRE_INV, 0, node, gpa);

	h.ticket = ticket;
	h.ticket_node = (uint8_t)node;
	assert_int_equal(dsm_proto_message(r->p, &h, NULL, r->now), 0);
}

/* The home 0 says: behind the demand for @node waits one of @lender's turn. */
static void urge(struct rig *r, uint64_t gpa, unsigned node, uint8_t ticket, unsigned lender)
{
	struct wire_hdr h = message(WIRE_URGE, 0, node, gpa);

	h.ticket = ticket;
	h.ticket_node = (uint8_t)lender;
	assert_int_equal(dsm_proto_message(r->p, &h, NULL, r->now), 0);
}

static void expect_given_up(struct rig *r, uint64_t gpa, unsigned node)
{
	expect_action(r, DSM_DROP, gpa);
	expect_send(r, WIRE_INV_ACK, node, node, gpa);
	expect_copy(r, gpa, DSM_NONE);
}

/* No demand is over before @at, and the one for @gpa is over then. */
static void expect_given_up_at(struct rig *r, uint64_t at, uint64_t gpa, unsigned node)
{
	assert_int_equal(r->count, 0);
	assert_int_equal(dsm_proto_deadline(r->p), at);
	assert_int_equal(dsm_proto_tick(r->p, at - 1), 0);
	assert_int_equal(r->count, 0);
	assert_int_equal(dsm_proto_tick(r->p, at), 0);
	expect_given_up(r, gpa, node);
	r->now = at;
}

/* This node faults and goes on waiting. Return: the ticket of its request. */
static uint8_t fault(struct rig *r, uint64_t gpa)
{
	assert_int_equal(dsm_proto_fault(r->p, gpa, false, r->now), 0);
	return expect_send(r, WIRE_GETS, 0, r->self, gpa).ticket;
}

static void granted(struct rig *r, uint64_t gpa)
{
	assert_int_equal(take_grant(r, 0, gpa, WIRE_GRANT_DATA, 0), 0);
	expect_map(r, gpa, page_data, false);
}

/* A request of node 2 to this node brings a ticket, which becomes the newest seen. */
static void see_ticket(struct rig *r, uint64_t gpa, uint8_t ticket)
{
	struct wire_hdr h = message(WIRE_GETS, 2, 2, gpa);

	h.ticket = ticket;
	assert_int_equal(dsm_proto_message(r->p, &h, NULL, r->now), 0);
	r->count = 0;
}

static void running_node_keeps_its_pages_until_hold_ns(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 5;
	see_ticket(&r, PAGE(1, 0), 9);
	r.now = 10;
	get_shared(&r, PAGE(0, 0));
	assert_true(dsm_proto_deadline(r.p) == UINT64_MAX);
	/* However long the other has waited. */
	r.now = 500;
	demand(&r, PAGE(0, 0), 2, 1);
	assert_int_equal(take(&r, WIRE_INV, 0, 2, PAGE(0, 0)), -EPROTO);
	assert_int_equal(dsm_proto_stats(r.p)->held, 1);
	assert_int_equal(dsm_proto_stats(r.p)->held_ns, 0);
	expect_given_up_at(&r, 10 + HOLD, PAGE(0, 0), 2);
	assert_int_equal(dsm_proto_stats(r.p)->held_ns, 10 + HOLD - 500);
	assert_true(dsm_proto_deadline(r.p) == UINT64_MAX);
	rig_close(&r);
}

static void demand_after_the_turn_is_served_at_once(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	get_shared(&r, PAGE(0, 0));
	r.now = 10 + HOLD;
	demand(&r, PAGE(0, 0), 2, 2);
	expect_given_up(&r, PAGE(0, 0), 2);

	/* A page of an earlier turn is not protected by a new one. */
	get_shared(&r, PAGE(0, 1));
	r.now += HOLD;
	assert_int_equal(fault(&r, PAGE(0, 2)), 4);
	demand(&r, PAGE(0, 1), 2, 5);
	expect_given_up(&r, PAGE(0, 1), 2);
	assert_int_equal(dsm_proto_stats(r.p)->held, 0);
	rig_close(&r);
}

static void younger_demand_waits_while_the_older_node_waits(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	assert_int_equal(fault(&r, PAGE(0, 0)), 1);
	granted(&r, PAGE(0, 0));
	r.now = 500;
	assert_int_equal(fault(&r, PAGE(0, 1)), 1); /* the same turn */
	demand(&r, PAGE(0, 0), 2, 2);
	assert_int_equal(r.count, 0);
	assert_int_equal(dsm_proto_deadline(r.p), 10 + RUN_LENGTHS * HOLD);
	/* With all its pages it runs for the whole length. */
	r.now = 700;
	granted(&r, PAGE(0, 1));
	expect_given_up_at(&r, 700 + HOLD, PAGE(0, 0), 2);
	expect_copy(&r, PAGE(0, 1), DSM_SHARED);
	rig_close(&r);
}

/* Node 1 runs, in a turn with ticket 6, since 10. It has fetched PAGE(0, 0). */
static void open_running(struct rig *r)
{
	rig_open(r, 1, HOLD);
	r->now = 10;
	see_ticket(r, PAGE(1, 0), 5);
	assert_int_equal(fault(r, PAGE(0, 0)), 6);
	granted(r, PAGE(0, 0));
}

/* Both would wait for each other until the turn is over. */
static void node_that_waits_again_gives_way_to_older_demands(void **state)
{
	struct rig r;

	open_running(&r);
	get_shared(&r, PAGE(0, 1));
	r.now = 500;
	demand(&r, PAGE(0, 0), 2, 5);
	demand(&r, PAGE(0, 1), 2, 7);
	assert_int_equal(r.count, 0); /* it runs */
	assert_int_equal(fault(&r, PAGE(0, 2)), 6);
	assert_int_equal(dsm_proto_deadline(r.p), 0);
	assert_int_equal(dsm_proto_tick(r.p, r.now), 0);
	expect_given_up(&r, PAGE(0, 0), 2);
	assert_int_equal(r.count, 0);
	expect_copy(&r, PAGE(0, 1), DSM_SHARED);
	rig_close(&r);
}

static void demand_is_as_old_as_who_waits_behind_it(void **state)
{
	struct rig r;

	open_running(&r);
	r.now = 500;
	assert_int_equal(fault(&r, PAGE(0, 1)), 6);
	urge(&r, PAGE(0, 0), 2, 5, 0); /* no demand: a late hint */
	demand(&r, PAGE(0, 0), 2, 7);
	urge(&r, PAGE(0, 0), 2, 6, 2);
	assert_int_equal(dsm_proto_tick(r.p, r.now), 0);
	assert_int_equal(r.count, 0); /* younger than this node's turn */
	urge(&r, PAGE(0, 0), 2, 6, 0);
	assert_int_equal(dsm_proto_tick(r.p, r.now), 0);
	expect_given_up(&r, PAGE(0, 0), 2);
	rig_close(&r);
}

static void request(struct rig *r, unsigned from, uint64_t gpa, uint8_t ticket)
{
	struct wire_hdr h = message(WIRE_GETM, from, from, gpa);

	h.ticket = ticket;
	assert_int_equal(dsm_proto_message(r->p, &h, NULL, r->now), 0);
}

static void home_lends_the_age_of_those_that_wait(void **state)
{
	struct wire_hdr h;
	struct rig r;

	rig_open(&r, 0, HOLD);
	r.now = 10;
	request(&r, 2, PAGE(0, 0), 0);
	expect_action(&r, DSM_TRACK, PAGE(0, 0));
	expect_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_WRITE | WIRE_GRANT_ZERO, 0);
	request(&r, 1, PAGE(0, 0), 0);
	expect_send(&r, WIRE_FWD_GETM, 2, 1, PAGE(0, 0));
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, r.now), 0);
	h = expect_send(&r, WIRE_URGE, 2, 1, PAGE(0, 0));
	assert_int_equal(h.ticket, 1);
	assert_int_equal(h.ticket_node, 0);
	request(&r, 2, PAGE(0, 0), 1); /* of two with the same number, the lower node's is older */
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 0)), 0);
	h = expect_send(&r, WIRE_FWD_GETM, 1, 0, PAGE(0, 0));
	assert_int_equal(h.ticket, 1);
	assert_int_equal(h.ticket_node, 0);
	/* A later demand carries the age of what has come to wait before it. */
	request(&r, 1, PAGE(0, 0), UINT8_MAX);
	h = expect_send(&r, WIRE_URGE, 2, 0, PAGE(0, 0));
	assert_int_equal(h.ticket, UINT8_MAX);
	assert_int_equal(h.ticket_node, 1);
	assert_int_equal(take_grant(&r, 1, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0), 0);
	expect_map(&r, PAGE(0, 0), page_data, true);
	assert_int_equal(r.count, 0); /* the next demand is for this node's copy, in its turn */
	assert_int_equal(dsm_proto_fault(r.p, PAGE(1, 1), true, r.now), 0);
	expect_send(&r, WIRE_GETM, 1, 0, PAGE(1, 1));
	assert_int_equal(dsm_proto_tick(r.p, r.now), 0);
	expect_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0);
	/* With that grant the next request begins. */
	h = expect_send(&r, WIRE_FWD_GETM, 2, 1, PAGE(0, 0));
	assert_int_equal(h.ticket, UINT8_MAX);
	assert_int_equal(h.ticket_node, 1);
	rig_close(&r);
}

static void older_demand_is_served_at_once_by_a_waiting_node(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	see_ticket(&r, PAGE(1, 0), 5);
	for (unsigned i = 0; i < 4; i++)
		get_shared(&r, PAGE(0, i));
	r.now = 500;
	assert_int_equal(fault(&r, PAGE(0, 9)), 6);
	demand(&r, PAGE(0, 0), 2, 5);
	expect_given_up(&r, PAGE(0, 0), 2);
	/* Between equal tickets the lower node is the older. */
	demand(&r, PAGE(0, 1), 0, 6);
	expect_given_up(&r, PAGE(0, 1), 0);
	demand(&r, PAGE(0, 2), 2, 6);
	assert_int_equal(r.count, 0);
	/* A prefetch, outside of any turn, is younger than all. */
	demand(&r, PAGE(0, 3), 0, 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(dsm_proto_stats(r.p)->held, 2);
	rig_close(&r);
}

static void tickets_go_round(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	see_ticket(&r, PAGE(1, 0), 100);
	see_ticket(&r, PAGE(1, 1), 200);
	see_ticket(&r, PAGE(1, 2), 150);
	see_ticket(&r, PAGE(1, 3), 255);
	get_shared(&r, PAGE(0, 0));
	get_shared(&r, PAGE(0, 1));
	assert_int_equal(fault(&r, PAGE(0, 9)), 1); /* 0 is no ticket */
	demand(&r, PAGE(0, 0), 2, 255);
	expect_given_up(&r, PAGE(0, 0), 2);
	demand(&r, PAGE(0, 1), 2, 2);
	assert_int_equal(r.count, 0);
	rig_close(&r);
}

static void idle_node_gives_way_at_once(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	get_shared(&r, PAGE(0, 0));
	r.now = 20;
	demand(&r, PAGE(0, 0), 2, 2);
	assert_int_equal(dsm_proto_deadline(r.p), 10 + HOLD);
	dsm_proto_set_idle(r.p, true);
	assert_in_range(dsm_proto_deadline(r.p), 0, r.now);
	assert_int_equal(r.count, 0);
	assert_int_equal(dsm_proto_tick(r.p, r.now), 0);
	expect_given_up(&r, PAGE(0, 0), 2);

	get_shared(&r, PAGE(0, 1));
	demand(&r, PAGE(0, 1), 2, 3);
	expect_given_up(&r, PAGE(0, 1), 2);
	/* Awake again, it has turns again. */
	dsm_proto_set_idle(r.p, false);
	r.now = 30 + HOLD;
	get_shared(&r, PAGE(0, 2));
	demand(&r, PAGE(0, 2), 2, 9);
	expect_given_up_at(&r, 30 + 2 * HOLD, PAGE(0, 2), 2);
	rig_close(&r);
}

static void node_that_yields_gives_way_soon(void **state)
{
	const uint64_t end = 10 + HOLD / YIELDED;
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	get_shared(&r, PAGE(0, 0));
	get_shared(&r, PAGE(0, 1));
	r.now = 20;
	demand(&r, PAGE(0, 0), 2, 9);
	assert_int_equal(r.count, 0);
	dsm_proto_yield(r.p);
	expect_given_up_at(&r, end, PAGE(0, 0), 2);
	demand(&r, PAGE(0, 1), 2, 9);
	expect_given_up(&r, PAGE(0, 1), 2);
	/* Its next fault begins a turn, which comes after the other's and has its full length. */
	assert_int_equal(fault(&r, PAGE(0, 2)), 10);
	granted(&r, PAGE(0, 2));
	demand(&r, PAGE(0, 2), 2, 9);
	expect_given_up_at(&r, end + HOLD, PAGE(0, 2), 2);
	rig_close(&r);
}

/* It is another CPU of the node that has yielded. */
static void who_waits_keeps_pages_and_ticket_when_its_node_yields(void **state)
{
	struct rig r;
	uint8_t ticket;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	ticket = fault(&r, PAGE(0, 0));
	granted(&r, PAGE(0, 0));
	assert_int_equal(fault(&r, PAGE(0, 1)), ticket);
	dsm_proto_yield(r.p);
	r.now = 20;
	demand(&r, PAGE(0, 0), 2, (uint8_t)(ticket + 1));
	assert_int_equal(r.count, 0);
	assert_int_equal(fault(&r, PAGE(0, 2)), ticket);
	granted(&r, PAGE(0, 1));
	r.now = 30;
	granted(&r, PAGE(0, 2));
	expect_given_up_at(&r, 30 + HOLD / YIELDED, PAGE(0, 0), 2);
	rig_close(&r);
}

static void turn_ends_although_faults_go_on(void **state)
{
	const uint64_t end = 10 + RUN_LENGTHS * HOLD;
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	get_shared(&r, PAGE(0, 0));
	demand(&r, PAGE(0, 0), 2, 2);
	for (unsigned i = 1; i < 2 * RUN_LENGTHS; i++) {
		r.now = 10 + i * HOLD / 2;
		get_shared(&r, PAGE(0, i));
		assert_int_equal(dsm_proto_deadline(r.p), MIN(r.now + HOLD, end));
		assert_int_equal(dsm_proto_tick(r.p, r.now), 0);
		assert_int_equal(r.count, 0);
	}
	expect_given_up_at(&r, end, PAGE(0, 0), 2);
	rig_close(&r);
}

/* Only a prefetched page can be here in such a turn. */
static void turn_that_never_runs_ends(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	fault(&r, PAGE(0, 0));
	assert_int_equal(dsm_proto_prefetch(r.p, PAGE(0, 1), false, r.now), 0);
	expect_send(&r, WIRE_GETS, 0, 1, PAGE(0, 1));
	granted(&r, PAGE(0, 1));
	demand(&r, PAGE(0, 1), 2, 2);
	expect_given_up_at(&r, 10 + WAIT_LENGTHS * HOLD, PAGE(0, 1), 2);
	rig_close(&r);
}

static void late_tick_does_not_carry_demands_into_the_next_turn(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	get_shared(&r, PAGE(0, 0));
	demand(&r, PAGE(0, 0), 2, 2);
	r.now = 10 + HOLD;
	assert_int_equal(fault(&r, PAGE(0, 1)), 3); /* a new turn, before the tick */
	assert_in_range(dsm_proto_deadline(r.p), 0, r.now);
	assert_int_equal(dsm_proto_tick(r.p, r.now), 0);
	expect_given_up(&r, PAGE(0, 0), 2);
	assert_true(dsm_proto_deadline(r.p) == UINT64_MAX);

	/* What came in the new turn is protected by it. */
	granted(&r, PAGE(0, 1));
	demand(&r, PAGE(0, 1), 2, 4);
	expect_given_up_at(&r, 10 + 2 * HOLD, PAGE(0, 1), 2);
	rig_close(&r);
}

static void page_that_this_node_asks_for_itself_is_not_kept(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	get_shared(&r, PAGE(0, 0));
	get_shared(&r, PAGE(0, 1));
	/* The demand was first: a prefetch does not give the page up, a fault does. */
	demand(&r, PAGE(0, 0), 2, 2);
	assert_int_equal(dsm_proto_prefetch(r.p, PAGE(0, 0), true, r.now), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, r.now), 0);
	expect_given_up(&r, PAGE(0, 0), 2);
	expect_send(&r, WIRE_GETM, 0, 1, PAGE(0, 0));
	/* The request was first. */
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 1), true, r.now), 0);
	expect_send(&r, WIRE_GETM, 0, 1, PAGE(0, 1));
	demand(&r, PAGE(0, 1), 2, 2);
	expect_given_up(&r, PAGE(0, 1), 2);
	assert_true(dsm_proto_deadline(r.p) == UINT64_MAX);
	rig_close(&r);
}

static void full_table_unprotects_the_oldest_page(void **state)
{
	struct rig r;
	const unsigned pool = 4 * PENDING + 64;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	for (unsigned i = 0; i <= pool; i++)
		get_shared(&r, PAGE(0, i));
	demand(&r, PAGE(0, 1), 2, 2);
	assert_int_equal(r.count, 0);
	demand(&r, PAGE(0, 0), 2, 2);
	expect_given_up(&r, PAGE(0, 0), 2);
	rig_close(&r);
}

static void prefetch_asks_once_and_a_fault_joins_it(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	assert_int_equal(dsm_proto_prefetch(r.p, PAGE(0, 0) + 5, false, r.now), 0);
	assert_int_equal(expect_send(&r, WIRE_GETS, 0, 1, PAGE(0, 0)).ticket, 0);
	assert_int_equal(dsm_proto_prefetch(r.p, PAGE(0, 0), true, r.now), 0);
	r.now = 20;
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), false, r.now), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(dsm_proto_waiting(r.p), 1);
	assert_int_equal(dsm_proto_stats(r.p)->prefetches, 1);
	assert_int_equal(dsm_proto_stats(r.p)->faults_remote, 0);
	/* The fault began a turn, which protects the page. */
	r.now = 30;
	granted(&r, PAGE(0, 0));
	demand(&r, PAGE(0, 0), 2, 9);
	expect_given_up_at(&r, 30 + HOLD, PAGE(0, 0), 2);
	rig_close(&r);
}

static void prefetch_begins_no_turn(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 10;
	assert_int_equal(dsm_proto_prefetch(r.p, PAGE(0, 0), false, r.now), 0);
	expect_send(&r, WIRE_GETS, 0, 1, PAGE(0, 0));
	granted(&r, PAGE(0, 0));
	demand(&r, PAGE(0, 0), 2, 9);
	expect_given_up(&r, PAGE(0, 0), 2);
	rig_close(&r);
}

static void prefetch_of_a_page_that_is_here_does_nothing(void **state)
{
	struct rig r;

	rig_open(&r, 1, 0);
	r.now = 10;
	get_shared(&r, PAGE(0, 0));
	get_owned(&r, PAGE(0, 1));
	assert_int_equal(dsm_proto_prefetch(r.p, PAGE(0, 0), false, r.now), 0);
	assert_int_equal(dsm_proto_prefetch(r.p, PAGE(0, 1), false, r.now), 0);
	assert_int_equal(dsm_proto_prefetch(r.p, PAGE(0, 1), true, r.now), 0);
	assert_int_equal(dsm_proto_prefetch(r.p, PAGE(1, 0), true, r.now), 0);
	assert_int_equal(dsm_proto_prefetch(r.p, NODES * REGION_BYTES, true, r.now), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(dsm_proto_stats(r.p)->prefetches, 0);
	/* A copy for reading is not enough for a write. */
	assert_int_equal(dsm_proto_prefetch(r.p, PAGE(0, 0), true, r.now), 0);
	expect_send(&r, WIRE_GETM, 0, 1, PAGE(0, 0));
	/* It takes no more places than there are. */
	for (unsigned i = 2; i < PENDING + 4; i++)
		assert_int_equal(dsm_proto_prefetch(r.p, PAGE(0, i), false, r.now), 0);
	assert_int_equal(r.count, PENDING - 1);
	assert_int_equal(dsm_proto_stats(r.p)->prefetches, PENDING);
	r.count = 0;
	rig_close(&r);
}

static void expect_turn(const struct rig *r, uint64_t now, enum turn_state state, uint64_t ended)
{
	struct turn_info info = dsm_proto_turn(r->p, now);

	assert_int_equal(info.ticket, 1);
	assert_int_equal(info.began, 10);
	assert_int_equal(info.state, state);
	if (state != TURN_GOES_ON)
		assert_int_equal(info.ended, ended);
}

/* A turn begins at 10, and its page is here at @ran, if it is not 0. */
static void begin_turn(struct rig *r, uint64_t ran)
{
	rig_open(r, 1, HOLD);
	assert_int_equal(dsm_proto_turn(r->p, 9).ticket, 0);
	r->now = 10;
	fault(r, PAGE(0, 0));
	if (!ran)
		return;
	r->now = ran;
	granted(r, PAGE(0, 0));
}

static void a_turn_tells_why_it_is_over(void **state)
{
	struct rig r;

	begin_turn(&r, 0);
	expect_turn(&r, 9 + WAIT_LENGTHS * HOLD, TURN_GOES_ON, 0);
	expect_turn(&r, 500000, TURN_NEVER_RAN, 10 + WAIT_LENGTHS * HOLD);
	rig_close(&r);

	begin_turn(&r, 20);
	expect_turn(&r, 19 + HOLD, TURN_GOES_ON, 0);
	expect_turn(&r, 500000, TURN_RAN, 20 + HOLD);
	dsm_proto_yield(r.p);
	expect_turn(&r, 500000, TURN_YIELDED, 20 + HOLD / YIELDED);
	dsm_proto_set_idle(r.p, true);
	expect_turn(&r, 15, TURN_IDLE, 15);
	rig_close(&r);

	begin_turn(&r, 20);
	fault(&r, PAGE(0, 1));
	expect_turn(&r, 19 + RUN_LENGTHS * HOLD, TURN_GOES_ON, 0);
	expect_turn(&r, 500000, TURN_RAN_OUT, 20 + RUN_LENGTHS * HOLD);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(running_node_keeps_its_pages_until_hold_ns),
		cmocka_unit_test(demand_after_the_turn_is_served_at_once),
		cmocka_unit_test(younger_demand_waits_while_the_older_node_waits),
		cmocka_unit_test(node_that_waits_again_gives_way_to_older_demands),
		cmocka_unit_test(demand_is_as_old_as_who_waits_behind_it),
		cmocka_unit_test(home_lends_the_age_of_those_that_wait),
		cmocka_unit_test(older_demand_is_served_at_once_by_a_waiting_node),
		cmocka_unit_test(tickets_go_round),
		cmocka_unit_test(idle_node_gives_way_at_once),
		cmocka_unit_test(node_that_yields_gives_way_soon),
		cmocka_unit_test(who_waits_keeps_pages_and_ticket_when_its_node_yields),
		cmocka_unit_test(turn_ends_although_faults_go_on),
		cmocka_unit_test(turn_that_never_runs_ends),
		cmocka_unit_test(a_turn_tells_why_it_is_over),
		cmocka_unit_test(late_tick_does_not_carry_demands_into_the_next_turn),
		cmocka_unit_test(page_that_this_node_asks_for_itself_is_not_kept),
		cmocka_unit_test(full_table_unprotects_the_oldest_page),
		cmocka_unit_test(prefetch_asks_once_and_a_fault_joins_it),
		cmocka_unit_test(prefetch_begins_no_turn),
		cmocka_unit_test(prefetch_of_a_page_that_is_here_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
