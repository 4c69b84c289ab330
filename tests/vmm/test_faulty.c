/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole nodes whose connections go over the interposer (transport/faulty.h): a slow and unfair
 * network changes nothing, and a connection that ends, whichever and wherever, ends all nodes with
 * a reason that names a lost node.
 */
#include "tests/vmm/guests.h"

#include "transport/faulty.h"
#include "transport/tcp.h"

/* As in test_nodes.c: INIT, SIPI and a vector, pages and port accesses both ways. */
GUEST_CODE(both_ways, GUEST_GATE GUEST_START_OTHER "sti\n 1: hlt\n jmp 1b\n"
						   "50: " GUEST_PUT("I") GUEST_OFF
	   ".code16\n 20: " GUEST_PUT(
		   "b") "mov $0x80f, %ecx\n xor %edx, %edx\n mov $0x1ff, %eax\n wrmsr\n"
			"mov $0x830, %ecx\n xor %edx, %edx\n mov $0x40, %eax\n wrmsr\n"
			"2: hlt\n jmp 2b\n 21: .code64\n");

static struct transport *wrap(struct cluster *c, const struct faults *faults)
{
	struct transport *t;

	assert_int_equal(faulty_new(tcp_transport(), faults, &t), 0);
	for (unsigned i = 0; i < c->nodes; i++)
		c->member[i].options.transport = t;
	return t;
}

static void a_slow_network_changes_nothing(void **state)
{
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct cluster *c = CLUSTER_MAKE(2, both_ways);
		struct transport *t = wrap(c, &(struct faults){.seed = seed,
							       .delays = 500,
							       .delay_ns = 2 * NSEC_PER_MSEC,
							       .stalls = 20,
							       .stall_ns = 20 * NSEC_PER_MSEC,
							       .queues = 300,
							       .greetings = 200});

		cluster_start(c, 3);
		cluster_await_text(c, "bI");
		cluster_expect_end(c, 0, "poweroff", "the guest powered off");
		cluster_expect_end(c, 1, "poweroff", "the guest powered off");
		cluster_destroy(c);
		faulty_free(t);
	}
}

/* What node @self sends on its connections of @class_. */
struct target {
	uint16_t self;
	enum wire_class class_;
};

static bool hits(void *ctx, const struct conn_config *cfg)
{
	const struct target *t = ctx;

	return cfg->self == t->self && cfg->class_ == t->class_;
}

/* Both nodes end, and say whom they lost, whenever that is. */
static void end_at(const struct target *target, uint64_t message, bool torn)
{
	struct cluster *c = CLUSTER_MAKE(2, chatter);
	struct transport *t = wrap(c, &(struct faults){.seed = message,
						       .hits = hits,
						       .ctx = (void *)target,
						       .cut_at = torn ? 0 : message,
						       .tear_at = torn ? message : 0});

	cluster_start(c, 3);
	for (unsigned i = 0; i < 2; i++)
		cluster_expect_end(c, i, "failed", "lost");
	cluster_join(c);
	cluster_destroy(c);
	faulty_free(t);
}

static void a_control_connection_that_ends_is_a_lost_node(void **state)
{
	const struct target joins = {1, WIRE_CLASS_CONTROL}, starts = {0, WIRE_CLASS_CONTROL};

	/* During the bring-up, before the first answer; then while the guest runs. */
	end_at(&joins, 1, false);
	end_at(&joins, 2, true);
	end_at(&starts, 1, true);
	end_at(&joins, 8, false);
}

static void an_event_connection_that_ends_is_a_lost_node(void **state)
{
	const struct target requests = {1, WIRE_CLASS_EVENT}, replies = {0, WIRE_CLASS_EVENT};

	end_at(&requests, 1, false);
	end_at(&requests, 5, true);
	end_at(&replies, 3, false);
}

static void a_page_connection_that_ends_is_a_lost_node(void **state)
{
	const struct target asks = {1, WIRE_CLASS_PAGE}, grants = {0, WIRE_CLASS_PAGE};

	end_at(&asks, 1, false);
	end_at(&asks, 1, true);
	end_at(&grants, 1, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slow_network_changes_nothing),
		cmocka_unit_test(a_control_connection_that_ends_is_a_lost_node),
		cmocka_unit_test(an_event_connection_that_ends_is_a_lost_node),
		cmocka_unit_test(a_page_connection_that_ends_is_a_lost_node),
	};

	if (!cluster_usable())
		return 0;
	return cmocka_run_group_tests_name("faulty", tests, NULL, NULL);
}
