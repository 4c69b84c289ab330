/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPUs on a real /dev/kvm, an emulating one included: exits, interrupts, timer, start of the
 * second vCPU, stop. Where /dev/kvm cannot be used the whole test is skipped, with the reason.
 */
#include "tests/check.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/kvm/tiny.h"

#define CR0_CACHE 0x60000000 /* CD and NW */

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

/* ---- exits ---- */

TINY_CODE(ports, ".code64",
	  "mov $0x500, %edx\n mov $0x11223344, %eax\n"
	  "out %al, (%dx)\n out %ax, (%dx)\n out %eax, (%dx)\n"
	  "xor %eax, %eax\n in (%dx), %al\n out %eax, (%dx)\n"
	  "xor %eax, %eax\n in (%dx), %ax\n out %eax, (%dx)\n"
	  "xor %eax, %eax\n in (%dx), %eax\n out %eax, (%dx)\n"
	  "0: hlt\n jmp 0b");

static void ports_carry_values(void **state)
{
	struct tiny *t = *state;
	const unsigned sizes[] = {1, 2, 4};
	const uint64_t out[] = {0x44, 0x3344, 0x11223344}, in[] = {0xdd, 0xccdd, 0xaabbccdd};

	t->answer = 0xaabbccdd;
	TINY_RUN(t, ports);
	for (unsigned i = 0; i < 3; i++) {
		struct tiny_entry entry = tiny_next(t, TINY_OUT);
		assert_int_equal(entry.addr, 0x500);
		assert_int_equal(entry.size, sizes[i]);
		assert_int_equal(entry.value, out[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(tiny_next(t, TINY_IN).size, sizes[i]);
		tiny_expect(t, TINY_OUT, 0x500, in[i]);
	}
}

/* Bytes from 0x9000 to a port, and from the port back to 0x9010. */
TINY_CODE(strings, ".code64",
	  "movl $0x65646f6e, 0x9000\n"
	  "mov $0x501, %edx\n cld\n"
	  "mov $0x9000, %esi\n mov $4, %ecx\n rep outsb\n"
	  "mov $0x9010, %edi\n mov $4, %ecx\n rep insb\n"
	  "mov 0x9010, %eax\n out %eax, (%dx)\n"
	  "0: hlt\n jmp 0b");

static void strings_go_through_a_port(void **state)
{
	struct tiny *t = *state;

	t->answer = 0x7a;
	TINY_RUN(t, strings);
	for (unsigned i = 0; i < 4; i++)
		tiny_expect(t, TINY_OUT, 0x501, (uint8_t) "node"[i]);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(tiny_next(t, TINY_IN).size, 1);
	tiny_expect(t, TINY_OUT, 0x501, 0x7a7a7a7a);
}

TINY_CODE(mmio, ".code64",
	  "mov $0x200010, %ebx\n mov $0x1122334455667788, %rax\n"
	  "mov %al, (%rbx)\n mov %ax, (%rbx)\n mov %eax, (%rbx)\n mov %rax, (%rbx)\n"
	  "mov (%rbx), %al\n mov %rax, 8(%rbx)\n"
	  "mov (%rbx), %eax\n mov %rax, 8(%rbx)\n"
	  "mov (%rbx), %rax\n mov %rax, 8(%rbx)\n"
	  "0: hlt\n jmp 0b");

static void mmio_carries_values(void **state)
{
	struct tiny *t = *state;
	const uint64_t stored[] = {0x88, 0x7788, 0x55667788, 0x1122334455667788};
	const uint64_t loaded[] = {0x11223344556677dd, 0xaabbccdd, 0x99887766aabbccdd};
	const unsigned sizes[] = {1, 4, 8};

	t->answer = 0x99887766aabbccdd;
	TINY_RUN(t, mmio);
	for (unsigned i = 0; i < 4; i++) {
		struct tiny_entry entry = tiny_next(t, TINY_STORE);
		assert_int_equal(entry.addr, TINY_MMIO + 0x10);
		assert_int_equal(entry.size, 1u << i);
		assert_int_equal(entry.value, stored[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(tiny_next(t, TINY_LOAD).size, sizes[i]);
		tiny_expect(t, TINY_STORE, TINY_MMIO + 0x18, loaded[i]);
	}
}

/* ---- MSRs ---- */

/* Its own id; TPR written and read back twice; an IPI to APIC id 1, fixed, vector 0x55. */
TINY_CODE(x2apic, ".code64",
	  "mov $0x500, %ebx\n"
	  "mov $0x802, %ecx\n rdmsr\n mov %ebx, %edx\n out %eax, (%dx)\n"
	  "mov $0x808, %ecx\n mov $0x25, %eax\n xor %edx, %edx\n wrmsr\n"
	  "xor %eax, %eax\n rdmsr\n mov %ebx, %edx\n out %eax, (%dx)\n"
	  "xor %eax, %eax\n rdmsr\n mov %ebx, %edx\n out %eax, (%dx)\n"
	  "mov $0x830, %ecx\n mov $1, %edx\n mov $0x4055, %eax\n wrmsr\n"
	  "0: hlt\n jmp 0b");

static void x2apic_registers_are_msrs(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, x2apic);
	tiny_expect(t, TINY_OUT, 0x500, 0);
	tiny_expect(t, TINY_OUT, 0x500, 0x25);
	tiny_expect(t, TINY_OUT, 0x500, 0x25);
	struct tiny_entry ipi = tiny_next(t, TINY_SEND);
	assert_int_equal(ipi.message.dest, 1);
	assert_int_equal(ipi.message.vector, 0x55);
	assert_int_equal(ipi.message.mode, 0);
	assert_int_equal(ipi.message.shorthand, IRQ_TO_DEST);
}

/* CR8 is the upper half of the TPR; writing it clears the lower (SDM vol. 3, 10.8.6.1). */
TINY_CODE(cr8, ".code64",
	  "mov $0x808, %ecx\n mov $0x25, %eax\n xor %edx, %edx\n wrmsr\n"
	  "mov %cr8, %rax\n mov $0x500, %edx\n out %eax, (%dx)\n"
	  "mov $3, %eax\n mov %rax, %cr8\n"
	  "xor %eax, %eax\n rdmsr\n mov $0x500, %edx\n out %eax, (%dx)\n"
	  "0: hlt\n jmp 0b");

static void cr8_is_the_upper_half_of_the_tpr(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, cr8);
	tiny_expect(t, TINY_OUT, 0x500, 2);
	tiny_expect(t, TINY_OUT, 0x500, 0x30);
}

/* RDMSR and WRMSR of what does not exist, WRMSR of the read-only APIC id: three #GP. */
TINY_CODE(protection, ".code64",
	  "lidt 0x5100\n"
	  "lea 1f(%rip), %r15\n mov $0xc0ffee, %ecx\n rdmsr\n"
	  "out %al, $0xff\n"
	  "1: lea 2f(%rip), %r15\n mov $0xc0ffee, %ecx\n wrmsr\n"
	  "out %al, $0xff\n"
	  "2: lea 3f(%rip), %r15\n mov $0x802, %ecx\n wrmsr\n"
	  "out %al, $0xff\n"
	  "3: mov $1, %al\n out %al, $0x30\n"
	  "0: hlt\n jmp 0b");

static void a_wrong_msr_is_a_protection_fault(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, protection);
	for (unsigned i = 0; i < 3; i++)
		tiny_expect(t, TINY_OUT, PORT_VECTOR, 13);
	tiny_expect(t, TINY_OUT, 0x30, 1);
}

/* ---- interrupts ---- */

TINY_CODE(idle, ".code64", TINY_PROLOGUE "9: sti\n hlt\n jmp 9b");

static void an_interrupt_ends_a_halt(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, idle);
	for (unsigned i = 0; i < 8; i++) {
		tiny_wait_asleep(t, 0);
		vcpu_post(t->vcpu[0], (uint8_t)(0x40 + i), false);
		tiny_expect(t, TINY_OUT, PORT_VECTOR, 0x40 + i);
	}
}

