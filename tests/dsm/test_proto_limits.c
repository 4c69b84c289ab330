/* SPDX-License-Identifier: Apache-2.0 */
/* What the protocol core refuses: floods, broken protocol, failed actions, bad configuration. */
#include "tests/dsm/rig.h"

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
	for (unsigned i = 0; i <= PENDING; i++) {
		assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, i)), 0);
		assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, i)), 0);
	}
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
	r.now = 10;
	assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, 9)), 0); /* tracks the region */
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, r.now), 1);
	r.count = 0;
	assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), 0); /* held: our turn */
	assert_int_equal(take(&r, WIRE_GETM, 2, 2, PAGE(0, 0)), 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_DONE, 2, 2, PAGE(0, 0)), -EPROTO);
	/* Nor a grant of its own page that it has not begun to ask for. */
	r.now = dsm_proto_deadline(r.p);
	assert_int_equal(r.now, 10 + HOLD);
	assert_int_equal(dsm_proto_tick(r.p, r.now), 0);
	expect_grant(&r, 1, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0);
	expect_send(&r, WIRE_FWD_GETM, 1, 2, PAGE(0, 0));
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), true, r.now), 0);
	expect_send(&r, WIRE_URGE, 1, 2, PAGE(0, 0));
	assert_int_equal(take_grant(&r, 2, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 0),
			 -EPROTO);
	assert_int_equal(take(&r, WIRE_INV_ACK, 2, 0, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_DONE, 1, 1, PAGE(0, 0)), -EPROTO);
	assert_int_equal(take(&r, WIRE_DONE, 2, 2, PAGE(0, 0)), 0);
	expect_send(&r, WIRE_FWD_GETM, 2, 0, PAGE(0, 0));
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

/* The linker puts this before the C library's (--wrap). */
static unsigned calloc_fails; /* which call from now on; 0: none */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return calloc_fails && --calloc_fails == 0 ? NULL : __real_calloc(count, size);
}

/* Whichever of its parts there is no memory for; the sanitizers see what is left behind. */
static void a_core_without_memory_is_none(void **state)
{
	const struct dsm_proto_config cfg = {.nodes = 2,
					     .max_pending = PENDING,
					     .home = rig_home,
					     .emit = rig_record,
					     .gpa_end = 2 * REGION_BYTES};
	struct dsm_proto *p = NULL;
	unsigned calls = 0;

	for (int r = -ENOMEM; r < 0; calls++) {
		calloc_fails = calls + 1;
		r = dsm_proto_new(&cfg, &p);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_null(p);
	}
	assert_true(calls > 1);
	calloc_fails = 0;
	dsm_proto_free(p);
}

/* A table of the directory cannot be made: of a region at home here, of another home's. */
static void without_memory_for_its_directory_the_core_ends(void **state)
{
	for (unsigned home = 0; home < 2; home++) {
		struct rig r;

		rig_open(&r, 0, 0);
		calloc_fails = 1;
		if (home == 0)
			assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), -ENOMEM);
		else
			assert_int_equal(dsm_proto_fault(r.p, PAGE(1, 0), false, 0), -ENOMEM);
		assert_int_equal(calloc_fails, 0);
		/* Nothing was asked for or granted, and nothing will be. */
		if (home == 0)
			expect_action(&r, DSM_TRACK, PAGE(0, 0));
		assert_int_equal(dsm_proto_stats(r.p)->memory, 0);
		assert_int_equal(dsm_proto_stats(r.p)->tracked_regions, 0);
		assert_int_equal(take(&r, WIRE_GETM, 1, 1, PAGE(0, 0)), -ENOMEM);
		assert_int_equal(dsm_proto_fault(r.p, PAGE(1, 0), false, 0), -ENOMEM);
		rig_close(&r);
	}
}

static void configuration_is_checked(void **state)
{
	struct dsm_proto *p;
	const struct dsm_proto_config good = {.self = 0,
					      .nodes = 1,
					      .max_pending = 1,
					      .home = rig_home,
					      .emit = rig_record,
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
		cmocka_unit_test(too_many_requests_must_come_again),
		cmocka_unit_test(flood_of_requests_hits_its_own_limit),
		cmocka_unit_test(broken_protocol_changes_nothing),
		cmocka_unit_test(home_does_not_believe_an_early_done),
		cmocka_unit_test(failed_action_ends_the_core),
		cmocka_unit_test(a_core_without_memory_is_none),
		cmocka_unit_test(without_memory_for_its_directory_the_core_ends),
		cmocka_unit_test(configuration_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
