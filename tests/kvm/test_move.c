/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU that moves from one VM to another on this machine's /dev/kvm, whatever it is. Where
 * /dev/kvm cannot be used or cannot save a vCPU the whole test is skipped, with the reason.
 */
#include "tests/check.h"

#include <sys/ioctl.h>

#include "cpu/vcpu_image.h"
#include "cpu/vcpu_msrs.h"
#include "tests/kvm/pair.h"

#define GOES_AFTER_NS (500 * NSEC_PER_MSEC)

/* The first is told to go when it runs user code, or has used GOES_AFTER_NS of a CPU. */
static int new_pair(void **state)
{
	int r = pair_new(state);
	struct pair *p = *state;

	p->first->goes = true;
	p->first->goes_after_ns = GOES_AFTER_NS;
	/* At the end of each it lets all others go first: many would be long on a busy machine. */
	p->first->slice_ns = 10 * NSEC_PER_MSEC;
	return r;
}

/* Brings the vCPU that leaves to its home and ends the guest's spinning. */
static void move(struct pair *p)
{
	struct wire_vcpu *image = malloc(sizeof(*image));

	assert_non_null(image);
	assert_int_equal(tiny_next(p->first, TINY_LEFT).addr, TINY_OTHER);
	*image = p->first->image;
	vcpu_arrive(p->other->vcpu[0], image);
	tiny_next(p->other, TINY_CAME);
	pair_set_flag(p, 1);
}

/* A guest as most of these tests want it: spins, then tells R8 in two halves. */
#define SPIN "1: pause\n cmpl $0, 0x9000\n je 1b\n"
#define TELL                                                                                       \
	"mov $0x500, %edx\n mov %r8, %rax\n out %eax, (%dx)\n shr $32, %rax\n out %eax, (%dx)\n"
#define STOP "0: hlt\n jmp 0b"

TINY_CODE(spinner, ".code64", "mov $0x1122334455667788, %r8\n" SPIN TELL STOP);

static void expect_r8(struct tiny *t, uint64_t value)
{
	tiny_expect(t, TINY_OUT, 0x500, (uint32_t)value);
	tiny_expect(t, TINY_OUT, 0x500, value >> 32);
}

static void load(struct pair *p, const uint8_t *code, const uint8_t *end, unsigned level)
{
	tiny_load(p->first, 0x10000, code, end);
	tiny_start(p->first, level);
}
#define LOAD(p, name, level) load(p, tiny_##name, tiny_##name##_end, level)

/* By what it has used, which is looked at whenever its slice is over. */
static void a_busy_vcpu_moves(void **state)
{
	struct pair *p = *state;

	LOAD(p, spinner, 0);
	move(p);
	expect_r8(p->other, 0x1122334455667788);
	tiny_wait_asleep(p->other, 0);
	assert_int_equal(p->first->taken, p->first->count); /* the old one did nothing more */
}

/* However little it has used. */
static void a_vcpu_with_user_code_moves_at_once(void **state)
{
	struct pair *p = *state;

	p->first->goes_after_ns = UINT64_MAX;
	LOAD(p, spinner, 3);
	tiny_next(p->first, TINY_LEFT);
	assert_int_equal(p->first->image.ss.dpl, 3);
}

/* KERNEL_GS_BASE and LSTAR, CR2 and DR0, through R8. */
TINY_CODE(registers, ".code64",
	  "mov $0xc0000102, %ecx\n mov $0x9abcdef0, %eax\n mov $0x5678, %edx\n wrmsr\n"
	  "mov $0xc0000082, %ecx\n mov $0x4321, %eax\n mov $0x77, %edx\n wrmsr\n"
	  "mov $0x123000, %eax\n mov %rax, %cr2\n"
	  "mov $0x456000, %eax\n mov %rax, %dr0\n" SPIN
	  "mov $0xc0000102, %ecx\n rdmsr\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, %r8\n" TELL
	  "mov $0xc0000082, %ecx\n rdmsr\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, %r8\n" TELL
	  "mov %cr2, %r8\n" TELL "mov %dr0, %r8\n" TELL STOP);

