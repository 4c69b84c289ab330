/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node may be started again at any moment of the bring-up. Each test plays one interleaving by
 * hand: the node under test is real, the others are raw sockets that do exactly one thing after the
 * other.
 */
#include "tests/transport/greet.h"

/* Node 1 of three; 0 and 2 are played. */
static void middle_listen(struct cluster *c)
{
	cluster_listen(c, 3);
}

static void middle_ends(struct cluster *c, const struct ends *zero, const struct ends *two)
{
	assert_int_equal(node_join(c, 1), 0);
	/* They are the connections of the new processes: what is sent arrives. */
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct mesh *m = &c->node[1].mesh;
		struct conn *conn[2][SLOTS] = {
			{m->control[0], m->event[0], m->page[0], m->page[3]},
			{m->control[2], m->event[2], m->page[2], m->page[5]},
		};

		for (unsigned peer = 0; peer < 2; peer++) {
			struct wire_hdr got, h = link_message(conn[peer][i], 1);
			int fd = (peer == 0 ? zero : two)->fd[i];

			assert_int_equal(conn_send(conn[peer][i], &h, NULL), 0);
			assert_int_equal(recv(fd, &got, sizeof(got), MSG_WAITALL), sizeof(got));
			assert_memory_equal(&got, &h, sizeof(h));
		}
	}
	ends_close(zero);
	ends_close(two);
	cluster_close(c);
}

/* Both hear that node 1 has all its connections, and say so of theirs. */
static void mesh_over(const struct ends *zero, const struct ends *two)
{
	read_meshed(zero, 1);
	read_meshed(two, 1);
	say_meshed(zero, 0);
	say_meshed(two, 2);
}

/* What the callback of the next test closes: node 0's ends, when node 2 is complete. */
struct fate {
	struct ends zero;
	unsigned calls;
};

static void end_zero(void *ctx, unsigned peer, unsigned complete, unsigned peers)
{
	struct fate *f = ctx;

	if (peer == 2 && f->calls++ == 0)
		ends_close(&f->zero);
}

/*
 * Between poll(2) and the last hello: the node believed itself connected to all, and the new
 * process of node 0 waited for it in vain.
 */
static void a_peer_that_dies_as_the_last_one_comes_is_awaited_again(void **state)
{
	struct ends zero, two;
	struct fate fate = {0};
	struct cluster c;

	middle_listen(&c);
	c.node[1].cfg.progress = end_zero;
	c.node[1].cfg.progress_ctx = &fate;
	c.node[1].cfg.refused = NULL;
	node_start(&c, 1);
	fate.zero = answer_all(&c, 0, 1);
	two = dial_all(&c, 2, 1, 2);
	zero = answer_all(&c, 0, 3);
	mesh_over(&zero, &two);
	middle_ends(&c, &zero, &two);
}

/* Node 0 ends after this node has connected to all, but before node 2 has. */
static void nobody_leaves_before_all_are_connected(void **state)
{
	struct ends zero, two;
	struct cluster c;

	middle_listen(&c);
	node_start(&c, 1);
	zero = answer_all(&c, 0, 1);
	two = dial_all(&c, 2, 1, 2);
	read_meshed(&zero, 1);
	read_meshed(&two, 1);
	say_meshed(&two, 2);
	ends_close(&zero);
	zero = answer_all(&c, 0, 3);
	read_meshed(&zero, 1);
	say_meshed(&zero, 0);
	middle_ends(&c, &zero, &two);
}

/* What a process said about its connections does not hold for those of the next one. */
static void what_was_said_ends_with_its_connections(void **state)
{
	struct ends zero, two;
	struct cluster c;

	middle_listen(&c);
	node_start(&c, 1);
	zero = answer_all(&c, 0, 1);
	two = dial_all(&c, 2, 1, 2);
	say_meshed(&two, 2);
	read_meshed(&two, 1);
	/* One is enough: the others go with it. */
	close(two.fd[3]);
	two.fd[3] = zero.fd[3];
	for (unsigned i = 0; i < 3; i++)
		expect_dropped(two.fd[i]);
	two = dial_all(&c, 2, 1, 4);
	read_meshed(&two, 1); /* again, to the new one */
	say_meshed(&zero, 0);
	say_meshed(&two, 2);
	read_meshed(&zero, 1);
	middle_ends(&c, &zero, &two);
}

