/* SPDX-License-Identifier: Apache-2.0 */
/* Who does not fit is told why; who is no node at all is dropped and stalls nobody. */
#include "tests/transport/greet.h"

static const struct misfit {
	const char *what, *words;
	struct wire_hello change; /* values that differ from a good hello, where not 0 */
} misfits[] = {
	{"version", "beta speaks version 00000009: install", {.version = 9}},
	{"config", "different cluster configurations", {.config = 1}},
	{"epoch", "in epoch 3", {.epoch = 3}},
	{"to", "looks for node 1", {.to = 1}},
	{"from", "no such connection from node 40", {.from = 40}},
	{"from itself or lower", "no such connection", {.from = UINT16_MAX}},
	{"shard", "no such connection", {.shard = SHARDS}},
};

static struct wire_hello misfit_hello(const struct misfit *m)
{
	struct wire_hello h = hello_of(1, 0);

	h.version = m->change.version ?: h.version;
	h.config = m->change.config ?: h.config;
	h.epoch = m->change.epoch ?: h.epoch;
	h.to = m->change.to ?: h.to;
	h.from = m->change.from == UINT16_MAX ? 0 : m->change.from ?: h.from;
	h.shard = m->change.shard;
	return h;
}

static void a_misfit_is_told_why_and_the_right_one_still_comes(void **state)
{
	unsigned files = open_files();
	struct cluster c;

	cluster_listen(&c, 2);
	node_start(&c, 0);
	for (size_t i = 0; i < ARRAY_SIZE(misfits); i++) {
		struct wire_hello h = misfit_hello(&misfits[i]);

		expect_refusal(say_hello(&c, 0, &h), false, misfits[i].words);
	}
	node_start(&c, 1);
	assert_int_equal(node_join(&c, 0), 0);
	assert_int_equal(node_join(&c, 1), 0);
	assert_non_null(strstr(c.node[0].refused, misfits[ARRAY_SIZE(misfits) - 1].words));
	check_mesh(&c);
	cluster_close(&c);
	assert_int_equal(open_files(), files);
}

/* Two real nodes that do not fit: both users read the reason. */
static void check_disagreement(struct cluster *c, const char *words)
{
	node_start(c, 0);
	node_start(c, 1);
	assert_int_equal(node_join(c, 1), -EPROTO);
	assert_non_null(strstr(c->node[1].err.text, "alpha at 127.0.0.1:"));
	assert_non_null(strstr(c->node[1].err.text, words));
	node_cancel(c, 0);
	assert_int_equal(node_join(c, 0), -ECANCELED);
	assert_non_null(strstr(c->node[0].refused, words));
	cluster_close(c);
}

static void another_configuration_is_told_to_both(void **state)
{
	struct cluster c;

	cluster_listen(&c, 2);
	c.node[1].cfg.config_digest++;
	check_disagreement(&c, "alpha and beta have different cluster configurations");
}

static void another_epoch_is_told_to_both(void **state)
{
	struct cluster c;

	cluster_listen(&c, 2);
	c.node[1].cfg.epoch++;
	check_disagreement(&c, "alpha is in epoch 4 of the cluster, beta in epoch 5");
}

static void the_deadline_remembers_a_refusal(void **state)
{
	struct cluster c;

	cluster_listen(&c, 2);
	struct wire_hello h = hello_of(1, 0);

	h.config++;
	int fd = say_hello(&c, 0, &h); /* waits in the backlog */

	c.node[0].cfg.timeout_ms = 2000;
	node_start(&c, 0);
	assert_int_equal(node_join(&c, 0), -EPROTO);
	assert_non_null(strstr(c.node[0].err.text, "beta"));
	assert_non_null(strstr(c.node[0].err.text, "different cluster configurations"));
	close(fd);
	cluster_close(&c);
}

