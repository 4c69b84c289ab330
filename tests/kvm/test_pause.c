/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pausing and resuming vCPUs, whatever they do at that moment. Where /dev/kvm cannot be used the
 * whole test is skipped, with the reason.
 */
#include "tests/check.h"

#include <sys/ioctl.h>

#include "tests/kvm/tiny.h"

#define COUNTER_GPA 0x9000

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

static void pause_and_wait(struct tiny *t, unsigned vcpu)
{
	vcpu_pause(t->vcpu[vcpu]);
	assert_int_equal(vcpu_wait_parked(t->vcpu[vcpu]), 0);
	assert_true(vcpu_is_parked(t->vcpu[vcpu]));
}

static uint64_t counter(struct tiny *t)
{
	uint64_t value;

	assert_int_equal(ram_read(t->ram, COUNTER_GPA, &value, sizeof(value)), 0);
	return value;
}

/* ---- the second vCPU: busy for a while, so that the first would have shown that it runs ---- */

TINY_CODE(worker, ".code16",
	  "mov $5000, %cx\n 0: loop 0b\n mov $7, %al\n out %al, $0x70\n 1: hlt\n jmp 1b");

static void let_the_second_work(struct tiny *t)
{
	tiny_load(t, TINY_AP_GPA, tiny_worker, tiny_worker_end);
	vcpu_signal(t->vcpu[1], VCPU_EVENT_INIT, 0);
	vcpu_signal(t->vcpu[1], VCPU_EVENT_SIPI, TINY_AP_GPA >> 12);
	struct tiny_entry entry = tiny_next(t, TINY_OUT);
	assert_int_equal(entry.vcpu, 1);
	assert_int_equal(entry.value, 7);
	assert_int_equal(t->taken, t->count);
}

/* ---- a vCPU that runs ---- */

#define COUNT_ON "1: incq 0x9000\n jmp 1b"
TINY_CODE(counts, ".code64", "mov $1, %al\n out %al, $0x30\n sti\n" COUNT_ON);
TINY_CODE(counts_deaf, ".code64", "mov $1, %al\n out %al, $0x30\n" COUNT_ON);

static void pause_while_it_counts(struct tiny *t)
{
	tiny_expect(t, TINY_OUT, 0x30, 1);
	for (unsigned round = 0; round < 20; round++) {
		uint64_t before = counter(t);
		while (counter(t) == before)
			sched_yield();
		pause_and_wait(t, 0);
		uint64_t paused = counter(t);
		let_the_second_work(t);
		assert_int_equal(counter(t), paused);
		vcpu_resume(t->vcpu[0]);
		assert_false(vcpu_is_parked(t->vcpu[0]));
	}
}

static void a_paused_vcpu_executes_nothing(void **state)
{
	TINY_RUN((struct tiny *)*state, counts);
	pause_while_it_counts(*state);
}

/*
 * The host's interrupts end KVM_RUN whatever the guest's flag says. Not so under Bochs 2.7: a guest
 * with interrupts off that has no exit of its own keeps its CPU for ever.
 */
static void one_with_interrupts_off_executes_nothing_either(void **state)
{
	if (getenv("SSIHV_TEST_BOCHS"))
		skip();
	TINY_RUN((struct tiny *)*state, counts_deaf);
	pause_while_it_counts(*state);
}

/* ---- a vCPU inside an exit ---- */

TINY_CODE(asks, ".code64", "in $0x21, %al\n mov $1, %ebx\n 1: pause\n jmp 1b");

static void an_exit_is_finished_before_the_pause(void **state)
{
	struct tiny *t = *state;
	struct kvm_regs regs;

	t->answer = 0x5a;
	TINY_RUN(t, asks);
	assert_int_equal(tiny_next(t, TINY_IN).addr, PORT_GATE);
	vcpu_pause(t->vcpu[0]);
	assert_false(vcpu_is_parked(t->vcpu[0]));
	tiny_open_gate(t);
	assert_int_equal(vcpu_wait_parked(t->vcpu[0]), 0);
	assert_int_equal(ioctl(t->vcpu[0]->fd, KVM_GET_REGS, &regs), 0);
	assert_int_equal(regs.rip, 0x10002); /* behind the IN, which takes two bytes */
	assert_int_equal(regs.rax & 0xff, 0x5a);
	assert_int_equal(regs.rbx, 0);
}