/* The end of the old process has not arrived yet when its successor calls. */
static void a_successor_is_told_to_come_again(void **state)
{
	struct cluster c;
	struct ends old, two, zero;

	middle_listen(&c);
	node_start(&c, 1);
	old = dial_all(&c, 2, 1, 1);
	for (unsigned i = 0; i < SLOTS; i++) {
		struct wire_hello h = slot_hello_of(2, 1, i, 2);

		/* Until the last of the old ones has gone, nothing of the new one gets in. */
		expect_refusal(say_hello(&c, 1, &h), true, "connected to beta already");
		close(old.fd[i]);
	}
	two = dial_all(&c, 2, 1, 2);
	zero = answer_all(&c, 0, 3);
	mesh_over(&zero, &two);
	middle_ends(&c, &zero, &two);
}

static void who_is_told_to_come_again_does(void **state)
{
	struct wire_hello hello;
	struct ends zero, two;
	struct cluster c;

	middle_listen(&c);
	node_start(&c, 1);
	for (unsigned i = 0; i < 2 * SLOTS; i++) {
		uint8_t bytes[sizeof(((struct greeting *)0)->bytes)];
		int fd = take_dialler(&c, 0, &hello);
		size_t len = hello_refuse(0, EPOCH, true, "one moment", bytes);

		send_all(fd, bytes, len);
		close(fd);
	}
	zero = answer_all(&c, 0, 1);
	two = dial_all(&c, 2, 1, 2);
	mesh_over(&zero, &two);
	middle_ends(&c, &zero, &two);
}

/* A dialler whose answer got lost dials again; the accepter has thought the slot was up. */
static void a_process_that_dials_a_slot_again_means_it(void **state)
{
	struct wire_hello h = slot_hello_of(2, 1, WIRE_CLASS_EVENT, 2);
	struct ends zero, two;
	struct cluster c;

	middle_listen(&c);
	node_start(&c, 1);
	zero = answer_all(&c, 0, 1);
	two = dial_all(&c, 2, 1, 2);
	read_meshed(&zero, 1);
	int again = say_hello(&c, 1, &h);

	assert_int_equal(read_hello(again).from, 1);
	expect_dropped(two.fd[WIRE_CLASS_EVENT]);
	two.fd[WIRE_CLASS_EVENT] = again;
	say_meshed(&zero, 0);
	say_meshed(&two, 2);
	read_meshed(&two, 1);
	middle_ends(&c, &zero, &two);
}

/* The accepter was started again, and nothing has told the dialler of its old sockets' end. */
static void a_new_accepter_makes_the_old_connections_void(void **state)
{
	struct wire_hello hello;
	struct ends old, zero, two;
	struct cluster c;
	int fd;

	middle_listen(&c);
	node_start(&c, 1);
	for (unsigned i = 0; i < SLOTS - 1; i++) {
		old.fd[i] = take_dialler(&c, 0, &hello);
		answer_hello(old.fd[i], &hello, 1);
	}
	fd = take_dialler(&c, 0, &hello);
	answer_hello(fd, &hello, 2);
	zero.fd[slot_number(&hello)] = fd;
	for (unsigned i = 0; i < SLOTS - 1; i++) {
		expect_dropped(old.fd[i]);
		fd = take_dialler(&c, 0, &hello);
		answer_hello(fd, &hello, 2);
		zero.fd[slot_number(&hello)] = fd;
	}
	two = dial_all(&c, 2, 1, 3);
	mesh_over(&zero, &two);
	middle_ends(&c, &zero, &two);
}

/* The peer leaves first and has much to say: all that follows MESHED is for the connection. */
static void what_follows_the_greeting_is_delivered(void **state)
{
	const struct wire_hdr ready = {.type = WIRE_READY, .from = 1, .epoch = EPOCH};
	struct wire_hdr got = {0};
	uint8_t bytes[2 * sizeof(struct wire_hdr)];
	struct ends one;
	struct cluster c;

	cluster_listen(&c, 2);
	node_start(&c, 0);
	one = dial_all(&c, 1, 0, 1);
	memcpy(bytes, &(struct wire_hdr[]){hello_meshed(1, EPOCH)}, sizeof(ready));
	memcpy(bytes + sizeof(ready), &ready, sizeof(ready));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		send_all(one.fd[0], bytes + i, 1);
		if (i == 0)
			read_meshed(&one, 0);
	}
	assert_int_equal(node_join(&c, 0), 0);
	while (got.type == 0)
		assert_true(conn_ready(c.node[0].mesh.control[1], link_take, &got) >= 0);
	assert_memory_equal(&got, &ready, sizeof(ready));
	ends_close(&one);
	cluster_close(&c);
}

