/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two nodes' clocks, one that the other follows, by the messages themselves: what a pause of the
 * guest does to them, what a hostile peer says, and which messages carry a stamp.
 */
#include "tests/check.h"

#include <time.h>

#include "vmm/clock_sync.h"
#include "vmm/link.h"

#define KHZ   UINT64_C(2000000)
#define CLOSE (KHZ / 10) /* 100 us: many times what they are apart, a part of what a pause is */
#define PAUSE (5 * KHZ)	 /* 5 ms */

/* A connection that keeps the last message. */
struct last {
	struct conn conn;
	struct wire_hdr hdr;
	struct wire_pong pong;
};

struct pair {
	struct guest_clock clock[2];
	struct rendezvous rendezvous[2];
	struct clock_sync sync[2];
	struct last last;
};

static int keep(struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct last *last = container_of(c, struct last, conn);

	last->hdr = *h;
	if (h->type == WIRE_PONG)
		memcpy(&last->pong, payload, sizeof(last->pong));
	return 0;
}

static int nothing(struct conn *c)
{
	return 0;
}

static const struct conn_ops keeps = {.send = keep, .post = keep, .flush = nothing};

static struct wire_hdr ping(struct pair *p)
{
	assert_int_equal(clock_sync_ping(&p->last.conn), 0);
	return p->last.hdr;
}

static void answer(struct pair *p, const struct wire_hdr *h)
{
	assert_int_equal(clock_sync_answer(&p->sync[0], &p->last.conn, h), 0);
}

static void take(struct pair *p)
{
	assert_int_equal(clock_sync_sample(&p->sync[1], &p->last.hdr, &p->last.pong), 0);
}

static void talk(struct pair *p, unsigned times)
{
	const struct timespec spacing = {.tv_nsec = 1000000};

	for (unsigned i = 0; i < times; i++) {
		struct wire_hdr h = ping(p);

		answer(p, &h);
		take(p);
		clock_sync_tick(&p->sync[1]);
		nanosleep(&spacing, NULL);
	}
}

static int set_up(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->last.conn.ops = &keeps;
	for (unsigned i = 0; i < 2; i++) {
		p->clock[i].tsc_khz = KHZ;
		rendezvous_init(&p->rendezvous[i], &p->clock[i]);
		clock_sync_init(&p->sync[i], &p->clock[i], &p->rendezvous[i], KHZ);
	}
	clock_sync_start_reference(&p->sync[0]);
	talk(p, SERVO_FIRST);
	assert_int_equal(clock_sync_settle(&p->sync[1], true), 0);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void expect_agreement(struct pair *p)
{
	uint64_t before = guest_clock_tsc(&p->clock[0]);
	uint64_t other = guest_clock_tsc(&p->clock[1]);
	uint64_t after = guest_clock_tsc(&p->clock[0]);

	assert_true(other + CLOSE >= before);
	assert_true(other <= after + CLOSE);
}

/* The follower has nothing to correct: the pause was not taken for an error of its clock. */
static void expect_no_error(struct pair *p)
{
	const struct clock_sync *s = &p->sync[1];
	int64_t applied = atomic_load(&p->clock[1].offset) + (int64_t)s->paused;

	assert_true(llabs(servo_offset(&s->servo, __rdtsc()) - applied) < (int64_t)CLOSE);
}

static void the_follower_shows_the_same_time(void **state)
{
	expect_agreement(*state);
	talk(*state, 20);
	expect_agreement(*state);
}

static void a_pause_moves_both_and_disturbs_no_ping(void **state)
{
	struct pair *p = *state;
	struct wire_hdr early = ping(p);

	for (unsigned i = 0; i < 2; i++)
		guest_clock_stop(&p->clock[i]);
	uint64_t stood = guest_clock_tsc(&p->clock[0]);
	while (guest_clock_stood(&p->clock[0]) < PAUSE)
		;
	/* Asked before the pause, answered in it, received after it. */
	answer(p, &early);
	uint64_t ticks = guest_clock_stood(&p->clock[0]);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(clock_sync_shift(&p->sync[i], ticks), 0);
	take(p);
	assert_true(guest_clock_tsc(&p->clock[0]) >= stood);
	expect_agreement(p);
	expect_no_error(p);
	talk(p, 20);
	expect_agreement(p);
	expect_no_error(p);
}

static void a_pause_that_was_none_is_refused(void **state)
{
	struct pair *p = *state;

	assert_int_equal(clock_sync_shift(&p->sync[1], 1), -EPROTO);
	guest_clock_stop(&p->clock[1]);
	while (!guest_clock_stood(&p->clock[1]))
		;
	assert_int_equal(clock_sync_shift(&p->sync[1], UINT64_MAX), -EPROTO);
	assert_int_equal(clock_sync_shift(&p->sync[1], 60 * 1000 * KHZ), -EPROTO);
	assert_int_equal(p->sync[1].paused, 0);
}

static void an_answer_to_no_ping_is_refused(void **state)
{
	struct pair *p = *state;
	struct wire_hdr h = ping(p);

	answer(p, &h);
	h = p->last.hdr;
	h.addr = UINT64_MAX;
	assert_int_equal(clock_sync_sample(&p->sync[1], &h, &p->last.pong), -EPROTO);
	h.addr = 0;
	if (__rdtsc() > 60 * 1000 * KHZ)
		assert_int_equal(clock_sync_sample(&p->sync[1], &h, &p->last.pong), -EPROTO);
}

static void events_that_show_the_past_carry_a_stamp(void **state)
{
	static const uint8_t types[] = {WIRE_IPI,      WIRE_EOI,	WIRE_IO_REQUEST,
					WIRE_IO_REPLY, WIRE_VCPU_STATE, WIRE_VCPU_AT};
	struct pair *p = *state;
	struct link link = {.conn = &p->last.conn, .wake = -1, .clock = &p->clock[0]};

	pthread_mutex_init(&link.lock, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		uint64_t before = guest_clock_tsc(&p->clock[0]);

		link_send(&link, (struct wire_hdr){.type = types[i]}, NULL, 0);
		if (types[i] == WIRE_VCPU_AT)
			assert_int_equal(p->last.hdr.stamp, 0);
		else
			assert_true(p->last.hdr.stamp >= before);
	}
	link.clock = NULL;
	link_send(&link, (struct wire_hdr){.type = WIRE_IPI}, NULL, 0);
	assert_int_equal(p->last.hdr.stamp, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(the_follower_shows_the_same_time),
		CASE(a_pause_moves_both_and_disturbs_no_ping),
		CASE(a_pause_that_was_none_is_refused),
		CASE(an_answer_to_no_ping_is_refused),
		CASE(events_that_show_the_past_carry_a_stamp),
	};

	return cmocka_run_group_tests_name("clock-sync", tests, NULL, NULL);
}