static void the_end_of_a_level_interrupt_is_told(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, idle);
	for (unsigned i = 0; i < 2; i++) {
		tiny_wait_asleep(t, 0);
		vcpu_post(t->vcpu[0], 0x61, true);
		tiny_expect(t, TINY_OUT, PORT_VECTOR, 0x61);
		tiny_expect(t, TINY_EOI, 0x61, 0);
	}
}

/* Interrupts are off until the gate is open; the higher class goes first. */
TINY_CODE(masked, ".code64", TINY_PROLOGUE "in $0x21, %al\n 9: sti\n 1: pause\n jmp 1b");

static void masked_interrupts_wait_and_the_highest_goes_first(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, masked);
	assert_int_equal(tiny_next(t, TINY_IN).addr, PORT_GATE);
	vcpu_post(t->vcpu[0], 0x42, false);
	vcpu_post(t->vcpu[0], 0x83, false);
	tiny_open_gate(t);
	tiny_expect(t, TINY_OUT, PORT_VECTOR, 0x83);
	tiny_expect(t, TINY_OUT, PORT_VECTOR, 0x42);
}

TINY_CODE(busy, ".code64",
	  TINY_PROLOGUE "mov $1, %al\n out %al, $0x30\n"
			"9: sti\n 1: pause\n jmp 1b");