/* What the callback of the next tests ends. */
struct leaver {
	struct ends ends;
	unsigned words; /* it says, MESHED among them */
};

/* What node 1 does to node 0, which has told it MESHED and hears a stranger just now. */
static void end_one(void *ctx, const char *text)
{
	const struct leaver *one = ctx;
	const struct wire_hdr words[] = {
		hello_meshed(1, EPOCH),
		{.type = WIRE_READY, .from = 1, .epoch = EPOCH},
	};

	send_all(one->ends.fd[WIRE_CLASS_CONTROL], words, one->words * sizeof(words[0]));
	ends_close(&one->ends);
}

/* Node 0's bring-up is over then. */
static void leave(struct cluster *c, unsigned words)
{
	struct wire_hello wrong = hello_of(1, 0);
	struct leaver one = {.words = words};

	cluster_listen(c, 2);
	c->node[0].cfg.progress = NULL;
	c->node[0].cfg.refused = end_one;
	c->node[0].cfg.progress_ctx = &one;
	node_start(c, 0);
	one.ends = dial_all(c, 1, 0, 1);
	read_meshed(&one.ends, 0);
	wrong.epoch++;
	expect_refusal(say_hello(c, 0, &wrong), false, "epoch");
	assert_int_equal(node_join(c, 0), 0);
}

/*
 * A peer that has heard MESHED leaves, says why it stops and ends, all before this node looks: its
 * words were dropped, and it was awaited again till the deadline.
 */
static void last_words_of_a_peer_that_has_left_are_delivered(void **state)
{
	const struct wire_hdr ready = {.type = WIRE_READY, .from = 1, .epoch = EPOCH};
	struct wire_hdr got = {0};
	struct cluster c;

	leave(&c, 2);
	while (got.type == 0)
		assert_true(conn_ready(c.node[0].mesh.control[1], link_take, &got) >= 0);
	assert_memory_equal(&got, &ready, sizeof(ready));
	assert_int_equal(conn_receive(c.node[0].mesh.control[1], link_take, &got), -ECONNRESET);
	cluster_close(&c);
}

/* Whether it had left or not: who has heard MESHED from all may go on already. */
static void a_peer_that_ends_when_all_are_meshed_is_not_awaited(void **state)
{
	struct wire_hdr got = {0};
	struct cluster c;

	leave(&c, 1);
	assert_int_equal(conn_ready(c.node[0].mesh.control[1], link_take, &got), -ECONNRESET);
	cluster_close(&c);
}

/*
 * All were connected, and one peer that knows so has left and ended. Another one had ended before
 * without a word, so that it could not be told from one that will be started again: it was awaited
 * till the deadline. @quiet: that one.
 */
static void end_one_after_the_other(unsigned quiet)
{
	const struct wire_hdr words[] = {
		hello_meshed(quiet ? 0 : 2, EPOCH),
		{.type = WIRE_READY, .from = quiet ? 0 : 2, .epoch = EPOCH},
	};
	struct ends zero, two, *first, *last;
	struct cluster c;

	middle_listen(&c);
	node_start(&c, 1);
	zero = answer_all(&c, 0, 1);
	two = dial_all(&c, 2, 1, 2);
	read_meshed(&zero, 1);
	read_meshed(&two, 1);
	first = quiet ? &two : &zero;
	last = quiet ? &zero : &two;
	listener_close(TAKE_PTR(c.node[0].cfg.listener));
	say_meshed(first, (uint16_t)quiet);
	/* The others follow, which shows that it has been seen. */
	close(first->fd[WIRE_CLASS_EVENT]);
	expect_dropped(first->fd[WIRE_CLASS_CONTROL]);
	send_all(last->fd[WIRE_CLASS_CONTROL], words, sizeof(words));
	ends_close(last);
	assert_int_equal(node_join(&c, 1), -ECONNRESET);
	assert_non_null(strstr(c.node[1].err.text, quiet ? "gamma has gone" : "alpha has gone"));
	for (unsigned i = 2; i < SLOTS; i++)
		close(first->fd[i]);
	cluster_close(&c);
}

static void who_has_gone_when_others_have_left_is_not_awaited(void **state)
{
	end_one_after_the_other(0);
	end_one_after_the_other(2);
}