/* ---- a vCPU that sleeps ---- */

TINY_CODE(deadline, ".code64", TINY_PROLOGUE TINY_DEADLINE "9: sti\n 1: hlt\n jmp 1b");
TINY_CODE(count, ".code64", TINY_PROLOGUE TINY_COUNT "9: sti\n 1: hlt\n jmp 1b");

static void fires_after_the_pause(struct tiny *t, enum tiny_timer timer, const uint8_t *code,
				  const uint8_t *end)
{
	if (!tiny_timer_offered(t, timer))
		skip();
	t->answer = tiny_timer_ticks(t, timer, 500);
	tiny_load(t, 0x10000, code, end);
	tiny_start(t, 0);
	assert_int_equal(tiny_next(t, TINY_IN).addr, 0x31);
	tiny_wait_asleep(t, 0);
	pause_and_wait(t, 0);
	uint64_t start = tiny_timer_now(t, timer);
	/* On a machine that was too slow for us it has fired before. */
	if (t->taken == t->count) {
		while (tiny_timer_now(t, timer) - start < t->answer)
			sched_yield();
		let_the_second_work(t);
	}
	vcpu_resume(t->vcpu[0]);
	tiny_expect(t, TINY_OUT, PORT_VECTOR, 0x41);
}

static void a_deadline_that_is_due_fires_after_the_pause(void **state)
{
	fires_after_the_pause(*state, TINY_BY_DEADLINE, tiny_deadline, tiny_deadline_end);
}

static void a_count_that_is_done_fires_after_the_pause(void **state)
{
	fires_after_the_pause(*state, TINY_BY_COUNT, tiny_count, tiny_count_end);
}

static void a_start_during_the_pause_waits_for_its_end(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, counts);
	tiny_expect(t, TINY_OUT, 0x30, 1);
	tiny_wait_asleep(t, 1);
	pause_and_wait(t, 1);
	tiny_load(t, TINY_AP_GPA, tiny_worker, tiny_worker_end);
	vcpu_signal(t->vcpu[1], VCPU_EVENT_INIT, 0);
	vcpu_signal(t->vcpu[1], VCPU_EVENT_SIPI, TINY_AP_GPA >> 12);
	uint64_t before = counter(t);
	while (counter(t) < before + 5000) /* as many as the second would need */
		sched_yield();
	assert_int_equal(t->taken, t->count);
	assert_int_equal(atomic_load(&t->vcpu[1]->inbox.events), VCPU_EVENT_INIT | VCPU_EVENT_SIPI);
	vcpu_resume(t->vcpu[1]);
	struct tiny_entry entry = tiny_next(t, TINY_OUT);
	assert_int_equal(entry.vcpu, 1);
	assert_int_equal(entry.value, 7);
}

/* ---- interrupts ---- */

TINY_CODE(idle, ".code64", TINY_PROLOGUE "9: sti\n 1: hlt\n jmp 1b");
TINY_CODE(busy, ".code64",
	  TINY_PROLOGUE "mov $1, %al\n out %al, $0x30\n"
			"9: sti\n 1: pause\n jmp 1b");

static void what_comes_during_the_pause_is_kept(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, idle);
	tiny_wait_asleep(t, 0);
	pause_and_wait(t, 0);
	vcpu_post(t->vcpu[0], 0x52, false);
	vcpu_post(t->vcpu[0], 0x93, true);
	let_the_second_work(t);
	vcpu_resume(t->vcpu[0]);
	tiny_expect(t, TINY_OUT, PORT_VECTOR, 0x93);
	tiny_expect(t, TINY_EOI, 0x93, 0);
	tiny_expect(t, TINY_OUT, PORT_VECTOR, 0x52);
}

TINY_CODE(deaf, ".code64", TINY_PROLOGUE "9: cli\n hlt\n jmp 9b");