static void a_running_vcpu_is_interrupted(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, busy);
	tiny_expect(t, TINY_OUT, 0x30, 1);
	for (unsigned i = 0; i < 50; i++) {
		vcpu_post(t->vcpu[0], (uint8_t)(0x40 + i), false);
		tiny_expect(t, TINY_OUT, PORT_VECTOR, 0x40 + i);
	}
}

/* NMI needs no IF. */
TINY_CODE(deaf, ".code64", TINY_PROLOGUE "9: cli\n hlt\n jmp 9b");

static void an_nmi_ends_a_halt_with_interrupts_off(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, deaf);
	tiny_wait_asleep(t, 0);
	vcpu_post(t->vcpu[0], 0x40, false); /* stays pending */
	vcpu_signal(t->vcpu[0], VCPU_EVENT_NMI, 0);
	tiny_expect(t, TINY_OUT, PORT_VECTOR, 2);
}

/* ---- timer ---- */

TINY_CODE(deadline_halted, ".code64", TINY_PROLOGUE TINY_DEADLINE "9: sti\n 1: hlt\n jmp 1b");
TINY_CODE(deadline_busy, ".code64", TINY_PROLOGUE TINY_DEADLINE "9: sti\n 1: pause\n jmp 1b");
TINY_CODE(count_halted, ".code64", TINY_PROLOGUE TINY_COUNT "9: sti\n 1: hlt\n jmp 1b");
TINY_CODE(count_busy, ".code64", TINY_PROLOGUE TINY_COUNT "9: sti\n 1: pause\n jmp 1b");

/* It comes, and not before its time: the guest set it after @before. */
static void expect_timer(struct tiny *t, enum tiny_timer timer, const uint8_t *code,
			 const uint8_t *end)
{
	if (!tiny_timer_offered(t, timer))
		skip();
	t->answer = tiny_timer_ticks(t, timer, 40);
	uint64_t before = tiny_timer_now(t, timer);
	tiny_load(t, 0x10000, code, end);
	tiny_start(t, 0);
	assert_int_equal(tiny_next(t, TINY_IN).addr, 0x31);
	tiny_expect(t, TINY_OUT, PORT_VECTOR, 0x41);
	assert_true(tiny_timer_now(t, timer) >= before + t->answer);
}
#define EXPECT_TIMER(t, timer, name) expect_timer(t, timer, tiny_##name, tiny_##name##_end)

static void the_deadline_timer_ends_a_halt(void **state)
{
	EXPECT_TIMER(*state, TINY_BY_DEADLINE, deadline_halted);
}

static void the_deadline_timer_interrupts_a_running_vcpu(void **state)
{
	EXPECT_TIMER(*state, TINY_BY_DEADLINE, deadline_busy);
}

static void the_count_down_timer_ends_a_halt(void **state)
{
	EXPECT_TIMER(*state, TINY_BY_COUNT, count_halted);
}

static void the_count_down_timer_interrupts_a_running_vcpu(void **state)
{
	EXPECT_TIMER(*state, TINY_BY_COUNT, count_busy);
}

TINY_CODE(deadline_read, ".code64",
	  TINY_DEADLINE "mov %eax, %ebx\n xor %eax, %eax\n xor %edx, %edx\n rdmsr\n"
			"sub %ebx, %eax\n out %eax, $0x30\n 0: hlt\n jmp 0b");

static void the_deadline_is_read_as_it_was_written(void **state)
{
	struct tiny *t = *state;

	if (!tiny_timer_offered(t, TINY_BY_DEADLINE))
		skip();
	t->answer = UINT32_MAX;
	TINY_RUN(t, deadline_read);
	assert_int_equal(tiny_next(t, TINY_IN).addr, 0x31);
	tiny_expect(t, TINY_OUT, 0x30, 0);
}

