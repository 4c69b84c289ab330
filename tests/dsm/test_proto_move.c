/* SPDX-License-Identifier: Apache-2.0 */
/* A region gets another home (dsm/proto_move.c): each part in it, and what is refused. */
#include "dsm/directory.h"
#include "tests/dsm/rig.h"

#define PART (WIRE_HOME_PAGES * PAGE_BYTES)

static int take_ack(struct rig *r, unsigned from, unsigned new_home, unsigned flags)
{
	struct wire_hdr h = message(WIRE_REHOME_ACK, from, new_home, PAGE(0, 0));

	h.flags = (uint8_t)flags;
	return dsm_proto_message(r->p, &h, NULL, r->now);
}

/* A part of the directory of node 0's region, of which page 0 has an entry. */
static int take_home(struct rig *r, unsigned from, uint64_t gpa, uint64_t sharers, uint8_t owner)
{
	struct wire_hdr h = message(WIRE_HOME, from, r->self, gpa);
	struct wire_home home = {.sharers = {sharers}};

	memset(home.owner, NO_NODE, sizeof(home.owner));
	home.owner[0] = owner;
	h.len = sizeof(home);
	return dsm_proto_message(r->p, &h, &home, r->now);
}

static void expect_home(const struct rig *r, int home)
{
	assert_int_equal(dsm_proto_home(r->p, PAGE(0, 0)), home);
}

