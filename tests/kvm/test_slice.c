/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a vCPU is run, as its user decides it: in slices, and with timers that may be late. On this
 * machine's /dev/kvm, whatever it is; skipped, with the reason, where it cannot be used.
 */
#include "tests/check.h"

#include <unistd.h>

#include "tests/kvm/tiny.h"

#define PATIENCE_NS (10 * NSEC_PER_SEC)

static int new_rig(void **state)
{
	*state = tiny_new();
	return 0;
}

static int free_rig(void **state)
{
	tiny_free(*state);
	return 0;
}

/* Has no exit of its own. Interrupts are on: without, Bochs does not leave it (lab/README.md). */
TINY_CODE(loop, ".code64", "sti\n 0: pause\n jmp 0b");

static void a_slice_ends_without_an_exit(void **state)
{
	struct tiny *t = *state;
	uint64_t end = clock_now_ns() + PATIENCE_NS;

	t->slice_ns = NSEC_PER_MSEC;
	TINY_RUN(t, loop);
	while (atomic_load(&t->vcpu[0]->exits[VCPU_EXIT_KICK]) < 20) {
		if (clock_now_ns() > end)
			fail_msg("the vCPU does not come out of the guest");
		usleep(1000);
	}
	assert_int_equal(t->count, 0);
}

/* As soon as it is told to go, though nothing happens in the guest. */
static void the_end_of_a_slice_is_a_look(void **state)
{
	struct tiny *t = *state;

	t->slice_ns = NSEC_PER_MSEC;
	t->goes = true;
	TINY_RUN(t, loop);
	assert_int_equal(tiny_next(t, TINY_LEFT).addr, TINY_OTHER);
}

/* The APIC's timer, vector 0x41, after the ticks that the test says; then halted. */
TINY_CODE(deadline, ".code64", TINY_PROLOGUE TINY_DEADLINE "9: sti\n 1: hlt\n jmp 1b");
TINY_CODE(count, ".code64", TINY_PROLOGUE TINY_COUNT "9: sti\n 1: hlt\n jmp 1b");

/* As Linux does: by the TSC where it may. */
static enum tiny_timer as_offered(const struct tiny *t)
{
	return tiny_timer_offered(t, TINY_BY_DEADLINE) ? TINY_BY_DEADLINE : TINY_BY_COUNT;
}

static void run_timer(struct tiny *t, enum tiny_timer timer)
{
	if (timer == TINY_BY_DEADLINE)
		TINY_RUN(t, deadline);
	else
		TINY_RUN(t, count);
}

/* It sleeps long before the timer is due. Nothing but the end of its last slice wakes it before. */
static void a_sleeper_is_woken_late(void **state)
{
	struct tiny *t = *state;
	const enum tiny_timer timer = as_offered(t);
	const uint64_t second = tiny_timer_ticks(t, timer, 1000), start = tiny_timer_now(t, timer);

	t->answer = second;
	t->slice_ns = NSEC_PER_MSEC;
	t->slack_ns = NSEC_PER_SEC;
	run_timer(t, timer);
	tiny_next(t, TINY_IN);
	tiny_expect(t, TINY_OUT, PORT_VECTOR, 0x41);
	assert_true(tiny_timer_now(t, timer) - start >= 2 * second);
}

static void an_interrupt_wakes_a_sleeper_at_once(void **state)
{
	struct tiny *t = *state;

	t->answer = UINT32_MAX;
	t->slack_ns = 3600 * NSEC_PER_SEC;
	run_timer(t, as_offered(t));
	tiny_next(t, TINY_IN);
	tiny_wait_asleep(t, 0);
	vcpu_post(t->vcpu[0], 0x66, false);
	tiny_expect(t, TINY_OUT, PORT_VECTOR, 0x66);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, new_rig, free_rig)
	const struct CMUnitTest tests[] = {
		CASE(a_slice_ends_without_an_exit),
		CASE(the_end_of_a_slice_is_a_look),
		CASE(a_sleeper_is_woken_late),
		CASE(an_interrupt_wakes_a_sleeper_at_once),
	};

	return tiny_usable(false) ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
