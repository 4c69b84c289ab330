/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing that a guest asks for is answered by KVM behind our back: see docs/architecture.md, "What
 * KVM answers by itself". Runs on this machine's /dev/kvm and on the lab's hosts, AMD and Intel.
 */
#include <stdio.h>

#include "tests/check.h"

#include "tests/kvm/tiny.h"

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

/* ---- the clock ---- */

TINY_CODE(deadline_read, ".code64",
	  "mov $0x6e0, %ecx\n xor %eax, %eax\n rdmsr\n out %eax, $0x30\n 0: hlt\n jmp 0b");

/* KVM has a copy of its own, which is 0 as ours is: only the exit tells them apart. */
static void the_deadline_is_read_from_us(void **state)
{
	struct tiny *t = *state;

	TINY_RUN(t, deadline_read);
	tiny_expect(t, TINY_OUT, 0x30, 0);
	tiny_wait_asleep(t, 0);
	assert_int_equal(atomic_load(&t->vcpu[0]->exits[VCPU_EXIT_MSR]), 1);
}

/* By the TSC itself, then by TSC_ADJUST, it would go on from a number of the guest's. */
TINY_CODE(tsc_writes, ".code64",
	  "mov $0x10, %ecx\n mov $0x12345678, %edx\n xor %eax, %eax\n wrmsr\n"
	  "rdmsr\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, 0x200000\n"
	  "mov $0x3b, %ecx\n mov $0x12345678, %edx\n xor %eax, %eax\n wrmsr\n"
	  "rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, 0x200000\n"
	  "mov $0x3b, %ecx\n rdmsr\n or %edx, %eax\n out %eax, $0x30\n"
	  "0: hlt\n jmp 0b");

static void the_tsc_is_the_clusters_whatever_is_written(void **state)
{
	struct tiny *t = *state;
	uint64_t before = guest_clock_tsc(&t->clock);

	TINY_RUN(t, tsc_writes);
	uint64_t by_msr = tiny_next(t, TINY_STORE).value, by_rdtsc = tiny_next(t, TINY_STORE).value;
	assert_in_range(by_msr, before, guest_clock_tsc(&t->clock));
	assert_in_range(by_rdtsc, by_msr, guest_clock_tsc(&t->clock));
	tiny_expect(t, TINY_OUT, 0x30, 0);
}

/* ---- what KVM would do for other guests ---- */

/*
 * For EBX from @first to @last: @text, with ECX = EBX, EDX:EAX = 0x9001. What faults goes on with
 * the next one, what does not tells it by port 0x30. Port 0x31 is the end.
 */
#define EACH(first, last, text)                                                                    \
	TINY_PROLOGUE "mov $" #first ", %ebx\n"                                                    \
		      "1: mov %ebx, %ecx\n xor %edx, %edx\n mov $0x9001, %eax\n" text "\n"         \
		      "out %eax, $0x30\n"                                                          \
		      "9: inc %ebx\n cmp $" #last ", %ebx\n jbe 1b\n"                              \
		      "out %al, $0x31\n 0: hlt\n jmp 0b"

TINY_CODE(old_clock_write, ".code64", EACH(0x11, 0x12, "wrmsr"));
TINY_CODE(old_clock_read, ".code64", EACH(0x11, 0x12, "rdmsr"));
TINY_CODE(paravirt_write, ".code64", EACH(0x4b564d02, 0x4b564d08, "wrmsr"));
TINY_CODE(paravirt_read, ".code64", EACH(0x4b564d02, 0x4b564d08, "rdmsr"));
TINY_CODE(hyperv_write, ".code64", EACH(0x40000000, 0x40000004, "wrmsr"));
TINY_CODE(hyperv_read, ".code64", EACH(0x40000000, 0x40000004, "rdmsr"));
/* Where Xen's is when Hyper-V's are there, too; else it is the first of those. */
TINY_CODE(xen_write, ".code64", EACH(0x40000200, 0x40000200, "wrmsr"));

static void each_faults(struct tiny *t, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		tiny_expect(t, TINY_OUT, PORT_VECTOR, 13);
	assert_int_equal(tiny_next(t, TINY_OUT).addr, 0x31);
}

/* KVM's first clock would tell this host's time, not the cluster's, and write guest memory. */
static void the_first_kvm_clock_does_not_exist(void **state)
{
	TINY_RUN(*state, old_clock_write);
	each_faults(*state, 2);
}