/* Node 0 is home, node 1 owns page 0, and the move to node 1 has begun. */
static void begin(struct rig *r)
{
	rig_open(r, 0, 0);
	r->populated = 2;
	assert_int_equal(take(r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0);
	r->count = 0;
	assert_int_equal(dsm_proto_move(r->p, PAGE(0, 5), 1), 1);
	expect_send(r, WIRE_REHOME, 1, 1, PAGE(0, 0));
}

static void old_home_hands_over(void **state)
{
	struct dsm_action a;
	struct rig r;

	begin(&r);
	/* What comes waits, and is forgotten in the end: who asks is told, and asks again. */
	assert_int_equal(take(&r, WIRE_GETS, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(take(&r, WIRE_PUT, 1, 1, PAGE(0, 0)), 0);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), false, 0), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(take_ack(&r, 2, 1, 0), -EPROTO); /* was not asked */
	assert_int_equal(take_ack(&r, 1, 2, 0), -EPROTO);
	assert_int_equal(take_ack(&r, 1, 1, 0), 0);
	expect_send(&r, WIRE_REHOME, 2, 1, PAGE(0, 0));
	assert_int_equal(take_ack(&r, 1, 1, 0), -EPROTO);
	assert_int_equal(take_ack(&r, 2, 1, WIRE_REHOME_REFUSED), -EPROTO); /* too late */
	expect_home(&r, 0);
	assert_int_equal(take_ack(&r, 2, 1, 0), 0);
	for (unsigned part = 0; part < 2; part++) {
		a = rig_next(&r);
		assert_int_equal(a.send.hdr.type, WIRE_HOME);
		assert_int_equal(a.send.to, 1);
		assert_int_equal(a.send.hdr.addr, PAGE(0, 0) + part * PART);
		assert_int_equal(a.send.hdr.len, sizeof(struct wire_home));
	}
	expect_action(&r, DSM_LEFT, PAGE(0, 0));
	expect_send(&r, WIRE_GETS, 1, 0, PAGE(0, 0)); /* its own request */
	expect_home(&r, 1);
	expect_copy(&r, PAGE(0, 1), DSM_OWNED);
	assert_int_equal(dsm_proto_stats(r.p)->tracked_regions, 0);
	assert_int_equal(dsm_proto_stats(r.p)->regions_left, 1);
	assert_int_equal(dsm_proto_stats(r.p)->memory, REGION_PAGES);
	/* The new home takes one of its pages away, and lets it have the other. */
	assert_int_equal(take(&r, WIRE_FWD_GETM, 1, 2, PAGE(0, 1)), 0);
	expect_grant(&r, 2, PAGE(0, 1), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0);
	assert_int_equal(take_grant(&r, 1, PAGE(0, 0), WIRE_GRANT_DATA, 0), 0);
	expect_map(&r, PAGE(0, 0), page_data, false);
	rig_close(&r);
}

static void refused_move_has_not_happened(void **state)
{
	struct rig r;

	begin(&r);
	assert_int_equal(take(&r, WIRE_GETS, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(dsm_proto_move(r.p, PAGE(0, 0), 2), 0); /* one at a time */
	assert_int_equal(dsm_proto_untrack(r.p, PAGE(0, 0)), 0);
	assert_int_equal(take_ack(&r, 1, 1, WIRE_REHOME_REFUSED), 0);
	assert_int_equal(dsm_proto_stats(r.p)->regions_refused, 1);
	assert_int_equal(dsm_proto_stats(r.p)->regions_left, 0);
	expect_send(&r, WIRE_FWD_GETS, 1, 2, PAGE(0, 0));
	expect_home(&r, 0);
	assert_int_equal(dsm_proto_move(r.p, PAGE(0, 0), 1), 0); /* something is under way */
	assert_int_equal(take(&r, WIRE_DONE, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(dsm_proto_move(r.p, PAGE(0, 0), 0), 0);
	assert_int_equal(dsm_proto_move(r.p, PAGE(0, 0), NODES), 0);
	assert_int_equal(dsm_proto_move(r.p, PAGE(1, 0), 2), 0);
	assert_int_equal(dsm_proto_move(r.p, UINT64_MAX, 1), 0);
	rig_close(&r);
}

static void new_home_begins_with_the_directory(void **state)
{
	struct dsm_page_info info;
	struct rig r;

	rig_open(&r, 1, 0);
	get_shared(&r, PAGE(0, 0));
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 1), true, 0), 0);
	expect_send(&r, WIRE_GETM, 0, 1, PAGE(0, 1));
	assert_int_equal(take(&r, WIRE_REHOME, 0, 1, PAGE(0, 0)), 0);
	expect_action(&r, DSM_CAME, PAGE(0, 0));
	expect_send(&r, WIRE_REHOME_ACK, 0, 1, PAGE(0, 0));
	expect_home(&r, 1);
	assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 1), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0),
			 -EPROTO); /* its home has not begun */
	assert_int_equal(take_home(&r, 0, PAGE(0, 0) + PART, 0, NO_NODE), 0);
	assert_int_equal(take_home(&r, 0, PAGE(0, 0) + PART, 0, NO_NODE), -EPROTO);
	assert_int_equal(r.count, 0);
	assert_int_equal(take_home(&r, 0, PAGE(0, 0), 3, NO_NODE), 0);
	/* The copy that is here is the nearest; node 0 has to drop its own. */
	expect_send(&r, WIRE_INV, 0, 2, PAGE(0, 0));
	expect_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 1);
	expect_map(&r, PAGE(0, 1), NULL, true); /* its own request: nobody had that page */
	dsm_proto_page(r.p, PAGE(0, 0), &info);
	assert_int_equal(info.owner, 2);
	assert_int_equal(dsm_proto_stats(r.p)->regions_came, 1);
	assert_int_equal(dsm_proto_stats(r.p)->memory, 16 * REGION_PAGES);
	rig_close(&r);
}

