/* SPDX-License-Identifier: Apache-2.0 */
/* The races of the protocol that have names, one by one; turns: test_proto_turns.c. */
#include "tests/dsm/rig.h"

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
	assert_false(info.busy);
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
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 5)), -EPROTO);

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
	/* The home's copy goes before its grant, and is not acknowledged. */
	assert_int_equal(take(&r, WIRE_INV_ACK, 0, 1, PAGE(0, 0)), -EPROTO);
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

static void owner_protects_and_gives(void **state)
{
	struct rig r;
	struct wire_hdr h = message(WIRE_FWD_GETM, 0, 2, PAGE(0, 0));

	rig_open(&r, 1, 0);
	get_owned(&r, PAGE(0, 0));
	assert_int_equal(dsm_proto_message(r.p, &h, NULL, 0), 0);
	expect_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0);
	expect_copy(&r, PAGE(0, 0), DSM_NONE);

	/* A sharer that gives its copy away passes on how many others must acknowledge. */
	get_shared(&r, PAGE(0, 1));
	h = message(WIRE_FWD_GETM, 0, 2, PAGE(0, 1));
	h.acks = 1;
	assert_int_equal(dsm_proto_message(r.p, &h, NULL, 0), 0);
	expect_grant(&r, 2, PAGE(0, 1), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 1);

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

/* The home 0 and nodes 1 and 2 have a copy. */
static void share(struct rig *r)
{
	rig_open(r, 0, 0);
	r->populated = 1;
	assert_int_equal(take(r, WIRE_GETS, 1, 1, PAGE(0, 0)), 0);
	assert_int_equal(take(r, WIRE_GETS, 2, 2, PAGE(0, 0)), 0);
	expect_action(r, DSM_TRACK, PAGE(0, 0));
	expect_action(r, DSM_PROTECT, PAGE(0, 0));
	expect_grant(r, 1, PAGE(0, 0), WIRE_GRANT_DATA, 0);
	expect_grant(r, 2, PAGE(0, 0), WIRE_GRANT_DATA, 0);
}

static void upgrade_drops_the_home_s_copy_first(void **state)
{
	struct rig r;

	share(&r);
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_INV, 2, 1, PAGE(0, 0));
	expect_action(&r, DSM_DROP, PAGE(0, 0));
	expect_grant(&r, 1, PAGE(0, 0), WIRE_GRANT_WRITE, 1);
	rig_close(&r);
}

static void home_that_grants_is_done_unless_others_acknowledge(void **state)
{
	struct rig r;

	share(&r);
	assert_int_equal(take(&r, WIRE_DONE, 2, 2, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0);
	r.count = 0;
	/* Node 2 has still to acknowledge to node 1. */
	assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_FWD_GETM, 1, 2, PAGE(0, 0));
	rig_close(&r);
}

static void next_request_begins_behind_the_grant(void **state)
{
	struct rig r;

	rig_open(&r, 0, 0);
	r.populated = 1;
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0);
	expect_action(&r, DSM_TRACK, PAGE(0, 0));
	expect_grant(&r, 1, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0);
	assert_int_equal(take(&r, WIRE_GETS, 2, 2, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_FWD_GETS, 1, 2, PAGE(0, 0));
	/* That one is node 1's to grant: it lasts until DONE. */
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(dsm_proto_stats(r.p)->queued, 1);
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_DONE, 2, 2, PAGE(0, 0)), 0);
	expect_grant(&r, 1, PAGE(0, 0), WIRE_GRANT_WRITE, 1);
	expect_send(&r, WIRE_INV, 2, 1, PAGE(0, 0));
	rig_close(&r);
}

/* A request that comes while the one before it needs a DONE, from the node that says it. */
static void request_that_overtakes_its_own_done_waits(void **state)
{
	struct rig r;

	share(&r);
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0);
	r.count = 0;
	assert_int_equal(take(&r, WIRE_GETS, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_FWD_GETS, 1, 2, PAGE(0, 0));
	assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(take(&r, WIRE_DONE, 2, 2, PAGE(0, 0)), 0);
	expect_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_WRITE, 1);
	expect_send(&r, WIRE_INV, 1, 2, PAGE(0, 0));
	rig_close(&r);
}

static void requests_are_served_in_the_order_of_arrival(void **state)
{
	struct rig r;

	rig_open(&r, 0, 0);
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0);
	r.count = 0;
	assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_FWD_GETM, 1, 2, PAGE(0, 0));
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), false, 0), 0);
	expect_send(&r, WIRE_URGE, 1, 2, PAGE(0, 0)); /* the others have no tickets */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_request_from_outside_tracks_the_region),
		cmocka_unit_test(zero_page_is_granted_for_writing_to_a_reader),
		cmocka_unit_test(ack_may_come_before_the_grant),
		cmocka_unit_test(grant_before_the_ack_is_readable_at_once),
		cmocka_unit_test(owner_protects_and_gives),
		cmocka_unit_test(upgrade_that_lost_the_race_gets_data),
		cmocka_unit_test(upgrade_drops_the_home_s_copy_first),
		cmocka_unit_test(home_that_grants_is_done_unless_others_acknowledge),
		cmocka_unit_test(next_request_begins_behind_the_grant),
		cmocka_unit_test(request_that_overtakes_its_own_done_waits),
		cmocka_unit_test(requests_are_served_in_the_order_of_arrival),
		cmocka_unit_test(write_that_joins_a_read_faults_again),
		cmocka_unit_test(stale_events_are_answered_at_once),
		cmocka_unit_test(zero_may_come_in_place_of_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
