/* SPDX-License-Identifier: Apache-2.0 */
/* The whole guest stands still and goes on: see vmm/phase.h and tests/vmm/cluster.h. */
#include <sys/ioctl.h>
#include <x86intrin.h>

#include "tests/vmm/guests.h"
#include "vmm/component.h"

static bool ok(const json_t *reply)
{
	return json_is_true(json_object_get(reply, "ok"));
}

/* Port accesses of the vCPUs that are on node @node. */
static json_int_t accesses(struct cluster *c, unsigned node)
{
	const json_t *report = json_object_get(cluster_ask(c, node, "stats"), "report");

	return json_integer_value(json_object_get(json_object_get(report, "exits"), "io"));
}

static struct cluster *start_chatter(unsigned nodes)
{
	struct cluster *c = CLUSTER_MAKE(nodes, chatter);

	cluster_start(c, (1u << nodes) - 1);
	cluster_await_text(c, "a");
	if (nodes > 1)
		cluster_await_text(c, "b");
	return c;
}

static void await_progress(struct cluster *c)
{
	for (unsigned i = 0; i < MIN(c->nodes, 2u); i++) {
		uint64_t end = clock_now_ns() + CLUSTER_PATIENCE_S * NSEC_PER_SEC;
		json_int_t before = accesses(c, i);

		while (accesses(c, i) == before)
			if (clock_now_ns() > end)
				fail_msg("node %u stands still", i);
	}
}

/* Until another guest has done some hundred accesses. */
static void await_others(struct cluster *other)
{
	const uint64_t end = clock_now_ns() + CLUSTER_PATIENCE_S * NSEC_PER_SEC;
	const json_int_t enough = accesses(other, 0) + 300;

	while (accesses(other, 0) < enough)
		if (clock_now_ns() > end)
			fail_msg("the other guest stands still");
}

static void a_paused_guest_does_nothing(void **state)
{
	struct cluster *c = start_chatter(3), *other = start_chatter(1);

	cluster_expect_ok(c, 0, "pause");
	json_int_t before[3];
	uint64_t time[3];
	for (unsigned i = 0; i < 3; i++) {
		assert_true(vcpu_is_parked(c->member[i].node->vcpu[i]));
		before[i] = accesses(c, i);
		time[i] = guest_clock_tsc(&c->member[i].node->clock);
	}
	await_others(other);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(accesses(c, i), before[i]);
		assert_int_equal(guest_clock_tsc(&c->member[i].node->clock), time[i]);
	}
	cluster_expect_ok(c, 0, "resume");
	await_progress(c);
	cluster_destroy(c);
	cluster_destroy(other);
}

static void the_guests_time_leaves_the_pause_out(void **state)
{
	struct cluster *c = start_chatter(2);
	struct guest_clock *clock[2] = {&c->member[0].node->clock, &c->member[1].node->clock};

	cluster_expect_ok(c, 0, "pause");
	uint64_t stood = guest_clock_tsc(clock[0]);
	usleep(200000);
	uint64_t host = __rdtsc();
	cluster_expect_ok(c, 0, "resume");
	uint64_t now = guest_clock_tsc(clock[0]);
	/* Not more guest time than host time since it was to go on. */
	assert_true(now >= stood);
	assert_true(now - stood <= __rdtsc() - host);
	/* On the other, too: one pause, as long on both by construction, whatever the phases took.
	 */
	assert_int_equal(c->member[1].node->sync.paused, c->member[0].node->sync.paused);
	assert_true(c->member[0].node->sync.paused > 0);
	assert_int_equal(guest_clock_stood(clock[1]), 0);
	await_progress(c);
	cluster_destroy(c);
}

static void twenty_pauses_harm_nothing(void **state)
{
	struct cluster *c = start_chatter(2);

	for (unsigned i = 1; i <= 20; i++) {
		const json_t *reply = cluster_ask(c, 0, "pause");
		assert_true(ok(reply));
		assert_int_equal(json_integer_value(json_object_get(reply, "pauses")), i);
		cluster_expect_ok(c, 0, "resume");
		await_progress(c);
	}
	cluster_destroy(c);
}

static void a_node_alone_pauses_too(void **state)
{
	struct cluster *c = start_chatter(1);

	cluster_expect_ok(c, 0, "pause");
	cluster_expect_ok(c, 0, "resume");
	await_progress(c);
	cluster_destroy(c);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct cluster *c = start_chatter(2);

	assert_false(ok(cluster_ask(c, 0, "resume")));
	assert_false(ok(cluster_ask(c, 1, "pause")));
	assert_false(ok(cluster_ask(c, 1, "resume")));
	cluster_expect_ok(c, 0, "pause");
	assert_false(ok(cluster_ask(c, 0, "pause")));
	assert_false(ok(cluster_ask(c, 1, "resume")));
	cluster_expect_ok(c, 0, "resume");
	await_progress(c);
	cluster_destroy(c);
}