static void others_ask_the_new_home(void **state)
{
	struct rig r;

	rig_open(&r, 2, 0);
	get_shared(&r, PAGE(0, 0));
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 1), true, 0), 0);
	expect_send(&r, WIRE_GETM, 0, 2, PAGE(0, 1));
	assert_int_equal(take(&r, WIRE_REHOME, 0, 1, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_REHOME_ACK, 0, 1, PAGE(0, 0));
	expect_send(&r, WIRE_GETM, 1, 2, PAGE(0, 1));
	expect_home(&r, 1);
	assert_int_equal(take(&r, WIRE_INV, 0, 1, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_INV, 1, 0, PAGE(0, 0)), 0);
	expect_action(&r, DSM_DROP, PAGE(0, 0));
	expect_send(&r, WIRE_INV_ACK, 0, 0, PAGE(0, 0));
	/* And on, also back to where it came from. */
	assert_int_equal(take(&r, WIRE_REHOME, 0, 1, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_REHOME, 1, 0, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_REHOME_ACK, 1, 0, PAGE(0, 0));
	expect_send(&r, WIRE_GETM, 0, 2, PAGE(0, 1));
	rig_close(&r);
}

static void broken_protocol_changes_nothing(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 1;
	get_shared(&r, PAGE(0, 0));
	assert_int_equal(take(&r, WIRE_REHOME, 2, 1, PAGE(0, 0)), -EPROTO); /* not its home */
	assert_int_equal(take(&r, WIRE_REHOME, 0, 0, PAGE(0, 0)), -EPROTO); /* to where it is */
	assert_int_equal(take(&r, WIRE_REHOME, 0, 1, PAGE(0, 1)), -EPROTO); /* no region */
	assert_int_equal(take(&r, WIRE_REHOME, 0, 2, PAGE(1, 0)), -EPROTO); /* at home here */
	assert_int_equal(take_home(&r, 0, PAGE(0, 0), 0, NO_NODE), -EPROTO);
	assert_int_equal(take_home(&r, 0, PAGE(1, 0), 0, NO_NODE), -EPROTO); /* does not arrive */
	assert_int_equal(take_ack(&r, 0, 1, 0), -EPROTO);
	/* A demand that is held was made by a transaction that is not over. */
	assert_int_equal(take(&r, WIRE_INV, 0, 2, PAGE(0, 0)), 0);
	assert_int_equal(take(&r, WIRE_REHOME, 0, 2, PAGE(0, 0)), -EPROTO);
	expect_home(&r, 0);
	assert_int_equal(dsm_proto_tick(r.p, HOLD + 2), 0);
	r.count = 0;
	get_shared(&r, PAGE(0, 0));
	assert_int_equal(take(&r, WIRE_REHOME, 0, 1, PAGE(0, 0)), 0);
	r.count = 0;
	assert_int_equal(take(&r, WIRE_GETS, 2, 2, PAGE(0, 0)), 0);
	/* Who is not the old home; no part; absurd nodes; what is not so here; who has it asks. */
	assert_int_equal(take_home(&r, 2, PAGE(0, 0), 3, NO_NODE), -EPROTO);
	assert_int_equal(take_home(&r, 0, PAGE(0, 4), 3, NO_NODE), -EPROTO);
	assert_int_equal(take_home(&r, 0, PAGE(0, 0), 3 | 1 << NODES, NO_NODE), -EPROTO);
	assert_int_equal(take_home(&r, 0, PAGE(0, 0), 2, NODES), -EPROTO);
	assert_int_equal(take_home(&r, 0, PAGE(0, 0), 3, 0), -EPROTO);
	assert_int_equal(take_home(&r, 0, PAGE(0, 0), 1, NO_NODE), -EPROTO);
	assert_int_equal(take_home(&r, 0, PAGE(0, 0), 2, 1), -EPROTO);
	assert_int_equal(take_home(&r, 0, PAGE(0, 0), 6, NO_NODE), -EPROTO);
	assert_int_equal(take_home(&r, 0, PAGE(0, 0), 3, NO_NODE), 0);
	assert_int_equal(r.count, 0);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_home_hands_over),
		cmocka_unit_test(refused_move_has_not_happened),
		cmocka_unit_test(new_home_begins_with_the_directory),
		cmocka_unit_test(others_ask_the_new_home),
		cmocka_unit_test(broken_protocol_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
