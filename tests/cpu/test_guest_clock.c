/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's clock: KVM's arithmetic, never back, stamps of peers, patience with them, pauses. */
#include "tests/check.h"

#include <pthread.h>

#include "cpu/guest_clock.h"

#define KHZ	  UINT64_C(2000000) /* of the guest; what the host's TSC really does is no matter */
#define PEER	  3
#define TICKS(ms) ((ms)*KHZ)

/*
 * The numbers were worked out with integers of any length from KVM's formula: ratio = (guest <<
 * bits) / host unless guest is within 250 ppm of host; guest TSC = ratio * host TSC >> bits.
 */
static void the_scale_is_kvms(void **state)
{
	static const struct {
		uint32_t guest_khz, host_khz;
		unsigned bits;
		uint64_t ratio, scaled;
	} golden[] = {
		{2600000, 2500000, 48, 0x10a3d70a3d70a, 128395060572839399},
		{2600000, 2500000, 32, 0x10a3d70a3, 128395060548694105},
		{1999987, 2600123, 48, 0xc4e998625956, 94961651078212045},
		{1999987, 2600123, 32, 0xc4e99862, 94961651068181111},
		{2500625, 2500000, 48, 0, 123456789012345678},
		{2500626, 2500000, 48, 0x100106903cf98, 123487702592314216},
		{2499375, 2500000, 48, 0, 123456789012345678},
		{2499374, 2500000, 48, 0xffef96fc3067, 123425875432376700},
	};

	for (size_t i = 0; i < ARRAY_SIZE(golden); i++) {
		uint64_t ratio = guest_clock_ratio(golden[i].guest_khz, golden[i].host_khz, 250,
						   golden[i].bits);

		assert_int_equal(ratio, golden[i].ratio);
		assert_int_equal(
			guest_clock_scale(ratio, golden[i].bits, UINT64_C(123456789012345678)),
			golden[i].scaled);
	}
}

static void everyone_reads_the_scaled_clock(void **state)
{
	struct guest_clock c = {.tsc_khz = KHZ, .ratio = UINT64_C(3) << 47, .frac_bits = 48};

	guest_clock_set(&c, 1000);
	uint64_t before = __rdtsc();
	uint64_t read = guest_clock_tsc(&c);
	uint64_t after = __rdtsc();
	assert_in_range(read, before / 2 * 3, after / 2 * 3 + 1000 + 3);
	assert_int_equal(guest_clock_at(&c, 2000000), 3001000);
}

struct readers {
	struct guest_clock clock;
	_Atomic bool end;
	_Atomic uint64_t last, back;
};

/* Each reading is handed on through `last`; a thread that finds a later one has seen time go back.
 */
static void *reader(void *arg)
{
	struct readers *r = arg;

	while (!atomic_load(&r->end)) {
		uint64_t last = atomic_load(&r->last), now = guest_clock_tsc(&r->clock);

		if (now < last)
			atomic_fetch_add(&r->back, 1);
		while (last < now && !atomic_compare_exchange_weak(&r->last, &last, now))
			;
	}
	return NULL;
}

static void no_step_is_seen_as_time_that_goes_back(void **state)
{
	struct readers r = {.clock = {.tsc_khz = KHZ}};
	pthread_t thread[3];

	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, reader, &r), 0);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t read = guest_clock_tsc(&r.clock);

		guest_clock_move(&r.clock, i % 2 ? 5000 : -5000);
		assert_true(guest_clock_tsc(&r.clock) >= read);
		if (i % 64 == 0)
			sched_yield();
	}
	atomic_store(&r.end, true);
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&r.back), 0);
}

static void after_a_step_back_the_guest_waits(void **state)
{
	struct guest_clock c = {.tsc_khz = KHZ};
	uint64_t read = guest_clock_tsc(&c);

	guest_clock_move(&c, -(int64_t)TICKS(2));
	assert_true(guest_clock_at(&c, __rdtsc()) < read);
	assert_true(guest_clock_tsc(&c) >= read);
	while (guest_clock_is_below_floor(&c))
		;
	assert_true(guest_clock_at(&c, __rdtsc()) >= read);
}

static void a_stamp_is_waited_for(void **state)
{
	struct guest_clock c = {.tsc_khz = KHZ};
	uint64_t now = guest_clock_tsc(&c);

	assert_int_equal(guest_clock_reach(&c, PEER, now), 0);
	assert_int_equal(c.waits, 0);
	uint64_t stamp = guest_clock_tsc(&c) + TICKS(3);
	assert_int_equal(guest_clock_reach(&c, PEER, stamp), 0);
	assert_true(guest_clock_tsc(&c) >= stamp);
	assert_int_equal(c.waits, 1);
	assert_in_range(c.waited, 1, TICKS(3));
}