/* Under Bochs 2.7 a CPU on which a guest is still in its NMI's handler holds them off from others.
 */
static void an_nmi_during_the_pause_is_kept(void **state)
{
	struct tiny *t = *state;

	if (getenv("SSIHV_TEST_BOCHS"))
		skip();
	TINY_RUN(t, deaf);
	tiny_wait_asleep(t, 0);
	pause_and_wait(t, 0);
	vcpu_signal(t->vcpu[0], VCPU_EVENT_NMI, 0);
	let_the_second_work(t);
	vcpu_resume(t->vcpu[0]);
	tiny_expect(t, TINY_OUT, PORT_VECTOR, 2);
}

/* Before and after the request to pause, with and without waiting for it. */
static void storm(struct tiny *t)
{
	for (unsigned i = 0; i < 60; i++) {
		uint8_t vector = (uint8_t)(0x40 + i);
		bool before = i & 1;

		if (before)
			vcpu_post(t->vcpu[0], vector, false);
		vcpu_pause(t->vcpu[0]);
		if (!before)
			vcpu_post(t->vcpu[0], vector, false);
		if (i & 2)
			assert_int_equal(vcpu_wait_parked(t->vcpu[0]), 0);
		vcpu_resume(t->vcpu[0]);
		tiny_expect(t, TINY_OUT, PORT_VECTOR, vector);
	}
}

static void no_interrupt_is_lost_on_a_halted_vcpu(void **state)
{
	TINY_RUN((struct tiny *)*state, idle);
	tiny_wait_asleep(*state, 0);
	storm(*state);
}

static void no_interrupt_is_lost_on_a_running_vcpu(void **state)
{
	TINY_RUN((struct tiny *)*state, busy);
	tiny_expect(*state, TINY_OUT, 0x30, 1);
	storm(*state);
}

/* ---- the end ---- */

static void a_stop_ends_a_pause(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, busy);
	tiny_expect(t, TINY_OUT, 0x30, 1);
	pause_and_wait(t, 0);
	pause_and_wait(t, 1);
	for (unsigned i = 0; i < TINY_VCPUS; i++) {
		vcpu_signal(t->vcpu[i], VCPU_EVENT_STOP, 0);
		vcpu_join(t->vcpu[i]);
		assert_false(vcpu_is_parked(t->vcpu[i]));
		/* Nobody waits for one that has ended. */
		vcpu_pause(t->vcpu[i]);
		assert_int_equal(vcpu_wait_parked(t->vcpu[i]), -ECANCELED);
	}
	assert_int_equal(t->taken, t->count);
}

static void a_pause_before_the_start_is_kept(void **state)
{
	struct tiny *t = *state;

	vcpu_pause(t->vcpu[0]);
	TINY_RUN(t, busy);
	assert_int_equal(vcpu_wait_parked(t->vcpu[0]), 0);
	assert_int_equal(t->count, 0);
	vcpu_resume(t->vcpu[0]);
	tiny_expect(t, TINY_OUT, 0x30, 1);
	/* One too many does nothing. */
	vcpu_resume(t->vcpu[0]);
	assert_int_equal(vcpu_wait_parked(t->vcpu[0]), -ECANCELED);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, new_rig, free_rig)
	const struct CMUnitTest tests[] = {
		CASE(a_paused_vcpu_executes_nothing),
		CASE(one_with_interrupts_off_executes_nothing_either),
		CASE(an_exit_is_finished_before_the_pause),
		CASE(a_deadline_that_is_due_fires_after_the_pause),
		CASE(a_count_that_is_done_fires_after_the_pause),
		CASE(a_start_during_the_pause_waits_for_its_end),
		CASE(what_comes_during_the_pause_is_kept),
		CASE(an_nmi_during_the_pause_is_kept),
		CASE(no_interrupt_is_lost_on_a_halted_vcpu),
		CASE(no_interrupt_is_lost_on_a_running_vcpu),
		CASE(a_stop_ends_a_pause),
		CASE(a_pause_before_the_start_is_kept),
	};

	return tiny_usable(false) ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
