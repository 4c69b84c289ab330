/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's clock: KVM's arithmetic, never back, stamps of peers, pauses. */
#include "tests/check.h"

#include <pthread.h>

#include "cpu/guest_clock.h"

#define KHZ	  UINT64_C(2000000) /* of the guest; what the host's TSC really does is no matter */
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
	guest_clock_pass_floor(&c);
	assert_true(guest_clock_at(&c, __rdtsc()) >= read);
}

static void a_stamp_is_waited_for(void **state)
{
	struct guest_clock c = {.tsc_khz = KHZ};
	uint64_t now = guest_clock_tsc(&c);

	assert_int_equal(guest_clock_reach(&c, now), 0);
	assert_int_equal(c.waits, 0);
	uint64_t stamp = guest_clock_tsc(&c) + TICKS(3);
	assert_int_equal(guest_clock_reach(&c, stamp), 0);
	assert_true(guest_clock_tsc(&c) >= stamp);
	assert_int_equal(c.waits, 1);
	assert_in_range(c.waited, 1, TICKS(3));
}

static void an_absurd_stamp_is_a_violation(void **state)
{
	struct guest_clock c = {.tsc_khz = KHZ};
	uint64_t now = guest_clock_tsc(&c);

	assert_int_equal(guest_clock_reach(&c, UINT64_MAX), -EPROTO);
	/* A second: what the clock goes on by meanwhile must not make it sound. */
	assert_int_equal(guest_clock_reach(&c, now + TICKS(1000)), -EPROTO);
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
	assert_int_equal(guest_clock_reach(&c, stamp), 0);
	guest_clock_go(&c, guest_clock_stood(&c));
	assert_true(guest_clock_tsc(&c) >= stamp);
	guest_clock_pass_floor(&c);
	assert_true(guest_clock_at(&c, __rdtsc()) >= stamp);
}

/* However long the pause: a vCPU would wait for it when the clock goes on. */
static void an_absurd_stamp_during_a_pause_is_a_violation(void **state)
{
	struct guest_clock c = {.tsc_khz = KHZ};

	guest_clock_stop(&c);
	uint64_t stands = guest_clock_tsc(&c);
	guest_clock_move(&c, (int64_t)TICKS(60000));
	assert_int_equal(guest_clock_reach(&c, stands + TICKS(GUEST_CLOCK_PAUSES_MS)), -EPROTO);
	assert_int_equal(guest_clock_reach(&c, stands + TICKS(GUEST_CLOCK_PAUSES_MS) - 1), 0);
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
	};

	return cmocka_run_group_tests_name("guest-clock", tests, NULL, NULL);
}