static void the_first_kvm_clock_cannot_be_read(void **state)
{
	TINY_RUN(*state, old_clock_read);
	each_faults(*state, 2);
}

/* Async page faults, stolen time, EOI without exit, polling in place of exits, migration. */
static void paravirtual_msrs_do_not_exist(void **state)
{
	TINY_RUN(*state, paravirt_write);
	each_faults(*state, 7);
}

static void paravirtual_msrs_cannot_be_read(void **state)
{
	TINY_RUN(*state, paravirt_read);
	each_faults(*state, 7);
}

static void msrs_of_hyper_v_do_not_exist(void **state)
{
	TINY_RUN(*state, hyperv_write);
	each_faults(*state, 5);
}

static void msrs_of_hyper_v_cannot_be_read(void **state)
{
	TINY_RUN(*state, hyperv_read);
	each_faults(*state, 5);
}

/* It would have KVM write a page of code into the guest's memory. */
static void the_msr_of_xen_does_not_exist(void **state)
{
	TINY_RUN(*state, xen_write);
	each_faults(*state, 1);
}

/* VMCALL on Intel, VMMCALL on AMD: a KVM that meets the other one patches the guest's code. */
#define HYPERCALL(number)                                                                          \
	"mov $" #number ", %eax\n xor %ebx, %ebx\n mov $2, %ecx\n xor %edx, %edx\n xor %esi, "     \
	"%esi\n"                                                                                   \
	"cmp $0x756e6547, %ebp\n jne 1f\n vmcall\n jmp 2f\n 1: vmmcall\n 2: out %eax, $0x30\n"

/* A KVM that emulates never gets to carry out a call; it knows no CMPXCHG16B either. */
TINY_CODE(hypercalls, ".code64",
	  "lock cmpxchg16b 0x9000\n"
	  "xor %eax, %eax\n cpuid\n mov %ebx, %ebp\n" /* vendor */
	  HYPERCALL(5) HYPERCALL(10) HYPERCALL(11)
		  HYPERCALL(12) "mov $0x40000001, %eax\n cpuid\n out %eax, $0x31\n"
				"0: hlt\n jmp 0b");

/* KICK_CPU, SEND_IPI, SCHED_YIELD, MAP_GPA_RANGE: all would be done behind our back. */
static void hypercalls_are_refused(void **state)
{
	const uint32_t no_such_call = (uint32_t)-1000; /* KVM_ENOSYS */

	TINY_RUN(*state, hypercalls);
	if (tiny_peek(*state) == TINY_FAILED)
		skip();
	for (unsigned i = 0; i < 4; i++)
		tiny_expect(*state, TINY_OUT, 0x30, no_such_call);
	/* NOP_IO_DELAY, CLOCKSOURCE2, CLOCKSOURCE_STABLE: what the guest may use of KVM's. */
	tiny_expect(*state, TINY_OUT, 0x31, 0x100000a);
}

TINY_CODE(counters_amd, ".code64",
	  EACH(0xc0010000, 0xc0010007, "wrmsr\n xor %eax, %eax\n mov %ebx, %ecx\n rdmsr"));
TINY_CODE(counters_intel, ".code64",
	  EACH(0xc1, 0xc2, "wrmsr\n xor %eax, %eax\n mov %ebx, %ecx\n rdmsr"));

/* They would count this host's events, and their interrupt needs KVM's LAPIC. */
static void nothing_is_counted(struct tiny *t, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct tiny_entry entry = tiny_next(t, TINY_OUT);

		if (entry.addr == 0x30) /* ignored, as a PC without them would */
			assert_int_equal(entry.value, 0);
		else
			assert_int_equal(entry.value, 13);
	}
	assert_int_equal(tiny_next(t, TINY_OUT).addr, 0x31);
}

static void amds_counters_do_not_count(void **state)
{
	TINY_RUN(*state, counters_amd);
	nothing_is_counted(*state, 8);
}

static void intels_counters_do_not_count(void **state)
{
	TINY_RUN(*state, counters_intel);
	nothing_is_counted(*state, 2);
}

/* ---- what KVM could serve by devices of its own ---- */