static void registers_of_all_kinds_come_along(void **state)
{
	struct pair *p = *state;

	LOAD(p, registers, 0);
	move(p);
	expect_r8(p->other, 0x56789abcdef0);
	expect_r8(p->other, 0x7700004321);
	expect_r8(p->other, 0x123000);
	expect_r8(p->other, 0x456000);
}

/* A memory type for 2 GiB and up, one for the first 64 KiB, the default one, a bank of the MCA. */
#define WRITE_MSR(msr, high, low)                                                                  \
	"mov $" #msr ", %ecx\n mov $" #low ", %eax\n mov $" #high ", %edx\n wrmsr\n"
#define TELL_MSR(msr)                                                                              \
	"mov $" #msr ", %ecx\n rdmsr\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, %r8\n" TELL
TINY_CODE(unlisted, ".code64",
	  WRITE_MSR(0x200, 0, 0x80000000) WRITE_MSR(0x201, 0xf, 0x80000800)
		  WRITE_MSR(0x250, 0x06060606, 0x06060606) WRITE_MSR(0x2ff, 0, 0xc06)
			  WRITE_MSR(0x404, 0xffffffff, 0xffffffff) SPIN TELL_MSR(0x200)
				  TELL_MSR(0x201) TELL_MSR(0x250) TELL_MSR(0x2ff) TELL_MSR(0x404)
					  STOP);

static void msrs_that_kvm_does_not_list_come_along(void **state)
{
	struct pair *p = *state;

	LOAD(p, unlisted, 0);
	move(p);
	expect_r8(p->other, 0x80000000);
	expect_r8(p->other, 0xf80000800);
	expect_r8(p->other, 0x0606060606060606);
	expect_r8(p->other, 0xc06);
	expect_r8(p->other, UINT64_MAX);
}

/* Memory types of the guest's own, and CPUID that faults in user code. */
TINY_CODE(own, ".code64",
	  WRITE_MSR(0x277, 0x00070106, 0x00070106) WRITE_MSR(0x140, 0, 1) SPIN TELL_MSR(0x277)
		  TELL_MSR(0x140) STOP);

static void pat_and_cpuid_faulting_come_along(void **state)
{
	struct pair *p = *state;

	LOAD(p, own, 0);
	move(p);
	expect_r8(p->other, 0x0007010600070106);
	expect_r8(p->other, 1);
}

/*
 * Bits of MSRs that only some CPUs have, flipped before the guest starts, where KVM lets us. The
 * first two exist everywhere.
 */
static const struct wire_msr own_bits[] = {
	{.index = 0x140, .value = 1},		 /* MISC_FEATURES_ENABLES: CPUID faulting */
	{.index = 0x17a, .value = 4},		 /* MCG_STATUS: in progress */
	{.index = 0x48, .value = 1},		 /* SPEC_CTRL: IBRS */
	{.index = 0xe1, .value = 0x100},	 /* UMWAIT_CONTROL: the longest wait */
	{.index = 0x122, .value = 2},		 /* TSX_CTRL: CPUID without RTM */
	{.index = 0x1d9, .value = 2},		 /* DEBUGCTL: BTF */
	{.index = 0xda0, .value = 0x800},	 /* XSS: CET */
	{.index = 0xc0010015, .value = 1 << 18}, /* HWCR: machine check banks writable */
	{.index = 0xc001011f, .value = 4},	 /* VIRT_SPEC_CTRL: SSBD */
	{.index = 0xc0011029, .value = 2},	 /* DE_CFG: LFENCE serializes */
};

static uint64_t read_msr(struct tiny *t, uint32_t index)
{
	struct kvm_msr_entry entry = {.index = index};

	assert_int_equal(vcpu_msr_access(t->vcpu[0]->fd, KVM_GET_MSRS, &entry), 0);
	return entry.data;
}

