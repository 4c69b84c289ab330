/* SPDX-License-Identifier: Apache-2.0 */
/* Copies that go back to their home: who offers what, and what the home makes of it. */
#include "tests/dsm/rig.h"

/* The home 0 has the region, with page 0 in it, and node 1 reads the page. */
static void share(struct rig *r, unsigned node)
{
	r->populated = 1;
	assert_int_equal(take(r, WIRE_GETS, node, node, PAGE(0, 0)), 0);
	r->count = 0;
}

static void expect_directory(const struct rig *r, uint64_t gpa, int owner, uint64_t sharers)
{
	struct dsm_page_info info;

	dsm_proto_page(r->p, gpa, &info);
	assert_int_equal(info.owner, owner);
	assert_int_equal(info.sharers, sharers);
}

static void one_of_several_copies_is_dropped(void **state)
{
	struct rig r;

	rig_open(&r, 0, 0);
	share(&r, 1);
	assert_int_equal(take(&r, WIRE_PUT, 1, 1, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_DROP, 1, 1, PAGE(0, 0));
	expect_directory(&r, PAGE(0, 0), -1, 1);
	/* Nobody is granted the page for writing before the copy is gone; not by a DONE either. */
	assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_DROPPED, 2, 2, PAGE(0, 0)), -EPROTO);
	assert_int_equal(r.count, 0);
	assert_int_equal(take(&r, WIRE_DROPPED, 1, 1, PAGE(0, 0)), 0);
	expect_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0);
	assert_int_equal(take(&r, WIRE_DROPPED, 2, 2, PAGE(0, 0)), -EPROTO);
	assert_int_equal(dsm_proto_stats(r.p)->returns, 1);
	rig_close(&r);
}