static void an_absurd_stamp_is_a_violation(void **state)
{
	struct guest_clock c = {.tsc_khz = KHZ};
	uint64_t now = guest_clock_tsc(&c);

	assert_int_equal(guest_clock_reach(&c, PEER, UINT64_MAX), -EPROTO);
	/* A second: what the clock goes on by meanwhile must not make it sound. */
	assert_int_equal(guest_clock_reach(&c, PEER, now + TICKS(1000)), -EPROTO);
	assert_int_equal(c.waits, 0);
}

static void time_stands_while_it_is_stopped(void **state)
{
	struct guest_clock c = {.tsc_khz = KHZ};

	assert_int_equal(guest_clock_stood(&c), 0);
	uint64_t before = guest_clock_tsc(&c);
	guest_clock_stop(&c);
	uint64_t stood = guest_clock_tsc(&c);
	assert_true(stood >= before);
	while (guest_clock_stood(&c) < TICKS(5))
		assert_int_equal(guest_clock_tsc(&c), stood);
	uint64_t pause = guest_clock_stood(&c);
	guest_clock_go(&c, pause);
	uint64_t goes_on = guest_clock_tsc(&c);
	assert_in_range(goes_on, stood, guest_clock_running(&c));
	assert_int_equal(guest_clock_stood(&c), 0);
	assert_int_equal(atomic_load(&c.offset), -(int64_t)pause);
}

static void a_stamp_during_a_pause_counts_after_it(void **state)
{
	struct guest_clock c = {.tsc_khz = KHZ};

	guest_clock_stop(&c);
	/* A peer that stopped a little later sent this. It is not waited for on the stopped clock.
	 */
	uint64_t stamp = guest_clock_tsc(&c) + TICKS(2);
	assert_int_equal(guest_clock_reach(&c, PEER, stamp), 0);
	guest_clock_go(&c, guest_clock_stood(&c));
	assert_true(guest_clock_tsc(&c) >= stamp);
	while (guest_clock_is_below_floor(&c))
		;
	assert_true(guest_clock_at(&c, __rdtsc()) >= stamp);
}

/* However long the pause: a vCPU would wait for it when the clock goes on. */
static void an_absurd_stamp_during_a_pause_is_a_violation(void **state)
{
	struct guest_clock c = {.tsc_khz = KHZ};

	guest_clock_stop(&c);
	uint64_t stands = guest_clock_tsc(&c);
	guest_clock_move(&c, (int64_t)TICKS(60000));
	assert_int_equal(guest_clock_reach(&c, PEER, stands + TICKS(GUEST_CLOCK_PAUSES_MS)),
			 -EPROTO);
	assert_int_equal(guest_clock_reach(&c, PEER, stands + TICKS(GUEST_CLOCK_PAUSES_MS) - 1), 0);
}

/* A node that stopped later stands there when all have gone on, and its messages say so. */
static void who_stopped_last_may_be_ahead(void **state)
{
	struct guest_clock c = {.tsc_khz = KHZ};

	guest_clock_stop(&c);
	uint64_t stands = guest_clock_tsc(&c);
	guest_clock_go(&c, guest_clock_stood(&c));
	assert_int_equal(guest_clock_reach(&c, PEER, stands + TICKS(GUEST_CLOCK_PAUSES_MS)),
			 -EPROTO);
	uint64_t stamp = stands + TICKS(2 * GUEST_CLOCK_AHEAD_MS);
	assert_int_equal(guest_clock_reach(&c, PEER, stamp), 0);
	assert_true(guest_clock_tsc(&c) >= stamp);
	assert_int_equal(patience_taken(&c.patience[PEER], __rdtsc()), 0);
}

/* A clock so fast that a stamp is ahead for hours. */
static void *waits_for_ever(void *arg)
{
	struct guest_clock *c = arg;

	return (void *)(intptr_t)guest_clock_reach(
		c, PEER, guest_clock_tsc(c) + c->tsc_khz * (GUEST_CLOCK_AHEAD_MS - 1));
}