/* Return: has the vCPU, which does not run yet, another value now? It may be without the MSR. */
static bool flip(struct tiny *t, const struct wire_msr *bits, uint64_t *ret)
{
	struct kvm_msr_entry entry = {.index = bits->index};

	if (vcpu_msr_access(t->vcpu[0]->fd, KVM_GET_MSRS, &entry) < 0)
		return false;
	uint64_t before = entry.data;
	entry.data ^= bits->value;
	if (vcpu_msr_access(t->vcpu[0]->fd, KVM_SET_MSRS, &entry) < 0)
		return false;
	*ret = read_msr(t, bits->index);
	return *ret != before;
}

static void whatever_kvm_lets_be_set_comes_along(void **state)
{
	struct pair *p = *state;
	bool flipped[ARRAY_SIZE(own_bits)];
	uint64_t value[ARRAY_SIZE(own_bits)];

	for (size_t i = 0; i < ARRAY_SIZE(own_bits); i++) {
		flipped[i] = flip(p->first, &own_bits[i], &value[i]);
		print_message("# MSR %#x: %s\n", own_bits[i].index,
			      flipped[i] ? "set" : "not here");
	}
	assert_true(flipped[0] && flipped[1]);
	LOAD(p, spinner, 0);
	move(p);
	expect_r8(p->other, 0x1122334455667788);
	tiny_wait_asleep(p->other, 0);
	for (size_t i = 0; i < ARRAY_SIZE(own_bits); i++)
		if (flipped[i])
			assert_int_equal(read_msr(p->other, own_bits[i].index), value[i]);
}

/* CR4.OSFXSR first. */
TINY_CODE(extended, ".code64",
	  "mov %cr4, %rax\n or $0x200, %rax\n mov %rax, %cr4\n"
	  "mov $0x0102030405060708, %rax\n movq %rax, %xmm5\n" SPIN "movq %xmm5, %r8\n" TELL STOP);

static void extended_state_comes_along_unless_kvm_emulates(void **state)
{
	struct pair *p = *state;

	LOAD(p, extended, 0);
	/* A KVM that emulates has no such instructions. */
	if (tiny_peek(p->first) == TINY_FAILED && strstr(p->first->failure, "KVM could not go on"))
		skip();
	move(p);
	expect_r8(p->other, 0x0102030405060708);
}

/* ---- interrupts ---- */

/* In a second; meanwhile as SPIN, with interrupts off; then on. */
TINY_CODE(deadline, ".code64", TINY_PROLOGUE TINY_DEADLINE SPIN "9: sti\n 2: hlt\n jmp 2b");
TINY_CODE(count, ".code64", TINY_PROLOGUE TINY_COUNT SPIN "9: sti\n 2: hlt\n jmp 2b");

static void timer_goes_on(struct pair *p, enum tiny_timer timer, const uint8_t *code,
			  const uint8_t *end)
{
	if (!tiny_timer_offered(p->first, timer))
		skip();
	uint64_t second = tiny_timer_ticks(p->first, timer, 1000);
	uint64_t start = tiny_timer_now(p->first, timer);

	p->first->answer = second;
	load(p, code, end, 0);
	assert_int_equal(tiny_next(p->first, TINY_IN).addr, 0x31);
	move(p);
	tiny_expect(p->other, TINY_OUT, PORT_VECTOR, 0x41);
	assert_true(tiny_timer_now(p->first, timer) - start >= second);
}

static void a_deadline_goes_on(void **state)
{
	timer_goes_on(*state, TINY_BY_DEADLINE, tiny_deadline, tiny_deadline_end);
}

static void a_count_down_goes_on(void **state)
{
	timer_goes_on(*state, TINY_BY_COUNT, tiny_count, tiny_count_end);
}

TINY_CODE(masked, ".code64",
	  TINY_PROLOGUE "mov $1, %al\n out %al, $0x30\n" SPIN "9: sti\n 2: hlt\n jmp 2b");

