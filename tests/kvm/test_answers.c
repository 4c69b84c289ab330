/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing that a guest asks for is answered by KVM behind our back: see docs/architecture.md, "What
 * KVM answers by itself". Runs on this machine's /dev/kvm and on the lab's hosts, AMD and Intel.
 */
#include "tests/check.h"

#include <stdio.h>

#include "tests/kvm/tiny.h"

static int new_rig(void **state)
{
	*state = tiny_new(VCPU_AT_HOME);
	return 0;
}

static int free_rig(void **state)
{
	tiny_free(*state);
	return 0;
}

/* ---- the local APIC's timer ---- */

#define WRITE_MSR(msr, low) "mov $" #msr ", %ecx\n xor %edx, %edx\n mov $" #low ", %eax\n wrmsr\n"
/* Vector 0x41 after EAX ticks of 1 GHz. */
#define COUNT(mode) WRITE_MSR(0x83e, 0xb) WRITE_MSR(0x832, mode) WRITE_MSR(0x838, 20000000)
/* As Linux does: by the TSC's deadline where CPUID offers it (1:ECX[24]), else by a count. */
#define AS_OFFERED                                                                                 \
	"mov $1, %eax\n xor %ecx, %ecx\n cpuid\n"                                                  \
	"test $0x1000000, %ecx\n jz 2f\n" WRITE_MSR(                                               \
		0x832, 0x40041) "rdtsc\n add $20000000, %eax\n adc $0, %edx\n"                     \
				"mov $0x6e0, %ecx\n wrmsr\n jmp 9f\n"                              \
				"2:\n" COUNT(0x41)
#define HALTED "9: sti\n 1: hlt\n jmp 1b"
#define BUSY   "9: sti\n 1: pause\n jmp 1b"

TINY_CODE(offered_halted, ".code64", TINY_PROLOGUE AS_OFFERED HALTED);
TINY_CODE(offered_busy, ".code64", TINY_PROLOGUE AS_OFFERED BUSY);
TINY_CODE(once_halted, ".code64", TINY_PROLOGUE COUNT(0x41) HALTED);
TINY_CODE(once_busy, ".code64", TINY_PROLOGUE COUNT(0x41) BUSY);
TINY_CODE(periodic, ".code64", TINY_PROLOGUE COUNT(0x20041) HALTED);

static void the_timer_that_cpuid_offers_ends_a_halt(void **state)
{
	TINY_RUN(*state, offered_halted);
	tiny_expect(*state, TINY_OUT, PORT_VECTOR, 0x41);
}

static void the_timer_that_cpuid_offers_interrupts_a_running_vcpu(void **state)
{
	TINY_RUN(*state, offered_busy);
	tiny_expect(*state, TINY_OUT, PORT_VECTOR, 0x41);
}

static void a_count_ends_a_halt(void **state)
{
	TINY_RUN(*state, once_halted);
	tiny_expect(*state, TINY_OUT, PORT_VECTOR, 0x41);
}

static void a_count_interrupts_a_running_vcpu(void **state)
{
	TINY_RUN(*state, once_busy);
	tiny_expect(*state, TINY_OUT, PORT_VECTOR, 0x41);
}

static void a_periodic_count_ends_every_halt(void **state)
{
	TINY_RUN(*state, periodic);
	for (unsigned i = 0; i < 3; i++)
		tiny_expect(*state, TINY_OUT, PORT_VECTOR, 0x41);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, new_rig, free_rig)
	const struct CMUnitTest tests[] = {
		CASE(the_timer_that_cpuid_offers_ends_a_halt),
		CASE(the_timer_that_cpuid_offers_interrupts_a_running_vcpu),
		CASE(a_count_ends_a_halt),
		CASE(a_count_interrupts_a_running_vcpu),
		CASE(a_periodic_count_ends_every_halt),
	};
	struct err err;

	if (tiny_usable(&err) < 0) {
		printf("1..0 # SKIP %s\n", err.text);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