TINY_CODE(tsc, ".code64",
	  "rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, 0x200000\n"
	  "0: hlt\n jmp 0b");

static void the_guest_reads_the_clusters_tsc(void **state)
{
	struct tiny *t = *state;
	uint64_t before = guest_clock_tsc(&t->clock);
	TINY_RUN(t, tsc);
	uint64_t read = tiny_next(t, TINY_STORE).value;
	assert_in_range(read, before, guest_clock_tsc(&t->clock));
}

/* ---- the second vCPU ---- */

/* INIT, then SIPI to page 7, both to APIC id 1. */
TINY_CODE(starter, ".code64",
	  "mov $0x830, %ecx\n mov $1, %edx\n"
	  "mov $0x4500, %eax\n wrmsr\n"
	  "mov $0x4607, %eax\n wrmsr\n"
	  "0: hlt\n jmp 0b");

/* CS to a port in one word, then the low word of CR0: real mode has PE clear. */
TINY_CODE(real_mode, ".code16",
	  "mov %cs, %ax\n out %ax, $0x30\n"
	  "mov %cr0, %eax\n out %ax, $0x31\n"
	  "0: hlt\n jmp 0b");

static struct tiny_entry next_of_second(struct tiny *t)
{
	struct tiny_entry entry = tiny_next(t, TINY_OUT);

	assert_int_equal(entry.vcpu, 1);
	return entry;
}

static void init_and_sipi_start_the_second_vcpu(void **state)
{
	struct tiny *t = *state;

	tiny_load(t, TINY_AP_GPA, tiny_real_mode, tiny_real_mode_end);
	TINY_RUN(t, starter);
	assert_int_equal(tiny_next(t, TINY_SEND).message.mode, IRQ_INIT);
	assert_int_equal(tiny_next(t, TINY_SEND).message.mode, IRQ_SIPI);
	assert_int_equal(next_of_second(t).value, 0x700);
	assert_int_equal(next_of_second(t).value & 1, 0);
	tiny_wait_asleep(t, 1);

	/* A SIPI means nothing to a vCPU that has started; after an INIT it does. */
	vcpu_signal(t->vcpu[1], VCPU_EVENT_SIPI, 7);
	/* It is awake when it takes the event; had it run, it would have told before it sleeps. */
	while (atomic_load(&t->vcpu[1]->inbox.events))
		sched_yield();
	tiny_wait_asleep(t, 1);
	assert_int_equal(t->taken, t->count);
	vcpu_signal(t->vcpu[1], VCPU_EVENT_INIT, 0);
	tiny_wait_asleep(t, 1);
	vcpu_signal(t->vcpu[1], VCPU_EVENT_SIPI, 7);
	assert_int_equal(next_of_second(t).value, 0x700);
	next_of_second(t);
}

/* What an interrupted handler leaves behind, and a breakpoint. */
static void leave_things_pending(struct vcpu *v)
{
	struct kvm_vcpu_events events;
	struct kvm_debugregs debug;
	struct kvm_sregs sregs;

	assert_int_equal(ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events), 0);
	events.interrupt.injected = 1;
	events.interrupt.nr = 0x77;
	events.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	events.nmi.masked = 1;
	events.flags |= KVM_VCPUEVENT_VALID_SHADOW;
	assert_int_equal(ioctl(v->fd, KVM_SET_VCPU_EVENTS, &events), 0);
	assert_int_equal(ioctl(v->fd, KVM_GET_DEBUGREGS, &debug), 0);
	debug.db[0] = 0x5000;
	debug.dr7 |= 1;
	assert_int_equal(ioctl(v->fd, KVM_SET_DEBUGREGS, &debug), 0);
	assert_int_equal(ioctl(v->fd, KVM_GET_SREGS, &sregs), 0);
	sregs.cr0 &= ~CR0_CACHE;
	assert_int_equal(ioctl(v->fd, KVM_SET_SREGS, &sregs), 0);
}