static void what_is_pending_comes_along(void **state)
{
	struct pair *p = *state;

	LOAD(p, masked, 0);
	tiny_expect(p->first, TINY_OUT, 0x30, 1); /* the APIC is on: it takes interrupts */
	vcpu_post(p->first->vcpu[0], 0x52, false);
	vcpu_post(p->first->vcpu[0], 0x93, true);
	move(p);
	tiny_expect(p->other, TINY_OUT, PORT_VECTOR, 0x93);
	tiny_expect(p->other, TINY_EOI, 0x93, 0);
	tiny_expect(p->other, TINY_OUT, PORT_VECTOR, 0x52);
}

static void what_comes_later_is_passed_on(void **state)
{
	struct pair *p = *state;

	LOAD(p, spinner, 0);
	tiny_next(p->first, TINY_LEFT);
	vcpu_post(p->first->vcpu[0], 0x61, true);
	struct tiny_entry passed = tiny_next(p->first, TINY_PASSED);
	assert_int_equal(passed.addr, 0x61);
	assert_int_equal(passed.size, 1);
	vcpu_signal(p->first->vcpu[0], VCPU_EVENT_NMI, 0);
	tiny_expect(p->first, TINY_PASSED, 0, IRQ_NMI);
	vcpu_signal(p->first->vcpu[0], VCPU_EVENT_INIT, 0);
	tiny_expect(p->first, TINY_PASSED, 0, IRQ_INIT);
	vcpu_signal(p->first->vcpu[0], VCPU_EVENT_SIPI, 0x9a);
	tiny_expect(p->first, TINY_PASSED, 0x9a, IRQ_SIPI);
}

/* ---- moves that fail ---- */

static void a_vcpu_that_cannot_leave_stays(void **state)
{
	struct pair *p = *state;

	p->first->leave_error = -EOVERFLOW;
	LOAD(p, spinner, 0);
	tiny_expect(p->first, TINY_STAYS, 0, EOVERFLOW);
	pair_set_flag(p, 1);
	expect_r8(p->first, 0x1122334455667788);
	assert_int_equal(p->other->count, 0);
}

/* As if the guest had changed every MSR that there is. */
static void a_vcpu_that_cannot_be_saved_stays(void **state)
{
	struct pair *p = *state;
	struct vcpu_msrs *first = p->first->vcpu[0]->msrs;

	assert_true(first->count > WIRE_VCPU_MSRS);
	for (uint32_t i = 0; i < first->count; i++)
		first->entry[i].data ^= 1;
	LOAD(p, spinner, 0);
	tiny_expect(p->first, TINY_STAYS, 0, E2BIG);
	pair_set_flag(p, 1);
	expect_r8(p->first, 0x1122334455667788);
	assert_int_equal(p->other->count, 0);
}

/* The other node's KVM knows less: it goes on here, with an interrupt that came meanwhile. */
static void a_refused_vcpu_goes_on(void **state)
{
	struct pair *p = *state;
	struct wire_vcpu *image = malloc(sizeof(*image));

	assert_non_null(image);
	LOAD(p, masked, 0);
	tiny_expect(p->first, TINY_OUT, 0x30, 1);
	tiny_next(p->first, TINY_LEFT);
	*image = p->first->image;
	image->msr[image->nmsrs++] = (struct wire_msr){.index = 0xdeadbeef, .value = 1};
	vcpu_arrive(p->other->vcpu[0], image);
	tiny_expect(p->other, TINY_REFUSE, 0, EIO);
	vcpu_post(p->other->vcpu[0], 0x52, false); /* it is not here: passed on */
	assert_int_equal(tiny_next(p->other, TINY_PASSED).addr, 0x52);
	vcpu_return(p->first->vcpu[0]);
	tiny_expect(p->first, TINY_STAYS, 0, 0);
	vcpu_post(p->first->vcpu[0], 0x52, false);
	pair_set_flag(p, 1);
	tiny_expect(p->first, TINY_OUT, PORT_VECTOR, 0x52);
	tiny_wait_asleep(p->first, 0);
	assert_int_equal(p->other->taken, p->other->count);
}