/* Prints the letters in order, over and over; where it is stands in a register. */
GUEST_CODE(alphabet, "mov $0x3f8, %edx\n 1: mov $'a', %ebx\n 2: mov %ebx, %eax\n out %al, %dx\n"
		     "inc %ebx\n cmp $'z', %ebx\n jbe 2b\n jmp 1b\n");

/* The letter that the guest will print next. */
static char next_letter(struct cluster *c)
{
	struct kvm_regs regs;

	assert_int_equal(ioctl(c->member[0].node->vcpu[0]->fd, KVM_GET_REGS, &regs), 0);
	return (char)regs.rbx;
}

static void a_node_goes_on_where_it_was_saved(void **state)
{
	struct cluster *c = CLUSTER_MAKE(1, alphabet);
	struct node *n = c->member[0].node;
	_cleanup_(blob_free) struct blob image = {0};

	cluster_start(c, 1);
	cluster_await_text(c, "xyza");
	assert_int_equal(components_save(n, &image), -EBUSY);
	cluster_expect_ok(c, 0, "pause");
	char saved = next_letter(c);
	assert_int_equal(components_save(n, &image), 0);
	/* Until it would print another letter next. */
	do {
		cluster_expect_ok(c, 0, "resume");
		cluster_expect_ok(c, 0, "pause");
	} while (next_letter(c) == saved);
	assert_int_equal(components_load(n, &image), 0);
	assert_int_equal(next_letter(c), saved);
	cluster_expect_ok(c, 0, "resume");
	cluster_await_text(c, "xyza");
	cluster_destroy(c);
}

static void an_image_of_another_or_cut_off_is_refused(void **state)
{
	struct cluster *c = start_chatter(2);
	_cleanup_(blob_free) struct blob image = {0};

	cluster_expect_ok(c, 0, "pause");
	assert_int_equal(components_save(c->member[1].node, &image), 0);
	assert_int_equal(components_load(c->member[0].node, &image), -EBADMSG);
	/* No prefix of it is one; the whole one is, afterwards. */
	for (size_t len = 0; len < image.len; len += 97) {
		struct blob part = {.data = image.data, .len = len};
		assert_int_equal(components_load(c->member[1].node, &part), -EBADMSG);
	}
	image.taken = 0;
	assert_int_equal(components_load(c->member[1].node, &image), 0);
	cluster_expect_ok(c, 0, "resume");
	await_progress(c);
	cluster_destroy(c);
}

/* ---- ends ---- */

static void a_paused_guest_can_be_stopped(void **state)
{
	for (unsigned node = 0; node < 2; node++) {
		struct cluster *c = start_chatter(2);

		cluster_expect_ok(c, 0, "pause");
		cluster_expect_ok(c, node, "stop");
		cluster_expect_end(c, 0, "asked", "asked to stop");
		cluster_expect_end(c, 1, "asked", "asked to stop");
		cluster_destroy(c);
	}
}

/* From another thread, at any moment of the phases. */
static void a_stop_in_the_middle_ends_cleanly(void **state)
{
	for (unsigned i = 0; i < 20; i++) {
		struct cluster *c = start_chatter(2);
		struct node *first = c->member[0].node;

		for (unsigned k = 0; k <= i; k++)
			assert_int_equal(node_command(first,
						      json_pack("{s:s}", "command",
								k % 2 ? "resume" : "pause"),
						      NULL, NULL),
					 0);
		node_quit(c->member[i % 2].node, "in the middle");
		cluster_expect_end(c, 0, "asked", "in the middle");
		cluster_expect_end(c, 1, "asked", "in the middle");
		cluster_destroy(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_paused_guest_does_nothing),
		cmocka_unit_test(the_guests_time_leaves_the_pause_out),
		cmocka_unit_test(twenty_pauses_harm_nothing),
		cmocka_unit_test(a_node_alone_pauses_too),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(a_node_goes_on_where_it_was_saved),
		cmocka_unit_test(an_image_of_another_or_cut_off_is_refused),
		cmocka_unit_test(a_paused_guest_can_be_stopped),
		cmocka_unit_test(a_stop_in_the_middle_ends_cleanly),
	};

	return cluster_usable() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