/* SDM vol. 3, table 9-1: the column INIT. */
static void expect_init_state(struct vcpu *v)
{
	struct kvm_vcpu_events events;
	struct kvm_debugregs debug;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;

	assert_int_equal(ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events), 0);
	assert_int_equal(events.interrupt.injected, 0);
	assert_int_equal(events.interrupt.shadow, 0);
	assert_int_equal(events.nmi.masked, 0);
	assert_int_equal(ioctl(v->fd, KVM_GET_DEBUGREGS, &debug), 0);
	assert_int_equal(debug.db[0], 0);
	assert_int_equal(debug.dr7, 0x400);
	/* Unchanged: the caches' bits of CR0, the FPU. */
	assert_int_equal(ioctl(v->fd, KVM_GET_SREGS, &sregs), 0);
	assert_int_equal(sregs.cr0 & CR0_CACHE, 0);
	assert_int_equal(ioctl(v->fd, KVM_GET_FPU, &fpu), 0);
	assert_int_equal(fpu.fcw, 0x27f);
}

static void an_init_leaves_nothing_pending(void **state)
{
	struct tiny *t = *state;
	struct vcpu *v = t->vcpu[1];
	struct kvm_fpu fpu;

	tiny_load(t, TINY_AP_GPA, tiny_real_mode, tiny_real_mode_end);
	TINY_RUN(t, starter);
	tiny_next(t, TINY_SEND);
	tiny_next(t, TINY_SEND);
	next_of_second(t);
	next_of_second(t);
	vcpu_pause(v);
	assert_int_equal(vcpu_wait_parked(v), 0);
	leave_things_pending(v);
	assert_int_equal(ioctl(v->fd, KVM_GET_FPU, &fpu), 0);
	fpu.fcw = 0x27f;
	assert_int_equal(ioctl(v->fd, KVM_SET_FPU, &fpu), 0);
	vcpu_signal(v, VCPU_EVENT_INIT, 0);
	vcpu_signal(v, VCPU_EVENT_SIPI, 7);
	vcpu_resume(v);
	assert_int_equal(next_of_second(t).value, 0x700);
	next_of_second(t);
	vcpu_pause(v);
	assert_int_equal(vcpu_wait_parked(v), 0);
	expect_init_state(v);
}

/* ---- the end ---- */

/* One that is not told so would never end. */
static void stop_all(struct tiny *t)
{
	for (unsigned i = 0; i < TINY_VCPUS; i++)
		vcpu_signal(t->vcpu[i], VCPU_EVENT_STOP, 0);
	for (unsigned i = 0; i < TINY_VCPUS; i++)
		vcpu_join(t->vcpu[i]);
	assert_int_equal(t->taken, t->count); /* nothing failed */
}

static void a_halted_and_a_waiting_vcpu_stop(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, idle);
	tiny_wait_asleep(t, 0);
	tiny_wait_asleep(t, 1);
	stop_all(t);
}

static void a_running_vcpu_stops(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, busy);
	tiny_expect(t, TINY_OUT, 0x30, 1);
	stop_all(t);
}

/* Without an IDT an invalid instruction is a triple fault: a PC's last way to reset itself. */
TINY_CODE(broken, ".code64", "ud2");

static void a_triple_fault_is_a_reset(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, broken);
	assert_int_equal(tiny_next(t, TINY_RESET).vcpu, 0);
	assert_non_null(strstr(t->failure, "vCPU 0: the guest triple-faulted"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, new_rig, free_rig)
	const struct CMUnitTest tests[] = {
		CASE(ports_carry_values),
		CASE(strings_go_through_a_port),
		CASE(mmio_carries_values),
		CASE(x2apic_registers_are_msrs),
		CASE(cr8_is_the_upper_half_of_the_tpr),
		CASE(a_wrong_msr_is_a_protection_fault),
		CASE(an_interrupt_ends_a_halt),
		CASE(the_end_of_a_level_interrupt_is_told),
		CASE(masked_interrupts_wait_and_the_highest_goes_first),
		CASE(a_running_vcpu_is_interrupted),
		CASE(an_nmi_ends_a_halt_with_interrupts_off),
		CASE(the_deadline_timer_ends_a_halt),
		CASE(the_deadline_timer_interrupts_a_running_vcpu),
		CASE(the_count_down_timer_ends_a_halt),
		CASE(the_count_down_timer_interrupts_a_running_vcpu),
		CASE(the_deadline_is_read_as_it_was_written),
		CASE(the_guest_reads_the_clusters_tsc),
		CASE(init_and_sipi_start_the_second_vcpu),
		CASE(an_init_leaves_nothing_pending),
		CASE(a_halted_and_a_waiting_vcpu_stop),
		CASE(a_running_vcpu_stops),
		CASE(a_triple_fault_is_a_reset),
	};

	return tiny_usable(false) ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
