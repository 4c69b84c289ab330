/* SPDX-License-Identifier: Apache-2.0 */
/* A page under way is one record (dsm/underway.h): found once an event, timed, and given back. */
#include "dsm/proto_impl.h"
#include "tests/dsm/rig.h"

#define READER 1
#define WRITER 2
#define LATER  UINT64_C(1000000)

/* Look-ups since the last question. The linker puts these before the core's (--wrap). */
static struct {
	unsigned record, directory;
} looks;

struct underway *__real_underway_find(const struct underway_table *t, uint64_t gpa);
struct underway *__wrap_underway_find(const struct underway_table *t, uint64_t gpa);
struct home_entry *__real_directory_home(const struct directory *d, uint64_t gpa);
struct home_entry *__wrap_directory_home(const struct directory *d, uint64_t gpa);
uint8_t *__real_directory_copy(const struct directory *d, uint64_t gpa);
uint8_t *__wrap_directory_copy(const struct directory *d, uint64_t gpa);

struct underway *__wrap_underway_find(const struct underway_table *t, uint64_t gpa)
{
	looks.record++;
	return __real_underway_find(t, gpa);
}

struct home_entry *__wrap_directory_home(const struct directory *d, uint64_t gpa)
{
	looks.directory++;
	return __real_directory_home(d, gpa);
}

uint8_t *__wrap_directory_copy(const struct directory *d, uint64_t gpa)
{
	looks.directory++;
	return __real_directory_copy(d, gpa);
}

/* What just happened was one event, of whatever size. */
static void expect_one_look(struct rig *r)
{
	assert_int_equal(looks.record, 1);
	assert_int_equal(looks.directory, 1);
	looks.record = looks.directory = 0;
	r->count = 0;
}

/* Three events make a remote read: a fault, a request, a grant. */
static void who_asks_looks_once_an_event(void **state)
{
	struct rig r;

	rig_open(&r, READER, HOLD);
	r.now = 1;
	looks.record = looks.directory = 0;
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 1), DSM_READ, r.now), 0);
	expect_one_look(&r);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 1), DSM_READ, r.now), 0);
	expect_one_look(&r);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 1), WIRE_GRANT_DATA, 0), 0);
	expect_one_look(&r);
	/* It is to be written to, and another node has a copy. */
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 1), DSM_WRITE, r.now), 0);
	expect_one_look(&r);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 1), WIRE_GRANT_WRITE, 1), 0);
	expect_one_look(&r);
	assert_int_equal(take(&r, WIRE_INV_ACK, WRITER, READER, PAGE(0, 1)), 0);
	expect_one_look(&r);
	/* It is offered, and demanded: at the end of the turn. */
	assert_int_equal(dsm_proto_put(r.p, PAGE(0, 1)), 1);
	expect_one_look(&r);
	assert_int_equal(take(&r, WIRE_FWD_GETM, 0, WRITER, PAGE(0, 1)), 0);
	expect_one_look(&r);
	assert_int_equal(take(&r, WIRE_URGE, 0, WRITER, PAGE(0, 1)), 0);
	expect_one_look(&r);
	assert_int_equal(dsm_proto_tick(r.p, r.now + LATER), 0);
	assert_int_equal(r.count, 1); /* GIVE */
	expect_one_look(&r);
	assert_int_equal(dsm_proto_prefetch(r.p, PAGE(0, 1), false, r.now + LATER), 0);
	expect_one_look(&r);
	rig_close(&r);
}

/* What it asks of itself is the same event. */
static void a_home_looks_once_an_event(void **state)
{
	struct rig r;

	rig_open(&r, 0, HOLD);
	r.populated = UINT64_MAX;
	r.now = 1;
	assert_int_equal(take(&r, WIRE_GETS, READER, READER, PAGE(0, 9)), 0); /* tracks */
	r.count = looks.record = looks.directory = 0;
	assert_int_equal(take(&r, WIRE_GETS, READER, READER, PAGE(0, 1)), 0);
	assert_int_equal(r.count, 2); /* PROTECT, SEND */
	expect_one_look(&r);
	assert_int_equal(take(&r, WIRE_GETM, WRITER, WRITER, PAGE(0, 1)), 0);
	assert_int_equal(r.count, 2); /* GIVE, SEND INV */
	expect_one_look(&r);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 1), DSM_READ, r.now), 0);
	expect_one_look(&r);
	assert_int_equal(take(&r, WIRE_DONE, WRITER, WRITER, PAGE(0, 1)), 0);
	assert_int_equal(r.count, 1); /* FWD_GETS */
	expect_one_look(&r);
	assert_int_equal(take_grant(&r, WRITER, PAGE(0, 1), WIRE_GRANT_DATA, 0), 0);
	assert_int_equal(r.count, 1); /* MAP, and a DONE to itself */
	expect_one_look(&r);
	/* An owner gives its page back: the home asks itself for it. */
	assert_int_equal(take(&r, WIRE_GETM, WRITER, WRITER, PAGE(0, 2)), 0);
	expect_one_look(&r);
	assert_int_equal(take(&r, WIRE_PUT, WRITER, WRITER, PAGE(0, 2)), 0);
	assert_int_equal(r.count, 1); /* FWD_GETM */
	expect_one_look(&r);
	rig_close(&r);
}

