/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interposer does what it says, and what it does to a cluster ends with a reason: bring-up
 * heals what can be healed, a connection that is cut or torn is an error at both its ends, nothing
 * hangs.
 */
#include "transport/faulty.h"

#include <poll.h>

#include "base/clock.h"
#include "tests/transport/cluster.h"

#define MESSAGES 400

static struct transport *faulty(const struct faults *f)
{
	struct transport *t;

	assert_int_equal(faulty_new(tcp_transport(), f, &t), 0);
	return t;
}

/* Two nodes that are connected over @t. */
static void two_nodes(struct cluster *c, const struct transport *t)
{
	cluster_listen_over(c, t, 2);
	for (unsigned i = 0; i < 2; i++)
		node_start(c, i);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(node_join(c, i), 0);
}

/* In which order the messages of several connections came. */
struct order {
	unsigned count;
	uint64_t next[2];
	unsigned overtaken; /* by one of the other connection that was sent later */
	uint64_t last;
};

static int note_order(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct order *o = ctx;
	unsigned shard = c->shard;

	assert_int_equal(h->addr / PAGE_BYTES, o->next[shard] + shard); /* never, on its own */
	o->next[shard] += 2;
	o->overtaken += h->addr < o->last;
	o->last = h->addr;
	o->count++;
	return 0;
}

static void receive_until(struct conn *const *conn, unsigned count, conn_recv_fn take, void *ctx,
			  const unsigned *have, unsigned want)
{
	struct pollfd p[4];

	while (*have < want) {
		int timeout = PATIENCE;

		for (unsigned i = 0; i < count; i++) {
			p[i] = (struct pollfd){.fd = conn[i]->fd, .events = POLLIN};
			if (conn_arm(conn[i]) > 0)
				timeout = 0;
		}
		assert_true(poll(p, count, timeout) >= 0);
		for (unsigned i = 0; i < count; i++)
			assert_true(conn_receive(conn[i], take, ctx) >= 0);
	}
}

static void connections_overtake_each_other_but_never_themselves(void **state)
{
	struct transport *t = faulty(&(struct faults){.seed = 1,
						      .delays = 500,
						      .delay_ns = 2 * NSEC_PER_MSEC,
						      .stalls = 5,
						      .stall_ns = 5 * NSEC_PER_MSEC,
						      .queues = 200});
	struct order o = {0};
	struct cluster c;

	two_nodes(&c, t);
	struct conn *const *from = c.node[0].mesh.page, *const *to = c.node[1].mesh.page;

	for (unsigned i = 0; i < MESSAGES; i++) {
		struct conn *on = from[2 * (i % 2) + 1];
		struct wire_hdr h = link_message(on, 0);

		h.addr = i * PAGE_BYTES;
		assert_int_equal(conn_send(on, &h, NULL), 0);
		assert_int_equal(conn_flush(on), 0);
	}
	receive_until((struct conn *[]){to[0], to[2]}, 2, note_order, &o, &o.count, MESSAGES);
	assert_true(o.overtaken > 0);
	check_mesh(&c);
	cluster_close(&c);
	faulty_free(t);
}

static bool hits_events(void *ctx, const struct conn_config *cfg)
{
	return cfg->class_ == WIRE_CLASS_EVENT && cfg->self == 0;
}

static int count(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	++*(unsigned *)ctx;
	return 0;
}

/* What node 1 receives and how it ends, and what node 0 is told, when its connection is hit. */
static unsigned end_of(const struct faults *f)
{
	struct transport *t = faulty(f);
	static const uint8_t data[WIRE_PAYLOAD_MAX];
	struct cluster c;
	unsigned got = 0;
	int r = 0, told = 0;

	two_nodes(&c, t);
	struct conn *from = c.node[0].mesh.event[1], *to = c.node[1].mesh.event[0];
	struct wire_hdr h = {.type = WIRE_IO_REPLY,
			     .epoch = EPOCH,
			     .from = 0,
			     .len = sizeof(struct wire_io) + 3000};

	for (unsigned i = 0; i < 30 && told == 0; i++)
		told = conn_send(from, &h, data) ?: conn_flush(from);
	while (r >= 0) {
		struct pollfd p = {.fd = to->fd, .events = POLLIN};

		if (conn_arm(to) == 0)
			assert_int_equal(poll(&p, 1, PATIENCE), 1);
		r = conn_receive(to, count, &got);
	}
	assert_int_equal(r, -ECONNRESET);
	assert_true(told == -EPIPE || told == -ECONNRESET);
	assert_int_equal(conn_ready(from, count, &(unsigned){0}), -ECONNRESET);
	/* The others are as they were. */
	check_link(c.node[0].mesh.control[1], c.node[1].mesh.control[0]);
	check_link(c.node[0].mesh.page[1], c.node[1].mesh.page[0]);
	cluster_close(&c);
	faulty_free(t);
	return got;
}