/* ---- images that no vCPU has ---- */

/* As one that left, but of the first VM's second vCPU, which waits for its SIPI. */
static struct wire_vcpu image_of_second(struct pair *p)
{
	LOAD(p, spinner, 0);
	tiny_next(p->first, TINY_LEFT);
	/* Once its thread is asleep nobody else touches that vCPU. */
	tiny_wait_asleep(p->first, 1);
	struct wire_vcpu image = p->first->image;

	image.index = image.lapic.id = 1;
	image.lapic.apic_base &= ~LAPIC_BASE_BSP;
	return image;
}

static void refused(struct pair *p, const struct wire_vcpu *image)
{
	assert_int_equal(vcpu_load(p->first->vcpu[1], image), -EINVAL);
}

static void a_wrong_image_is_refused(void **state)
{
	struct pair *p = *state;
	struct wire_vcpu good = image_of_second(p), image;

	assert_int_equal(vcpu_load(p->first->vcpu[1], &good), 0);

	image = good;
	image.index = 0;
	refused(p, &image);
	image = good;
	image.delivery.nmi_posted = 2;
	refused(p, &image);
	image = good;
	image.nmsrs = WIRE_VCPU_MSRS + 1;
	refused(p, &image);
	image = good;
	image.lapic.id = 0;
	refused(p, &image);
	image = good;
	image.lapic.apic_base ^= LAPIC_BASE_ENABLE; /* x2APIC mode of a disabled APIC */
	refused(p, &image);
	image = good;
	image.msr[0] = (struct wire_msr){.index = MSR_TSC};
	image.nmsrs = 1;
	refused(p, &image);
}

static uint64_t draw(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

/* Whatever a peer sends is taken or refused, and leaves a vCPU that can be loaded as any other. */
static void any_image_does_no_harm(void **state)
{
	struct pair *p = *state;
	const struct wire_vcpu good = image_of_second(p);
	struct vcpu *v = p->first->vcpu[1];
	uint64_t random = 88172645463325252;
	struct wire_vcpu image;
	/* A round is some thousand MSRs, and each an exit for an emulator. */
	const unsigned rounds = getenv("SSIHV_TEST_BOCHS") ? 50 : 500;
	unsigned taken = 0;

	for (unsigned round = 0; round < rounds; round++) {
		image = good;
		for (unsigned flips = 1 + round % 4; flips; flips--) {
			uint64_t dice = draw(&random);
			((uint8_t *)&image)[dice % sizeof(image)] ^= (uint8_t)(dice >> 32);
		}
		if (vcpu_load(v, &image) == 0)
			taken++;
		assert_int_equal(vcpu_load(v, &good), 0);
		assert_int_equal(vcpu_save(v, &image), 0);
		assert_memory_equal(&image, &good, sizeof(good));
	}
	/* Most bytes are registers, which may have any value. */
	assert_in_range(taken, rounds / 5, rounds - 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, new_pair, pair_free)
	const struct CMUnitTest tests[] = {
		CASE(a_busy_vcpu_moves),
		CASE(a_vcpu_with_user_code_moves_at_once),
		CASE(registers_of_all_kinds_come_along),
		CASE(msrs_that_kvm_does_not_list_come_along),
		CASE(pat_and_cpuid_faulting_come_along),
		CASE(whatever_kvm_lets_be_set_comes_along),
		CASE(extended_state_comes_along_unless_kvm_emulates),
		CASE(a_deadline_goes_on),
		CASE(a_count_down_goes_on),
		CASE(what_is_pending_comes_along),
		CASE(what_comes_later_is_passed_on),
		CASE(a_vcpu_that_cannot_leave_stays),
		CASE(a_vcpu_that_cannot_be_saved_stays),
		CASE(a_refused_vcpu_goes_on),
		CASE(a_wrong_image_is_refused),
		CASE(any_image_does_no_harm),
	};

	return tiny_usable(true) ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