/* Answers the first connection to node 0's port with @bytes; node 1's error. */
static const char *connect_to_impostor(struct cluster *c, const void *bytes, size_t len)
{
	struct greeting g;

	cluster_listen(c, 2);
	node_start(c, 1);
	struct pollfd p = {.fd = c->node[0].cfg.listener->fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, PATIENCE), 1);
	int fd = accept(p.fd, NULL, NULL);

	assert_true(fd >= 0);
	read_greeting(fd, &g);
	send_all(fd, bytes, len);
	assert_int_equal(node_join(c, 1), -EPROTO);
	close(fd);
	cluster_close(c);
	return c->node[1].err.text;
}

static void an_acceptor_that_does_not_fit_is_named(void **state)
{
	struct cluster c;
	struct wire_hello h = hello_of(0, 1);
	uint8_t bytes[sizeof(((struct greeting *)0)->bytes)];
	const char *text;
	char words[100];

	h.version = wire_version() + 1;
	hello_encode(&h, bytes);
	text = connect_to_impostor(&c, bytes, HELLO_BYTES);
	snprintf(words, sizeof(words),
		 "beta speaks version %08x of the protocol, alpha speaks version %08x",
		 wire_version(), wire_version() + 1);
	assert_non_null(strstr(text, words));

	h = hello_of(0, 1);
	h.class_ = WIRE_CLASS_CONTROL;
	h.from = 1; /* another node has that address */
	hello_encode(&h, bytes);
	text = connect_to_impostor(&c, bytes, HELLO_BYTES);
	assert_non_null(strstr(text, "check the address"));

	size_t len = hello_refuse(0, EPOCH, false, "because\n\033[31mred", bytes);

	text = connect_to_impostor(&c, bytes, len);
	assert_non_null(strstr(text, "refused: because??[31mred"));

	text = connect_to_impostor(&c, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	assert_non_null(strstr(text, "is no node of this cluster"));
}

static void strangers_are_dropped_and_stall_nobody(void **state)
{
	/* More silent ones than there are places for strangers. */
	static int silent[150];
	unsigned files = open_files();
	struct wire_hello h = hello_of(1, 0);
	uint8_t bytes[HELLO_BYTES];
	struct cluster c;

	hello_encode(&h, bytes);
	cluster_listen(&c, 3);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
		silent[i] = loopback_connect(node_port(&c, i % 2));
		if (i % 3 == 1) /* never says the rest */
			send_all(silent[i], bytes, 1 + i % (sizeof(bytes) - 1));
	}
	node_start(&c, 0);
	int garbage = loopback_connect(node_port(&c, 0));

	send_all(garbage, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 35);
	expect_dropped(garbage);
	bytes[sizeof(struct wire_hdr)] ^= 1; /* the magic */
	garbage = loopback_connect(node_port(&c, 0));
	send_all(garbage, bytes, sizeof(bytes));
	expect_dropped(garbage);
	node_start(&c, 1);
	node_start(&c, 2);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(node_join(&c, i), 0);
	check_mesh(&c);
	cluster_close(&c);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		close(silent[i]);
	assert_int_equal(open_files(), files);
}

static void a_silent_stranger_does_not_stay(void **state)
{
	struct cluster c;

	cluster_listen(&c, 2);
	node_start(&c, 0);
	expect_dropped(loopback_connect(node_port(&c, 0)));
	node_cancel(&c, 0);
	assert_int_equal(node_join(&c, 0), -ECANCELED);
	cluster_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_misfit_is_told_why_and_the_right_one_still_comes),
		cmocka_unit_test(another_configuration_is_told_to_both),
		cmocka_unit_test(another_epoch_is_told_to_both),
		cmocka_unit_test(the_deadline_remembers_a_refusal),
		cmocka_unit_test(an_acceptor_that_does_not_fit_is_named),
		cmocka_unit_test(strangers_are_dropped_and_stall_nobody),
		cmocka_unit_test(a_silent_stranger_does_not_stay),
	};

	return cmocka_run_group_tests_name("strangers", tests, NULL, NULL);
}
