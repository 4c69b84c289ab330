/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A paused vCPU is saved, loaded into one of another VM that shares its memory, and goes on there,
 * whatever it did when it was paused. Where /dev/kvm cannot be used or cannot save a vCPU the whole
 * test is skipped, with the reason.
 */
#include "tests/check.h"

#include "cpu/vcpu_image.h"
#include "tests/kvm/pair.h"

static void pause_and_wait(struct vcpu *v)
{
	vcpu_pause(v);
	assert_int_equal(vcpu_wait_parked(v), 0);
}

/* @from is parked already, and stays so. */
static struct wire_vcpu carry(struct tiny *from, struct tiny *to)
{
	struct wire_vcpu image;

	assert_int_equal(vcpu_save(from->vcpu[0], &image), 0);
	if (!vcpu_is_parked(to->vcpu[0]))
		pause_and_wait(to->vcpu[0]);
	assert_int_equal(vcpu_load(to->vcpu[0], &image), 0);
	vcpu_resume(to->vcpu[0]);
	return image;
}

TINY_CODE(masked, ".code64",
	  TINY_PROLOGUE "mov $1, %al\n out %al, $0x30\n"
			"1: pause\n cmpl $0, 0x9000\n je 1b\n"
			"9: sti\n 2: hlt\n jmp 2b");

static void a_running_vcpu_goes_on_elsewhere(void **state)
{
	struct pair *p = *state;

	TINY_RUN(p->first, masked);
	tiny_expect(p->first, TINY_OUT, 0x30, 1);
	pause_and_wait(p->first->vcpu[0]);
	/* What waits in the inbox is part of it. */
	vcpu_post(p->first->vcpu[0], 0x52, false);
	vcpu_post(p->first->vcpu[0], 0x93, true);
	assert_int_equal(carry(p->first, p->other).state, WIRE_VCPU_RUNNING);
	pair_set_flag(p, 1);
	tiny_expect(p->other, TINY_OUT, PORT_VECTOR, 0x93);
	tiny_expect(p->other, TINY_EOI, 0x93, 0);
	tiny_expect(p->other, TINY_OUT, PORT_VECTOR, 0x52);
	assert_int_equal(p->first->taken, p->first->count);
}

static void a_saved_vcpu_can_go_on_where_it_is(void **state)
{
	struct pair *p = *state;
	struct wire_vcpu image;

	TINY_RUN(p->first, masked);
	tiny_expect(p->first, TINY_OUT, 0x30, 1);
	for (unsigned i = 0; i < 10; i++) {
		pause_and_wait(p->first->vcpu[0]);
		vcpu_post(p->first->vcpu[0], (uint8_t)(0x50 + 16 * i), false);
		assert_int_equal(vcpu_save(p->first->vcpu[0], &image), 0);
		vcpu_resume(p->first->vcpu[0]);
	}
	pair_set_flag(p, 1);
	for (unsigned i = 10; i-- > 0;)
		tiny_expect(p->first, TINY_OUT, PORT_VECTOR, 0x50 + 16 * i);
}

TINY_CODE(deadline, ".code64", TINY_PROLOGUE TINY_DEADLINE "9: sti\n 1: hlt\n jmp 1b");
TINY_CODE(count, ".code64", TINY_PROLOGUE TINY_COUNT "9: sti\n 1: hlt\n jmp 1b");

static void woken_elsewhere(struct pair *p, enum tiny_timer timer, const uint8_t *code,
			    const uint8_t *end)
{
	if (!tiny_timer_offered(p->first, timer))
		skip();
	p->first->answer = tiny_timer_ticks(p->first, timer, 1000);
	tiny_load(p->first, 0x10000, code, end);
	tiny_start(p->first, 0);
	tiny_next(p->first, TINY_IN);
	tiny_wait_asleep(p->first, 0);
	pause_and_wait(p->first->vcpu[0]);
	assert_int_equal(carry(p->first, p->other).state, WIRE_VCPU_HALTED);
	/* A machine that was too slow for us has seen it fire before. */
	tiny_expect(p->first->taken == p->first->count ? p->other : p->first, TINY_OUT, PORT_VECTOR,
		    0x41);
	/* It sleeps again there, and an interrupt of another wakes it. */
	tiny_wait_asleep(p->other, 0);
	vcpu_post(p->other->vcpu[0], 0x66, false);
	tiny_expect(p->other, TINY_OUT, PORT_VECTOR, 0x66);
}