static void a_connection_is_cut_where_it_was_said(void **state)
{
	assert_int_equal(end_of(&(struct faults){.cut_at = 7, .hits = hits_events}), 6);
	assert_int_equal(end_of(&(struct faults){.cut_at = 1, .hits = hits_events}), 0);
}

static void a_message_is_torn_and_not_delivered(void **state)
{
	for (uint64_t seed = 0; seed < 8; seed++)
		assert_int_equal(
			end_of(&(struct faults){.seed = seed, .tear_at = 4, .hits = hits_events}),
			3);
}

/* Each connection of a cluster has its own sequence, the same in every run. */
static void the_same_seed_does_the_same(void **state)
{
	uint64_t stalls[3];

	for (unsigned run = 0; run < 3; run++) {
		struct transport *t =
			faulty(&(struct faults){.seed = run == 2 ? 6 : 5, .queues = 500});
		struct wire_hdr h = {.type = WIRE_PING, .epoch = EPOCH};
		struct cluster c;

		two_nodes(&c, t);
		struct conn *from = c.node[0].mesh.control[1];

		stalls[run] = 0;
		for (unsigned i = 0; i < 64; i++) {
			assert_int_equal(conn_send(from, &h, NULL), 0);
			stalls[run] |= (uint64_t)(conn_queued(from) > 0) << i;
			assert_int_equal(conn_flush(from), 0);
		}
		cluster_close(&c);
		faulty_free(t);
	}
	assert_int_equal(stalls[0], stalls[1]);
	assert_int_not_equal(stalls[0], stalls[2]);
	assert_int_not_equal(stalls[0], 0);
}

static void greetings_that_are_cut_are_begun_again(void **state)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct transport *t = faulty(&(struct faults){
			.seed = seed, .greetings = 250, .delays = 300, .delay_ns = NSEC_PER_MSEC});
		unsigned files = open_files();
		struct cluster c;

		cluster_listen_over(&c, t, 4);
		for (unsigned i = 0; i < 4; i++)
			node_start(&c, i);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(node_join(&c, i), 0);
		check_mesh(&c);
		cluster_close(&c);
		faulty_free(t);
		assert_int_equal(open_files(), files);
	}
}

static void a_network_that_cuts_all_ends_with_a_reason(void **state)
{
	struct transport *t = faulty(&(struct faults){.seed = 3, .greetings = 1000});
	unsigned files = open_files();
	struct cluster c;

	cluster_listen_over(&c, t, 2);
	for (unsigned i = 0; i < 2; i++) {
		c.node[i].cfg.timeout_ms = 1500;
		node_start(&c, i);
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(node_join(&c, i), -ETIMEDOUT);
		assert_non_null(strstr(c.node[i].err.text, "over a faulty network"));
	}
	assert_non_null(strstr(c.node[1].err.text, "alpha"));
	cluster_close(&c);
	faulty_free(t);
	assert_int_equal(open_files(), files);
}

static void what_cannot_be_cut_is_refused(void **state)
{
	struct transport *t = faulty(&(struct faults){.seed = 1}), *twice;

	/* Ends are for byte streams; the rest is for any. */
	assert_int_equal(faulty_new(t, &(struct faults){.cut_at = 1}, &twice), -ENOTSUP);
	assert_int_equal(faulty_new(t, &(struct faults){.delays = 1}, &twice), 0);
	faulty_free(twice);
	faulty_free(t);
}

/* An interposer over another: what one holds back the other must ask for. */
static void it_wraps_itself(void **state)
{
	struct faults f = {
		.seed = 8, .delays = 500, .delay_ns = 300 * 1000, .stalls = 3, .stall_ns = 1000000};
	struct transport *inner = faulty(&f), *t;
	struct order o = {0};
	struct cluster c;

	assert_int_equal(faulty_new(inner, &f, &t), 0);
	two_nodes(&c, t);
	for (unsigned i = 0; i < MESSAGES; i++) {
		struct conn *on = c.node[0].mesh.page[1];
		struct wire_hdr h = link_message(on, 0);

		h.addr = 2 * i * PAGE_BYTES;
		assert_int_equal(conn_send(on, &h, NULL), 0);
	}
	receive_until(&c.node[1].mesh.page[0], 1, note_order, &o, &o.count, MESSAGES);
	check_mesh(&c);
	cluster_close(&c);
	faulty_free(t);
	faulty_free(inner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_overtake_each_other_but_never_themselves),
		cmocka_unit_test(a_connection_is_cut_where_it_was_said),
		cmocka_unit_test(a_message_is_torn_and_not_delivered),
		cmocka_unit_test(the_same_seed_does_the_same),
		cmocka_unit_test(greetings_that_are_cut_are_begun_again),
		cmocka_unit_test(a_network_that_cuts_all_ends_with_a_reason),
		cmocka_unit_test(what_cannot_be_cut_is_refused),
		cmocka_unit_test(it_wraps_itself),
	};

	return cmocka_run_group_tests_name("faulty", tests, NULL, NULL);
}