/* In place of MESHED: it is dropped with all that it had, and the real one still comes. */
static void a_peer_that_says_something_else_is_dropped(void **state)
{
	const struct wire_hdr wrong[] = {
		{.type = WIRE_READY, .from = 1, .epoch = EPOCH},
		{.type = WIRE_MESHED, .from = 0, .epoch = EPOCH},
		{.type = WIRE_MESHED, .from = 1, .epoch = EPOCH + 1},
		{.type = WIRE_MESHED, .from = 1, .epoch = EPOCH, .len = 1},
		{.type = WIRE_MESHED, .from = 1, .epoch = EPOCH, .addr = 1},
		{.type = WIRE_HELLO, .from = 1, .epoch = EPOCH, .len = UINT32_MAX},
		{.type = WIRE_REFUSE, .from = 1, .epoch = EPOCH},
	};
	unsigned files = open_files();
	struct cluster c;

	cluster_listen(&c, 2);
	node_start(&c, 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct ends one = dial_all(&c, 1, 0, (uint32_t)i);

		send_all(one.fd[0], &wrong[i], sizeof(wrong[i]));
		read_meshed(&one, 0);
		expect_dropped(one.fd[0]);
		for (unsigned k = 1; k < SLOTS; k++)
			close(one.fd[k]);
	}
	node_start(&c, 1);
	assert_int_equal(node_join(&c, 1), 0);
	assert_int_equal(node_join(&c, 0), 0);
	check_mesh(&c);
	cluster_close(&c);
	assert_int_equal(open_files(), files);
}

static void a_node_that_runs_twice_is_told_in_the_end(void **state)
{
	struct cluster c;
	struct ends first;

	cluster_listen(&c, 2);
	node_start(&c, 0);
	first = dial_all(&c, 1, 0, 1);
	node_start(&c, 1);
	assert_int_equal(node_join(&c, 1), -EPROTO);
	assert_non_null(strstr(c.node[1].err.text, "beta is connected to alpha already: is beta "
						   "started twice?"));
	/* The first one is none the worse for it. */
	read_meshed(&first, 0);
	say_meshed(&first, 1);
	assert_int_equal(node_join(&c, 0), 0);
	ends_close(&first);
	cluster_close(&c);
}

/* Nothing watches a connection between the bring-up and its first use: the first use tells. */
static void a_death_after_the_bring_up_is_the_first_uses_error(void **state)
{
	struct conn *conn[SLOTS];
	struct wire_hdr got;
	struct cluster c;

	cluster_listen(&c, 2);
	for (unsigned i = 0; i < 2; i++)
		node_start(&c, i);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(node_join(&c, i), 0);
	mesh_close(&c.node[1].mesh);
	const struct mesh *m = &c.node[0].mesh;

	conn[0] = m->control[1];
	conn[1] = m->event[1];
	conn[2] = m->page[1];
	conn[3] = m->page[3];
	for (unsigned i = 0; i < SLOTS; i++) {
		struct pollfd p = {.fd = conn[i]->fd, .events = POLLIN};

		assert_int_equal(poll(&p, 1, PATIENCE), 1);
		assert_int_equal(conn_ready(conn[i], link_take, &got), -ECONNRESET);
	}
	cluster_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_that_dies_as_the_last_one_comes_is_awaited_again),
		cmocka_unit_test(nobody_leaves_before_all_are_connected),
		cmocka_unit_test(what_was_said_ends_with_its_connections),
		cmocka_unit_test(a_successor_is_told_to_come_again),
		cmocka_unit_test(who_is_told_to_come_again_does),
		cmocka_unit_test(a_process_that_dials_a_slot_again_means_it),
		cmocka_unit_test(a_new_accepter_makes_the_old_connections_void),
		cmocka_unit_test(what_follows_the_greeting_is_delivered),
		cmocka_unit_test(last_words_of_a_peer_that_has_left_are_delivered),
		cmocka_unit_test(a_peer_that_ends_when_all_are_meshed_is_not_awaited),
		cmocka_unit_test(who_has_gone_when_others_have_left_is_not_awaited),
		cmocka_unit_test(a_peer_that_says_something_else_is_dropped),
		cmocka_unit_test(a_node_that_runs_twice_is_told_in_the_end),
		cmocka_unit_test(a_death_after_the_bring_up_is_the_first_uses_error),
	};

	return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
