/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock is corrected under two vCPUs that compare their TSCs all the time: no step, forward or
 * back, reaches one before the other. Where /dev/kvm cannot be used the whole test is skipped.
 */
#include "tests/check.h"

#include "cpu/vcpu_impl.h"
#include "tests/kvm/tiny.h"

#define PATIENCE_NS (60 * NSEC_PER_SEC)
#define STEPS	    40
#define STEP_US	    50000 /* far more than two readings are apart, on an emulated host, too */

/* What the two vCPUs share. */
struct shared {
	uint32_t turn;	    /* whose it is */
	uint32_t last[2];   /* the last reading: low half, high half */
	uint32_t back;	    /* readings that were below the one before */
	uint32_t handovers; /* of the turn */
};
#define SHARED_GPA 0x9000

/*
 * Wait for the turn, read the TSC, compare it with the last one, hand the turn over. STI: under
 * Bochs no signal ends a KVM_RUN with interrupts off (test_pause.c).
 */
#define READ_IN_TURN(own, other)                                                                   \
	"sti\n 0: pause\n cmpl $" own ", 0x9000\n jne 0b\n"                                        \
	"rdtsc\n"                                                                                  \
	"cmp 0x9008, %edx\n ja 2f\n jb 1f\n cmp 0x9004, %eax\n jae 2f\n"                           \
	"1: incl 0x900c\n"                                                                         \
	"2: mov %eax, 0x9004\n mov %edx, 0x9008\n incl 0x9010\n movl $" other ", 0x9000\n jmp 0b"

TINY_CODE(first, ".code64", READ_IN_TURN("0", "1"));
TINY_CODE(second, ".code16", READ_IN_TURN("1", "0"));

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

static struct shared shared_of(struct tiny *t)
{
	struct shared s;

	assert_int_equal(ram_read(t->ram, SHARED_GPA, &s, sizeof(s)), 0);
	return s;
}

/* Until both have read the clock with what holds now. */
static void wait_for_handovers(struct tiny *t, unsigned more)
{
	uint64_t end = clock_now_ns() + PATIENCE_NS;
	uint32_t from = shared_of(t).handovers;

	while (shared_of(t).handovers - from < more) {
		assert_true(clock_now_ns() < end);
		sched_yield();
	}
}

static void start_both(struct tiny *t)
{
	tiny_load(t, TINY_AP_GPA, tiny_second, tiny_second_end);
	TINY_RUN(t, first);
	vcpu_signal(t->vcpu[1], VCPU_EVENT_INIT, 0);
	vcpu_signal(t->vcpu[1], VCPU_EVENT_SIPI, TINY_AP_GPA >> 12);
	wait_for_handovers(t, 10);
	assert_int_equal(shared_of(t).back, 0);
}

static void step(struct tiny *t, int64_t ticks)
{
	uint64_t end = clock_now_ns() + PATIENCE_NS;

	assert_int_equal(rendezvous_step(&t->rendezvous, ticks), 0);
	while (rendezvous_is_pending(&t->rendezvous)) {
		assert_true(clock_now_ns() < end);
		sched_yield();
	}
}

static void no_vcpu_sees_a_step_before_the_other(void **state)
{
	struct tiny *t = *state;
	int64_t ticks = (int64_t)(t->clock.tsc_khz * STEP_US / 1000);
	int64_t offset = atomic_load(&t->clock.offset);
	uint64_t before;

	start_both(t);
	for (unsigned i = 0; i < STEPS; i++) {
		before = guest_clock_tsc(&t->clock);
		step(t, i % 2 ? -ticks : ticks);
		assert_true(guest_clock_tsc(&t->clock) >= before);
		/* One goes in again, as after any exit. It must not be the only one that knows. */
		vcpu_kick(t->vcpu[i / 2 % 2]);
		wait_for_handovers(t, 4);
	}
	assert_int_equal(shared_of(t).back, 0);
	assert_int_equal(atomic_load(&t->rendezvous.steps), STEPS);
	assert_int_equal(atomic_load(&t->clock.offset), offset);
}

static void a_step_waits_for_nobody_when_all_are_out(void **state)
{
	struct tiny *t = *state;

	/* The second still waits for its SIPI, the first has not started. */
	assert_int_equal(rendezvous_step(&t->rendezvous, 1000), 0);
	assert_false(rendezvous_is_pending(&t->rendezvous));
	assert_int_equal(atomic_load(&t->rendezvous.steps), 1);
}

/* The clock has an hour to go until it has reached what it showed; nobody waits for that. */
static void who_is_wanted_does_not_wait_for_a_step_to_end(void **state)
{
	struct tiny *t = *state;
	int64_t hour = (int64_t)(3600 * 1000 * t->clock.tsc_khz);
	uint64_t end = clock_now_ns() + PATIENCE_NS;

	guest_clock_move(&t->clock, hour);
	guest_clock_move(&t->clock, -hour);
	TINY_RUN(t, first);
	while (!atomic_load(&t->vcpu[0]->member.inside)) {
		assert_true(clock_now_ns() < end);
		sched_yield();
	}
	vcpu_pause(t->vcpu[0]);
	assert_int_equal(vcpu_wait_parked(t->vcpu[0]), 0);
	vcpu_resume(t->vcpu[0]);
	step(t, 1000);
	vcpu_signal(t->vcpu[0], VCPU_EVENT_STOP, 0);
	vcpu_join(t->vcpu[0]);
	assert_true(guest_clock_is_below_floor(&t->clock));
	assert_int_equal(shared_of(t).handovers, 0);
}

/* The TSC of @v is what the clock says. */
static void expect_tsc(struct tiny *t, struct vcpu *v)
{
	struct kvm_msr_entry tsc = {.index = MSR_TSC};
	uint64_t before = guest_clock_running(&t->clock);

	assert_int_equal(vcpu_msr_access(v->fd, KVM_GET_MSRS, &tsc), 0);
	assert_true(tsc.data >= before);
	assert_true(tsc.data <= guest_clock_running(&t->clock));
}

/* KVM starts the TSC of a new vCPU at 0, which is another offset than 0. */
static void a_new_vcpu_is_given_an_offset_of_0(void **state)
{
	struct tiny *t = *state;

	guest_clock_set(&t->clock, 0);
	assert_int_equal(vcpu_sync_tsc(t->vcpu[1]), 0);
	expect_tsc(t, t->vcpu[1]);
}

static void a_vcpu_starts_with_a_tsc_that_is_scaled(void **state)
{
	struct err err;
	struct kvm kvm;

	assert_int_equal(kvm_open(&kvm, &err), 0);
	bool scales = kvm.tsc_scaling;
	uint32_t khz = (uint32_t)(kvm.tsc_khz / 10 * 9);
	kvm_close(&kvm);
	if (!scales)
		skip();
	struct tiny *t = tiny_new_scaled(khz);
	assert_true(t->clock.ratio);
	expect_tsc(t, t->vcpu[0]);
	tiny_free(t);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, new_rig, free_rig)
	const struct CMUnitTest tests[] = {
		CASE(a_new_vcpu_is_given_an_offset_of_0),
		cmocka_unit_test(a_vcpu_starts_with_a_tsc_that_is_scaled),
		CASE(who_is_wanted_does_not_wait_for_a_step_to_end),
		CASE(a_step_waits_for_nobody_when_all_are_out),
		CASE(no_vcpu_sees_a_step_before_the_other),
	};

	return tiny_usable(false) ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