static void a_deadline_wakes_a_sleeping_vcpu_elsewhere(void **state)
{
	woken_elsewhere(*state, TINY_BY_DEADLINE, tiny_deadline, tiny_deadline_end);
}

static void a_count_down_wakes_a_sleeping_vcpu_elsewhere(void **state)
{
	woken_elsewhere(*state, TINY_BY_COUNT, tiny_count, tiny_count_end);
}

TINY_CODE(real_mode, ".code16", "mov %cs, %ax\n out %ax, $0x30\n 0: hlt\n jmp 0b");

static void a_vcpu_that_waits_for_its_start_is_started_elsewhere(void **state)
{
	struct pair *p = *state;

	tiny_load(p->first, TINY_AP_GPA, tiny_real_mode, tiny_real_mode_end);
	TINY_RUN(p->first, masked);
	tiny_expect(p->first, TINY_OUT, 0x30, 1);
	pause_and_wait(p->first->vcpu[0]);
	vcpu_signal(p->first->vcpu[0], VCPU_EVENT_INIT, 0);
	assert_int_equal(carry(p->first, p->other).state, WIRE_VCPU_WAIT_SIPI);
	vcpu_signal(p->other->vcpu[0], VCPU_EVENT_SIPI, TINY_AP_GPA >> 12);
	tiny_expect(p->other, TINY_OUT, 0x30, 0x700);
}

/* LSTAR has a value here, and its first one again there. */
TINY_CODE(traveller, ".code64",
	  "mov $0xc0000082, %ecx\n mov $0x4321, %eax\n xor %edx, %edx\n wrmsr\n"
	  "mov $1, %al\n out %al, $0x30\n"
	  "1: pause\n cmpl $1, 0x9000\n jne 1b\n"
	  "rdmsr\n out %eax, $0x31\n"
	  "xor %eax, %eax\n xor %edx, %edx\n wrmsr\n"
	  "mov $2, %al\n out %al, $0x30\n"
	  "1: pause\n cmpl $2, 0x9000\n jne 1b\n"
	  "rdmsr\n out %eax, $0x31\n 0: hlt\n jmp 0b");

static void nothing_of_an_earlier_stay_is_left(void **state)
{
	struct pair *p = *state;

	TINY_RUN(p->first, traveller);
	tiny_expect(p->first, TINY_OUT, 0x30, 1);
	pause_and_wait(p->first->vcpu[0]);
	carry(p->first, p->other);
	pair_set_flag(p, 1);
	tiny_expect(p->other, TINY_OUT, 0x31, 0x4321);
	tiny_expect(p->other, TINY_OUT, 0x30, 2);
	pause_and_wait(p->other->vcpu[0]);
	carry(p->other, p->first);
	pair_set_flag(p, 2);
	tiny_expect(p->first, TINY_OUT, 0x31, 0);
}

static void what_is_elsewhere_cannot_be_saved(void **state)
{
	struct pair *p = *state;
	struct wire_vcpu image;

	pause_and_wait(p->other->vcpu[0]);
	assert_int_equal(vcpu_save(p->other->vcpu[0], &image), -EINVAL);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, pair_new, pair_free)
	const struct CMUnitTest tests[] = {
		CASE(a_running_vcpu_goes_on_elsewhere),
		CASE(a_saved_vcpu_can_go_on_where_it_is),
		CASE(a_deadline_wakes_a_sleeping_vcpu_elsewhere),
		CASE(a_count_down_wakes_a_sleeping_vcpu_elsewhere),
		CASE(a_vcpu_that_waits_for_its_start_is_started_elsewhere),
		CASE(nothing_of_an_earlier_stay_is_left),
		CASE(what_is_elsewhere_cannot_be_saved),
	};

	return tiny_usable(true) ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