/* PIT, the two PICs and their trigger mode, the system's control ports, PCI's configuration. */
TINY_CODE(ports, ".code64",
	  "out %al, $0x43\n out %al, $0x40\n out %al, $0x20\n out %al, $0xa1\n"
	  "out %al, $0x61\n out %al, $0x92\n"
	  "mov $0x4d0, %edx\n out %al, (%dx)\n mov $0xcf8, %edx\n out %eax, (%dx)\n"
	  "0: hlt\n jmp 0b");

static void ports_of_a_pc_come_to_us(void **state)
{
	static const uint16_t ports[] = {0x43, 0x40, 0x20, 0xa1, 0x61, 0x92, 0x4d0, 0xcf8};

	TINY_RUN(*state, ports);
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		assert_int_equal(tiny_next(*state, TINY_OUT).addr, ports[i]);
}

/*
 * The second GiB but last of the address space, by a page directory at 0xa000: pages of 2 MiB at
 * 0xfec00000 (I/O APIC, HPET) and 0xfee00000 (local APIC).
 */
static void map_apics(struct tiny *t)
{
	const uint64_t directory = 0xa007, ioapic = 0xfec00087, lapic = 0xfee00087;

	assert_int_equal(ram_write(t->ram, 0x2018, &directory, sizeof(directory)), 0);
	assert_int_equal(ram_write(t->ram, 0xa000 + 0x1f6 * 8, &ioapic, sizeof(ioapic)), 0);
	assert_int_equal(ram_write(t->ram, 0xa000 + 0x1f7 * 8, &lapic, sizeof(lapic)), 0);
}

TINY_CODE(memory, ".code64",
	  "mov $0xfec00000, %ebx\n movl $1, (%rbx)\n movl $2, 0x1000(%rbx)\n"
	  "mov $0xfed00000, %ebx\n movl $3, 0xf0(%rbx)\n"
	  "0: hlt\n jmp 0b");

static void memory_of_the_ioapic_and_the_hpet_comes_to_us(void **state)
{
	map_apics(*state);
	TINY_RUN(*state, memory);
	tiny_expect(*state, TINY_STORE, 0xfec00000, 1);
	tiny_expect(*state, TINY_STORE, 0xfec01000, 2);
	tiny_expect(*state, TINY_STORE, 0xfed000f0, 3);
}

/* From x2APIC mode, by off, to xAPIC mode; its page then is ours: version, id, a stored TPR, ICR.
 */
TINY_CODE(xapic, ".code64",
	  "mov $0x1b, %ecx\n rdmsr\n out %eax, $0x30\n" /* IA32_APIC_BASE */
	  "xor %edx, %edx\n mov $0xfee00100, %eax\n wrmsr\n"
	  "mov $0xfee00900, %eax\n wrmsr\n"
	  "mov $0xfee00000, %ebx\n"
	  "mov 0x30(%rbx), %eax\n out %eax, $0x31\n"
	  "movl $0x50, 0x80(%rbx)\n mov 0x80(%rbx), %eax\n out %eax, $0x32\n"
	  "movl $0x1000000, 0x310(%rbx)\n movl $0x4055, 0x300(%rbx)\n"
	  "0: hlt\n jmp 0b");

static void the_page_of_the_xapic_is_ours(void **state)
{
	struct tiny *t = *state;

	map_apics(t);
	TINY_RUN(t, xapic);
	tiny_expect(t, TINY_OUT, 0x30, 0xfee00d00);
	assert_int_equal(tiny_next(t, TINY_OUT).value & 0xff, 0x14);
	tiny_expect(t, TINY_OUT, 0x32, 0x50);
	struct tiny_entry ipi = tiny_next(t, TINY_SEND);
	assert_int_equal(ipi.message.dest, 1);
	assert_int_equal(ipi.message.vector, 0x55);
}

/* ---- instructions ---- */

/* Caches; then MONITOR and MWAIT, which CPUID does not offer: a fault, or nothing, but no sleep. */
TINY_CODE(odd, ".code64",
	  TINY_PROLOGUE "wbinvd\n invd\n out %al, $0x30\n"
			"lea 1f(%rip), %r15\n"
			"mov $0x9000, %eax\n xor %ecx, %ecx\n xor %edx, %edx\n monitor\n"
			"1: lea 9f(%rip), %r15\n xor %eax, %eax\n xor %ecx, %ecx\n mwait\n"
			"9: out %al, $0x31\n 0: hlt\n jmp 0b");

