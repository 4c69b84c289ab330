/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU that starts on node 0 and belongs to node 1, in whole nodes (tests/vmm/cluster.h): it goes
 * home when it has work; where its state is not taken, or cannot be had, it stays and goes on.
 */
#include "tests/vmm/guests.h"

#include "cpu/vcpu_impl.h"

#define FLAG "0x40000"

/*
 * The first vCPU says that it is there. The first key starts the other, which works without an end,
 * and looks at a port now and then; the second key makes that one print what it has counted, and
 * end the guest.
 */
#define KEY                                                                                        \
	"mov $0x3fd, %dx\n 1: in %dx, %al\n test $1, %al\n jz 1b\n mov $0x3f8, %dx\n in %dx, "     \
	"%al\n"
GUEST_CODE(worker, "movl $0, " FLAG "\n" GUEST_PUT("?") KEY GUEST_START_OTHER KEY
	   "movl $1, " FLAG "\n 1: hlt\n jmp 1b\n"
	   ".code16\n 20: mov $0x4000, %ax\n mov %ax, %ds\n mov $0x80, %dx\n xor %ebx, %ebx\n"
	   "2: inc %ebx\n test $0xfff, %bx\n jnz 2b\n in %dx, %al\n cmpl $0, 0\n je 2b\n" GUEST_PUT(
		   "z") GUEST_OFF "21: .code64\n");

struct run {
	struct cluster *c;
	struct node *first, *home;
};

static struct run start(void)
{
	struct cluster *c = CLUSTER_MAKE(2, worker);

	c->cfg->boot.together = 1;
	cluster_start(c, 3);
	cluster_await_text(c, "?");
	return (struct run){c, c->member[0].node, c->member[1].node};
}

static void press(struct run *r)
{
	cluster_send_line(r->c, 0, "{\"input\":\"k\"}\n");
}

static void await_count(const _Atomic unsigned *count)
{
	uint64_t end = clock_now_ns() + CLUSTER_PATIENCE_S * NSEC_PER_SEC;

	while (!atomic_load(count)) {
		if (clock_now_ns() > end)
			fail_msg("the vCPU does not move");
		usleep(1000);
	}
}

/* It runs where it started, and has been looked at some more times: each exit is such a look. */
static void await_work(struct run *r)
{
	const _Atomic uint64_t *exits = &r->first->vcpu[1]->exits[VCPU_EXIT_IO];
	uint64_t end = clock_now_ns() + CLUSTER_PATIENCE_S * NSEC_PER_SEC, before = *exits;

	while (atomic_load(exits) < before + 20) {
		if (clock_now_ns() > end)
			fail_msg("the vCPU does not go on");
		usleep(1000);
	}
}

static void finish(struct run *r)
{
	press(r);
	cluster_await_text(r->c, "z");
	cluster_expect_end(r->c, 0, "poweroff", "the guest powered off");
	cluster_join(r->c);
	cluster_destroy(r->c);
}

/* What was done to a vCPU before is seen by its thread: a command is answered in between. */
static void settle(struct run *r, unsigned node)
{
	cluster_expect_ok(r->c, node, "stats");
}

static void a_vcpu_with_work_goes_home(void **state)
{
	struct run r = start();

	press(&r);
	await_count(&r.home->moving.arrived);
	finish(&r);
}

/* Its home has an MSR that its KVM does not know, and cannot load anything. */
static void a_vcpu_that_its_home_refuses_goes_on(void **state)
{
	struct run r = start();

	r.home->vcpu[1]->msrs->entry[0].index = 0xdeadbeef;
	settle(&r, 1);
	press(&r);
	await_count(&r.first->moving.returned);
	await_work(&r);
	/* It lodges as before, and does not try again. */
	assert_int_equal(atomic_load(&r.home->moving.arrived), 1);
	assert_int_equal(atomic_load(&r.first->moving.left), 1);
	assert_int_equal(atomic_load(&r.first->policy.lodgers), 1);
	finish(&r);
}

/* As if the guest had changed every MSR that there is: more than an image holds. */
static void a_vcpu_that_cannot_be_saved_goes_on(void **state)
{
	struct run r = start();
	struct vcpu_msrs *msrs = r.first->vcpu[1]->msrs;

	assert_true(msrs->count > WIRE_VCPU_MSRS);
	for (uint32_t i = 0; i < msrs->count; i++)
		msrs->entry[i].data ^= 1;
	settle(&r, 0);
	press(&r);
	cluster_await_warning(r.c, 0, "vCPU 1 stays here, its state cannot be sent");
	await_work(&r);
	assert_int_equal(atomic_load(&r.first->moving.left), 0);
	assert_int_equal(atomic_load(&r.first->policy.lodgers), 1);
	finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vcpu_with_work_goes_home),
		cmocka_unit_test(a_vcpu_that_its_home_refuses_goes_on),
		cmocka_unit_test(a_vcpu_that_cannot_be_saved_goes_on),
	};
	struct err err;
	struct kvm kvm;

	if (!cluster_usable())
		return 0;
	assert_int_equal(kvm_open(&kvm, &err), 0);
	kvm_close(&kvm);
	if (!kvm.saves_vcpus) {
		printf("1..0 # SKIP /dev/kvm cannot save a vCPU\n");
		return 0;
	}
	return cmocka_run_group_tests_name("moves", tests, NULL, NULL);
}