static void expect_since(struct rig *r, enum dsm_action_type type, uint64_t since)
{
	struct dsm_action a = rig_next(r);

	assert_int_equal(a.type, type);
	assert_int_equal(a.since, since);
}

static void fault_at(struct rig *r, uint64_t gpa, enum dsm_want wants, uint64_t now)
{
	r->now = now;
	assert_int_equal(dsm_proto_fault(r->p, gpa, wants, now), 0);
	r->count = 0;
}

static void the_first_fault_is_timed(void **state)
{
	struct rig r;

	rig_open(&r, READER, HOLD);
	fault_at(&r, PAGE(0, 0), DSM_READ, 5);
	fault_at(&r, PAGE(0, 0), DSM_WRITE, 6);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 0), WIRE_GRANT_DATA, 0), 0);
	expect_since(&r, DSM_MAP, 5);
	fault_at(&r, PAGE(0, 0), DSM_WRITE, 8);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 0), WIRE_GRANT_WRITE, 0), 0);
	expect_since(&r, DSM_UNPROTECT, 8);
	rig_close(&r);
}

static void a_prefetch_is_timed_from_when_somebody_waits(void **state)
{
	struct rig r;

	rig_open(&r, READER, HOLD);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(dsm_proto_prefetch(r.p, PAGE(0, i), false, 5), 0);
		r.count = 0;
	}
	assert_int_equal(take_grant(&r, 0, PAGE(0, 0), WIRE_GRANT_DATA, 0), 0);
	expect_since(&r, DSM_MAP, 0);
	fault_at(&r, PAGE(0, 1), DSM_READ, 7);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 1), WIRE_GRANT_DATA, 0), 0);
	expect_since(&r, DSM_MAP, 7);
	rig_close(&r);
}

/* A page that may be read does not end the wait of who wants to write. */
static void a_write_is_timed_until_it_may_be_done(void **state)
{
	struct rig r;

	rig_open(&r, READER, HOLD);
	fault_at(&r, PAGE(0, 0), DSM_WRITE, 5);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 0), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 1), 0);
	expect_since(&r, DSM_MAP, 0);
	assert_int_equal(take(&r, WIRE_INV_ACK, WRITER, READER, PAGE(0, 0)), 0);
	expect_since(&r, DSM_UNPROTECT, 5);
	expect_send(&r, WIRE_DONE, 0, READER, PAGE(0, 0));
	/* It joined a request to read: it faults again, and has waited since it did first. */
	assert_int_equal(dsm_proto_prefetch(r.p, PAGE(0, 1), false, 6), 0);
	fault_at(&r, PAGE(0, 1), DSM_WRITE, 7);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 1), WIRE_GRANT_DATA, 0), 0);
	expect_since(&r, DSM_MAP, 0);
	fault_at(&r, PAGE(0, 1), DSM_WRITE, 8);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 1), WIRE_GRANT_WRITE, 0), 0);
	expect_since(&r, DSM_UNPROTECT, 7);
	/* Who only reads does not wait for the right to write that is asked for as well. */
	r.now = 9;
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 2), DSM_READ_SOON_WRITE, r.now), 0);
	expect_send(&r, WIRE_GETM, 0, READER, PAGE(0, 2));
	assert_int_equal(take_grant(&r, 0, PAGE(0, 2), WIRE_GRANT_DATA | WIRE_GRANT_WRITE, 1), 0);
	expect_since(&r, DSM_MAP, 9);
	assert_int_equal(take(&r, WIRE_INV_ACK, WRITER, READER, PAGE(0, 2)), 0);
	expect_since(&r, DSM_UNPROTECT, 0);
	r.count = 0;
	rig_close(&r);
}