static void owned_page_goes_home(void **state)
{
	struct rig r;

	rig_open(&r, 0, 0);
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0);
	expect_action(&r, DSM_TRACK, PAGE(0, 0));
	expect_grant(&r, 1, PAGE(0, 0), WIRE_GRANT_ZERO | WIRE_GRANT_WRITE, 0);
	assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_FWD_GETM, 1, 2, PAGE(0, 0));
	/* A grant is under way: the hint comes too early. */
	assert_int_equal(take(&r, WIRE_PUT, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(take(&r, WIRE_DONE, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(take(&r, WIRE_PUT, 2, 2, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_FWD_GETM, 2, 0, PAGE(0, 0));
	assert_int_equal(dsm_proto_waiting(r.p), 1);
	/* A second hint about the same page, and one of a page that has left. */
	assert_int_equal(take(&r, WIRE_PUT, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(take_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0), 0);
	expect_map(&r, PAGE(0, 0), page_data, true);
	expect_directory(&r, PAGE(0, 0), 0, 1);
	assert_int_equal(take(&r, WIRE_PUT, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(take(&r, WIRE_PUT, 2, 2, PAGE(0, 9)), 0);
	assert_int_equal(dsm_proto_waiting(r.p), 0);
	assert_int_equal(dsm_proto_stats(r.p)->returns, 1);
	rig_close(&r);
}

/* The home has no copy: what the last sharer has is the only one. */
static void last_copy_goes_home(void **state)
{
	struct rig r;

	rig_open(&r, 0, 0);
	share(&r, 1);
	share(&r, 2);
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0);
	r.count = 0; /* an upgrade against the home and node 2 */
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 0)), 0);
	assert_int_equal(take(&r, WIRE_GETS, 2, 2, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_FWD_GETS, 1, 2, PAGE(0, 0));
	assert_int_equal(take(&r, WIRE_DONE, 2, 2, PAGE(0, 0)), 0);
	expect_directory(&r, PAGE(0, 0), -1, 6);
	assert_int_equal(take(&r, WIRE_PUT, 1, 1, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_DROP, 1, 1, PAGE(0, 0));
	assert_int_equal(take(&r, WIRE_DROPPED, 1, 1, PAGE(0, 0)), 0);
	assert_int_equal(take(&r, WIRE_PUT, 2, 2, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_FWD_GETM, 2, 0, PAGE(0, 0));
	rig_close(&r);
}

static void home_that_waits_for_much_fetches_nothing(void **state)
{
	struct rig r;

	rig_open(&r, 0, 0);
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0);
	for (unsigned i = 0; i < PENDING / 2; i++)
		assert_int_equal(dsm_proto_fault(r.p, PAGE(1, i), false, 0), 0);
	r.count = 0;
	assert_int_equal(take(&r, WIRE_PUT, 1, 1, PAGE(0, 0)), 0);
	assert_int_equal(r.count, 0);
	expect_directory(&r, PAGE(0, 0), 1, 2);
	rig_close(&r);
}

static void what_is_offered(void **state)
{
	struct rig r;

	rig_open(&r, 1, HOLD);
	r.now = 1;
	assert_int_equal(dsm_proto_put(r.p, NODES * REGION_BYTES), 0);
	assert_int_equal(dsm_proto_put(r.p, PAGE(1, 0)), 0); /* at home */
	assert_int_equal(dsm_proto_put(r.p, PAGE(0, 0)), 0); /* not here */
	get_shared(&r, PAGE(0, 0));
	assert_int_equal(dsm_proto_put(r.p, PAGE(0, 0) + 5), 1);
	expect_send(&r, WIRE_PUT, 0, 1, PAGE(0, 0));
	expect_copy(&r, PAGE(0, 0), DSM_SHARED);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, r.now), 0);
	expect_send(&r, WIRE_GETM, 0, 1, PAGE(0, 0));
	assert_int_equal(dsm_proto_put(r.p, PAGE(0, 0)), 0); /* under way */
	/* The offer was taken before the request came: that will bring the data. */
	assert_int_equal(take(&r, WIRE_DROP, 0, 1, PAGE(0, 0)), 0);
	expect_action(&r, DSM_DROP, PAGE(0, 0));
	expect_send(&r, WIRE_DROPPED, 0, 1, PAGE(0, 0));
	expect_copy(&r, PAGE(0, 0), DSM_NONE);
	assert_int_equal(take_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0), 0);
	expect_map(&r, PAGE(0, 0), page_data, true);
	expect_send(&r, WIRE_DONE, 0, 1, PAGE(0, 0));
	assert_int_equal(dsm_proto_stats(r.p)->offers, 1);
	rig_close(&r);
}

/* A turn protects an offered page as any other, and who waits behind the offer may be older. */
static void offered_page_stays_for_its_turn(void **state)
{
	struct rig r;
	struct wire_hdr h = message(WIRE_URGE, 0, 1, PAGE(0, 0));

	rig_open(&r, 1, HOLD);
	r.now = 1000;
	get_shared(&r, PAGE(0, 0));
	assert_int_equal(take(&r, WIRE_DROP, 0, 1, PAGE(0, 0)), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(dsm_proto_put(r.p, PAGE(0, 0)), 0); /* demanded */
	assert_int_equal(dsm_proto_message(r.p, &h, NULL, r.now), 0);
	assert_int_equal(dsm_proto_tick(r.p, r.now + HOLD), 0);
	expect_action(&r, DSM_DROP, PAGE(0, 0));
	expect_send(&r, WIRE_DROPPED, 0, 1, PAGE(0, 0));
	rig_close(&r);
}

static void home_urges_who_gives_back(void **state)
{
	struct rig r;
	struct wire_hdr h = message(WIRE_GETM, 2, 2, PAGE(0, 0));

	rig_open(&r, 0, HOLD);
	r.now = 1;
	share(&r, 1);
	assert_int_equal(take(&r, WIRE_PUT, 1, 1, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_DROP, 1, 1, PAGE(0, 0));
	h.ticket = 9;
	assert_int_equal(dsm_proto_message(r.p, &h, NULL, r.now), 0);
	h = expect_send(&r, WIRE_URGE, 1, 1, PAGE(0, 0));
	assert_int_equal(h.ticket, 9);
	assert_int_equal(h.ticket_node, 2);
	rig_close(&r);
}

static void region_of_the_home_alone_becomes_plain(void **state)
{
	struct dsm_page_info info;
	struct rig r;

	rig_open(&r, 0, 0);
	assert_int_equal(dsm_proto_untrack(r.p, PAGE(0, 0)), 0); /* is not tracked */
	share(&r, 1);
	assert_int_equal(dsm_proto_untrack(r.p, PAGE(0, 0)), 0);
	assert_int_equal(dsm_proto_untrack(r.p, PAGE(1, 0)), 0); /* not at home */
	assert_int_equal(dsm_proto_untrack(r.p, UINT64_MAX), 0);
	assert_int_equal(take(&r, WIRE_PUT, 1, 1, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_DROP, 1, 1, PAGE(0, 0));
	assert_int_equal(dsm_proto_untrack(r.p, PAGE(0, 7)), 0); /* under way */
	assert_int_equal(take(&r, WIRE_DROPPED, 1, 1, PAGE(0, 0)), 0);
	assert_int_equal(dsm_proto_untrack(r.p, PAGE(0, 7) + 1), 1);
	expect_action(&r, DSM_UNTRACK, PAGE(0, 0));
	dsm_proto_page(r.p, PAGE(0, 0), &info);
	assert_false(info.tracked);
	assert_int_equal(dsm_proto_stats(r.p)->tracked_regions, 0);
	assert_int_equal(dsm_proto_stats(r.p)->memory, 0);
	/* A hint that was on its way; a thread that waited; and the next request from outside. */
	assert_int_equal(take(&r, WIRE_PUT, 1, 1, PAGE(0, 0)), 0);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, 0), 1);
	expect_action(&r, DSM_WAKE, PAGE(0, 0));
	assert_int_equal(take(&r, WIRE_GETS, 1, 1, PAGE(0, 0)), 0);
	expect_action(&r, DSM_TRACK, PAGE(0, 0));
	expect_action(&r, DSM_PROTECT, PAGE(0, 0));
	expect_grant(&r, 1, PAGE(0, 0), WIRE_GRANT_DATA, 0);
	rig_close(&r);
}

static void broken_protocol_changes_nothing(void **state)
{
	struct rig r;

	rig_open(&r, 1, 0);
	get_shared(&r, PAGE(0, 0));
	get_owned(&r, PAGE(0, 1));
	assert_int_equal(take(&r, WIRE_DROP, 2, 1, PAGE(0, 0)), -EPROTO); /* not the home */
	assert_int_equal(take(&r, WIRE_DROP, 0, 2, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_DROP, 0, 1, PAGE(0, 1)), -EPROTO); /* the only copy */
	assert_int_equal(take(&r, WIRE_DROP, 0, 1, PAGE(0, 2)), -EPROTO); /* not here */
	assert_int_equal(take(&r, WIRE_PUT, 2, 2, PAGE(0, 0)), -EPROTO);  /* not at home here */
	assert_int_equal(take(&r, WIRE_PUT, 2, 0, PAGE(1, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_DROPPED, 2, 2, PAGE(1, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_DROPPED, 2, 2, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_PUT, 2, 2, PAGE(1, 0)), 0); /* not tracked: no matter */
	expect_copy(&r, PAGE(0, 0), DSM_SHARED);
	expect_copy(&r, PAGE(0, 1), DSM_OWNED);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_of_several_copies_is_dropped),
		cmocka_unit_test(owned_page_goes_home),
		cmocka_unit_test(last_copy_goes_home),
		cmocka_unit_test(home_that_waits_for_much_fetches_nothing),
		cmocka_unit_test(what_is_offered),
		cmocka_unit_test(offered_page_stays_for_its_turn),
		cmocka_unit_test(home_urges_who_gives_back),
		cmocka_unit_test(region_of_the_home_alone_becomes_plain),
		cmocka_unit_test(broken_protocol_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