static void no_instruction_sleeps_but_hlt(void **state)
{
	struct tiny_entry entry;

	TINY_RUN(*state, odd);
	assert_int_equal(tiny_next(*state, TINY_OUT).addr, 0x30);
	/* A KVM that emulates may not know them. */
	if (tiny_peek(*state) == TINY_FAILED)
		skip();
	while ((entry = tiny_next(*state, TINY_OUT)).addr == PORT_VECTOR)
		assert_int_equal(entry.value, 6);
	assert_int_equal(entry.addr, 0x31);
}

/* ---- the CPU ---- */

/* Tells the MSRs whose numbers are at 0x9000, up to a 0. */
TINY_CODE(msrs, ".code64",
	  "mov $0x9000, %ebx\n 1: mov (%rbx), %ecx\n test %ecx, %ecx\n jz 0f\n"
	  "rdmsr\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, 0x200000\n"
	  "add $4, %ebx\n jmp 1b\n 0: hlt\n jmp 0b");

/* As joined with a host of other microcode that lacks one of our mitigations. */
static struct cpu_identity common_identity(const struct cpu_identity *own)
{
	struct cpu_identity common = *own, other = *own;
	uint64_t *caps = &other.msr[CPU_MSR_ARCH_CAPABILITIES];
	uint64_t good = *caps & cpu_msr_rules[CPU_MSR_ARCH_CAPABILITIES].both;

	*caps ^= good & -good;
	other.msr[CPU_MSR_UCODE_REV] = 1;
	assert_int_equal(cpu_identity_join(&common, &other), 0);
	assert_true(cpu_identity_covers(own, &common));
	return common;
}

static void feature_msrs_are_what_all_hosts_have(void **state)
{
	struct tiny **t = (struct tiny **)state;
	struct cpu_identity own = (*t)->identity, common = common_identity(&own);
	uint32_t number[CPU_IDENTITY_MSRS + 1] = {0};
	unsigned count = 0;

	/* A CPU may have none of them. */
	if (memcmp(common.msr, own.msr, sizeof(own.msr)) == 0)
		skip();
	tiny_free(*t);
	*t = tiny_new_as(&common);
	for (unsigned i = 0; i < CPU_IDENTITY_MSRS; i++)
		if (common.msr[i])
			number[count++] = cpu_msr_rules[i].index;
	assert_int_equal(ram_write((*t)->ram, 0x9000, number, sizeof(number)), 0);
	TINY_RUN(*t, msrs);
	for (unsigned i = 0; i < CPU_IDENTITY_MSRS; i++)
		if (common.msr[i])
			tiny_expect(*t, TINY_STORE, TINY_MMIO, common.msr[i]);
	tiny_wait_asleep(*t, 0);
	assert_int_equal((*t)->taken, (*t)->count);
}

/* AMD's walks write. Intel's do as long as EPT has accessed and dirty flags, says the module. */
static void walks_of_page_tables_are_what_the_cpu_does(void **state)
{
	struct tiny *t = *state;
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	FILE *f = fopen("/sys/module/kvm_intel/parameters/eptad", "re");
	bool off = f && getline(&line, &size, f) > 0 && line[0] == 'N';

	if (f)
		fclose(f);
	print_message("walks %s\n", t->kvm.trial.walks_read ? "read" : "write");
	assert_int_equal(t->kvm.trial.walks_read, off);
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
		CASE(the_deadline_is_read_from_us),
		CASE(the_tsc_is_the_clusters_whatever_is_written),
		CASE(the_first_kvm_clock_does_not_exist),
		CASE(the_first_kvm_clock_cannot_be_read),
		CASE(paravirtual_msrs_do_not_exist),
		CASE(paravirtual_msrs_cannot_be_read),
		CASE(msrs_of_hyper_v_do_not_exist),
		CASE(msrs_of_hyper_v_cannot_be_read),
		CASE(the_msr_of_xen_does_not_exist),
		CASE(hypercalls_are_refused),
		CASE(amds_counters_do_not_count),
		CASE(intels_counters_do_not_count),
		CASE(ports_of_a_pc_come_to_us),
		CASE(memory_of_the_ioapic_and_the_hpet_comes_to_us),
		CASE(the_page_of_the_xapic_is_ours),
		CASE(no_instruction_sleeps_but_hlt),
		CASE(feature_msrs_are_what_all_hosts_have),
		CASE(walks_of_page_tables_are_what_the_cpu_does),
	};

	return tiny_usable(false) ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