static void what_is_served_at_once_is_not_timed(void **state)
{
	struct rig r;

	rig_open(&r, 0, HOLD);
	r.now = 1;
	assert_int_equal(take(&r, WIRE_GETM, READER, READER, PAGE(0, 9)), 0); /* tracks */
	r.count = 0;
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), DSM_WRITE, 5), 1);
	expect_since(&r, DSM_MAP, 0);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(0, 0), DSM_WRITE, 6), 1);
	expect_since(&r, DSM_UNPROTECT, 0);
	rig_close(&r);
}

static unsigned unused(const struct rig *r)
{
	unsigned n = 0;

	for (const struct underway *u = r->p->underway.unused; u; u = u->next)
		n++;
	return n;
}

/* However many pages are fetched in a turn: the oldest lose its protection, requests find room. */
static void no_turn_takes_all_records(void **state)
{
	struct rig r;
	unsigned all;

	rig_open(&r, READER, HOLD);
	all = unused(&r);
	for (unsigned i = 0; i < REGION_PAGES - PENDING; i++) {
		fault_at(&r, PAGE(0, i), DSM_READ, 5);
		assert_int_equal(take_grant(&r, 0, PAGE(0, i), WIRE_GRANT_DATA, 0), 0);
		r.count = 0;
	}
	for (unsigned i = REGION_PAGES - PENDING; i < REGION_PAGES; i++)
		fault_at(&r, PAGE(0, i), DSM_READ, 5);
	assert_int_equal(unused(&r), 0);
	assert_int_equal(dsm_proto_fault(r.p, PAGE(2, 0), DSM_READ, 5), -EAGAIN);
	/* The first page is given up at once, the last but those that are asked for at the end. */
	assert_int_equal(take(&r, WIRE_INV, 0, WRITER, PAGE(0, 0)), 0);
	expect_action(&r, DSM_DROP, PAGE(0, 0));
	expect_send(&r, WIRE_INV_ACK, WRITER, WRITER, PAGE(0, 0));
	assert_int_equal(take(&r, WIRE_INV, 0, WRITER, PAGE(0, REGION_PAGES - PENDING - 1)), 0);
	assert_int_equal(r.count, 0);
	/* All goes: what is protected, what waits, what comes. */
	dsm_proto_set_idle(r.p, true);
	assert_int_equal(dsm_proto_tick(r.p, 6), 0);
	for (unsigned i = REGION_PAGES - PENDING; i < REGION_PAGES; i++)
		assert_int_equal(take_grant(&r, 0, PAGE(0, i), WIRE_GRANT_DATA, 0), 0);
	r.count = 0;
	for (unsigned i = 1; i < REGION_PAGES; i++) {
		if (i != REGION_PAGES - PENDING - 1)
			assert_int_equal(take(&r, WIRE_INV, 0, WRITER, PAGE(0, i)), 0);
		r.count = 0;
	}
	assert_int_equal(unused(&r), all);
	rig_close(&r);
}

/* A page that lost its protection while it is asked for again keeps its record. */
static void a_request_outlives_the_protection(void **state)
{
	struct rig r;

	rig_open(&r, READER, HOLD);
	fault_at(&r, PAGE(0, 0), DSM_READ, 5);
	assert_int_equal(take_grant(&r, 0, PAGE(0, 0), WIRE_GRANT_DATA, 0), 0);
	r.count = 0;
	fault_at(&r, PAGE(0, 0), DSM_WRITE, 6);
	for (unsigned i = 1; i < REGION_PAGES; i++) {
		fault_at(&r, PAGE(0, i), DSM_READ, 7);
		assert_int_equal(take_grant(&r, 0, PAGE(0, i), WIRE_GRANT_DATA, 0), 0);
		r.count = 0;
	}
	assert_int_equal(take_grant(&r, 0, PAGE(0, 0), WIRE_GRANT_WRITE, 0), 0);
	expect_since(&r, DSM_UNPROTECT, 6);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_asks_looks_once_an_event),
		cmocka_unit_test(a_home_looks_once_an_event),
		cmocka_unit_test(the_first_fault_is_timed),
		cmocka_unit_test(a_prefetch_is_timed_from_when_somebody_waits),
		cmocka_unit_test(a_write_is_timed_until_it_may_be_done),
		cmocka_unit_test(what_is_served_at_once_is_not_timed),
		cmocka_unit_test(no_turn_takes_all_records),
		cmocka_unit_test(a_request_outlives_the_protection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