static void the_end_of_the_vm_ends_a_wait(void **state)
{
	struct guest_clock c = {.tsc_khz = UINT64_C(1) << 42};
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, waits_for_ever, &c), 0);
	while (!patience_taken(&c.patience[PEER], __rdtsc()))
		sched_yield();
	guest_clock_end(&c);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -ECANCELED);
}

#define MS	KHZ
#define EPOCH	(1000000 * MS) /* any time */
#define BUDGET	(PATIENCE_BUDGET_MS * MS)
#define LONGEST (GUEST_CLOCK_AHEAD_MS * MS - 1)

/* Each stamp as far ahead as can be, one behind the other. Return: how long it goes on. */
static uint64_t annoy(struct patience *p, uint64_t from, uint64_t ahead, uint64_t pause)
{
	uint64_t now = from;

	while (now - from < 1000 * BUDGET && patience_take(p, now, ahead, KHZ))
		now += ahead + pause;
	return now - from;
}

static void patience_ends(void **state)
{
	struct patience p = {0};

	assert_in_range(annoy(&p, EPOCH, LONGEST, 0), BUDGET - LONGEST, BUDGET / 98 * 100);
	assert_false(patience_take(&p, EPOCH + BUDGET, LONGEST, KHZ));
	/* Little by little it returns: a hundredth of the time. */
	assert_true(patience_take(&p, EPOCH + 20 * BUDGET, LONGEST, KHZ));
	assert_in_range(patience_taken(&p, EPOCH + 20 * BUDGET), BUDGET / 100 * 79,
			BUDGET / 100 * 82);
}

static void a_sound_peer_is_never_blamed(void **state)
{
	struct patience p = {0};

	/* As far as clocks can be apart, all the time; far ahead, a hundredth of the time. */
	assert_in_range(annoy(&p, EPOCH, PATIENCE_SOUND_US * MS / 1000, 0), 1000 * BUDGET,
			UINT64_MAX);
	assert_int_equal(patience_taken(&p, EPOCH), 0);
	assert_in_range(annoy(&p, EPOCH, LONGEST, PATIENCE_LEAK * LONGEST), 1000 * BUDGET,
			UINT64_MAX);
	assert_in_range(patience_taken(&p, EPOCH + 1000 * BUDGET), 0, LONGEST);
}

static void threads_that_wait_at_once_count_once(void **state)
{
	struct patience p = {0};

	for (unsigned thread = 0; thread < 17; thread++)
		assert_true(patience_take(&p, EPOCH + thread, LONGEST, KHZ));
	assert_in_range(patience_taken(&p, EPOCH), LONGEST, LONGEST + 17);
}

/* The patience has been used up by others like it. */
static void a_peer_that_is_ahead_again_and_again_breaks_the_protocol(void **state)
{
	struct guest_clock c = {.tsc_khz = KHZ};
	uint64_t now = guest_clock_tsc(&c);

	annoy(&c.patience[PEER], now, LONGEST, 0);
	uint64_t stamp = guest_clock_tsc(&c) + 10 * MS;
	assert_int_equal(guest_clock_reach(&c, PEER, stamp), -EPROTO);
	assert_int_equal(guest_clock_reach(&c, PEER + 1, stamp), 0);
	assert_int_equal(guest_clock_reach(&c, PEER, stamp), 0);
	c.free = true;
	assert_int_equal(guest_clock_reach(&c, PEER, guest_clock_tsc(&c) + 10 * MS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_scale_is_kvms),
		cmocka_unit_test(everyone_reads_the_scaled_clock),
		cmocka_unit_test(no_step_is_seen_as_time_that_goes_back),
		cmocka_unit_test(after_a_step_back_the_guest_waits),
		cmocka_unit_test(a_stamp_is_waited_for),
		cmocka_unit_test(an_absurd_stamp_is_a_violation),
		cmocka_unit_test(time_stands_while_it_is_stopped),
		cmocka_unit_test(a_stamp_during_a_pause_counts_after_it),
		cmocka_unit_test(an_absurd_stamp_during_a_pause_is_a_violation),
		cmocka_unit_test(who_stopped_last_may_be_ahead),
		cmocka_unit_test(the_end_of_the_vm_ends_a_wait),
		cmocka_unit_test(patience_ends),
		cmocka_unit_test(a_sound_peer_is_never_blamed),
		cmocka_unit_test(threads_that_wait_at_once_count_once),
		cmocka_unit_test(a_peer_that_is_ahead_again_and_again_breaks_the_protocol),
	};

	return cmocka_run_group_tests_name("guest-clock", tests, NULL, NULL);
}
