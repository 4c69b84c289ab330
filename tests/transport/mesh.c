/* SPDX-License-Identifier: Apache-2.0 */
/* The mesh comes up between nodes that fit, in any order, or says who did not come. */
#include "tests/transport/cluster.h"
#include "tests/transport/loopback.h"
#include "transport/address.h"

static void nodes_connect(unsigned nodes)
{
	unsigned files = open_files();
	struct cluster c;

	cluster_listen(&c, nodes);
	for (unsigned i = 0; i < nodes; i++)
		node_start(&c, nodes - 1 - i);
	for (unsigned i = 0; i < nodes; i++)
		assert_int_equal(node_join(&c, i), 0);
	for (unsigned i = 0; i < nodes; i++) {
		assert_int_equal(c.node[i].progress, nodes - 1);
		assert_int_equal(c.node[i].complete, nodes - 1);
	}
	check_mesh(&c);
	cluster_close(&c);
	assert_int_equal(open_files(), files);
}

static void a_lone_node_has_nobody_to_wait_for(void **state)
{
	nodes_connect(1);
}

static void two_nodes_connect(void **state)
{
	nodes_connect(2);
}

static void three_nodes_connect(void **state)
{
	nodes_connect(3);
}

static void five_nodes_connect(void **state)
{
	nodes_connect(5);
}

/* Holds the port so that nobody listens on it and nobody else gets it. */
static int reserve(uint16_t port)
{
	const struct sockaddr_in name = {.sin_family = AF_INET,
					 .sin_port = htons(port),
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

/* From now on node @i's host refuses connections; a socket that keeps its port. */
static int node_stop_listening(struct cluster *c, unsigned i)
{
	listener_close(TAKE_PTR(c->node[i].cfg.listener));
	return reserve(node_port(c, i));
}

/* TCP that counts how often a peer was dialled. */
struct counting {
	struct transport transport; /* first */
	struct transport_ops ops;
	_Atomic unsigned dials;
};

static int count_dial(const struct transport *t, const struct sockaddr *to, socklen_t len,
		      struct channel **ret)
{
	struct counting *counting = (struct counting *)t;

	counting->dials++;
	return tcp_transport()->ops->dial(t, to, len, ret);
}

static void a_node_that_starts_late_is_waited_for(void **state)
{
	struct counting counting = {.ops = *tcp_transport()->ops};
	struct cluster c;

	counting.transport.ops = &counting.ops;
	counting.ops.dial = count_dial;
	cluster_listen_over(&c, &counting.transport, 2);
	int port = node_stop_listening(&c, 0);

	node_start(&c, 1);
	/* Each connection was refused, and so was a second attempt of at least one. */
	while (counting.dials <= 2 * (2 + SHARDS))
		usleep(1000);
	assert_int_equal(transport_listen(c.transport, c.address[0], NULL, &c.node[0].cfg.listener,
					  &c.node[0].err),
			 0);
	node_start(&c, 0);
	assert_int_equal(node_join(&c, 0), 0);
	assert_int_equal(node_join(&c, 1), 0);
	check_mesh(&c);
	close(port);
	cluster_close(&c);
}

/* Node @again ends and starts anew, connected or not, while node 2 is awaited. */
static void restart(unsigned again, bool connected)
{
	struct cluster c;

	cluster_listen(&c, 3);
	node_start(&c, 1 - again);
	for (unsigned i = 1; i <= 3; i++) {
		node_start(&c, again);
		if (connected) {
			node_await_progress(&c, 0, i);
			node_await_progress(&c, 1, i);
		}
		node_cancel(&c, again);
		assert_int_equal(node_join(&c, again), -ECANCELED);
		assert_int_equal(eventfd_read(c.node[again].cfg.cancel_fd, &(eventfd_t){0}), 0);
	}
	node_start(&c, again);
	node_start(&c, 2);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(node_join(&c, i), 0);
	check_mesh(&c);
	cluster_close(&c);
}

static void a_node_that_connects_may_be_started_again(void **state)
{
	restart(1, true);
	restart(1, false);
}

static void a_node_that_accepts_may_be_started_again(void **state)
{
	restart(0, true);
	restart(0, false);
}

static void who_did_not_come_is_named(void **state)
{
	unsigned files = open_files();
	struct cluster c;

	cluster_listen(&c, 3);
	int port = node_stop_listening(&c, 0);
	struct node *n = &c.node[1];

	n->cfg.timeout_ms = 1000;
	node_start(&c, 1);
	assert_int_equal(node_join(&c, 1), -ETIMEDOUT);
	assert_non_null(strstr(n->err.text, "alpha at 127.0.0.1:"));
	assert_non_null(strstr(n->err.text, "Connection refused"));
	assert_non_null(strstr(n->err.text, "gamma at 127.0.0.1:"));
	assert_non_null(strstr(n->err.text, "it has not connected to this node"));
	assert_null(strstr(n->err.text, "beta"));
	close(port);
	cluster_close(&c);
	assert_int_equal(open_files(), files);
}

static void a_peer_that_does_not_answer_is_named(void **state)
{
	struct cluster c;

	cluster_listen(&c, 2); /* node 0 listens, but never runs */
	c.node[1].cfg.timeout_ms = 1000;
	node_start(&c, 1);
	assert_int_equal(node_join(&c, 1), -ETIMEDOUT);
	assert_non_null(strstr(c.node[1].err.text, "alpha at 127.0.0.1:"));
	assert_non_null(strstr(c.node[1].err.text, "it does not answer"));
	cluster_close(&c);
}

static void it_can_be_cancelled(void **state)
{
	struct cluster c;

	cluster_listen(&c, 2);
	node_start(&c, 1);
	node_cancel(&c, 1);
	assert_int_equal(node_join(&c, 1), -ECANCELED);
	cluster_close(&c);
}

static void a_taken_port_is_named(void **state)
{
	struct cluster c;
	struct err err;
	struct listener *l = NULL;

	cluster_listen(&c, 1);
	assert_int_equal(transport_listen(c.transport, c.address[0], NULL, &l, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, c.address[0]));
	assert_non_null(strstr(err.text, "in use"));
	/* TEST-NET-1 (RFC 5737): nobody's address. */
	assert_int_equal(transport_listen(c.transport, "192.0.2.1:0", NULL, &l, &err),
			 -EADDRNOTAVAIL);
	assert_non_null(strstr(err.text, "192.0.2.1:0"));
	assert_null(l);
	cluster_close(&c);
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		":1",
		"127.0.0.1",
		"127.0.0.1:",
		"127.0.0.1:0",
		"127.0.0.1:x",
		"127.0.0.1:1 ",
		"127.0.0.1:65536",
		"127.0.0.1:-1",
		"::1:80",
		"[::1]",
		"[::1:80",
		"[]:80",
		"[:80",
		"127.0.0.1:000080",
	};
	static const char *const good[] = {"127.0.0.1:1", "127.0.0.1:65535", "[::1]:80"};
	struct addrinfo *list = NULL;
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err.text[0] = '\0';
		assert_int_equal(address_resolve(bad[i], false, &list, &err), -EINVAL);
		assert_non_null(strstr(err.text, bad[i]));
		assert_null(list);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(address_resolve(good[i], false, &list, &err), 0);
		freeaddrinfo(list);
	}
	assert_int_equal(address_resolve("127.0.0.1:0", true, &list, &err), 0);
	freeaddrinfo(list);
}

static void a_configuration_out_of_range_is_refused(void **state)
{
	struct cluster c;
	struct mesh mesh;

	cluster_listen(&c, 2);
	struct node *n = &c.node[1];

	for (unsigned i = 0; i < 5; i++) {
		struct mesh_config cfg = n->cfg;

		cfg.nodes = i == 0 ? 0 : i == 1 ? MAX_NODES + 1 : 2;
		cfg.self = i == 2 ? 2 : 0;
		cfg.shards = i == 3 ? 0 : i == 4 ? MAX_SHARDS + 1 : 1;
		assert_int_equal(mesh_connect(&cfg, &mesh, &n->err), -EINVAL);
	}
	c.addresses[0] = "nonsense";
	assert_int_equal(mesh_connect(&n->cfg, &mesh, &n->err), -EINVAL);
	assert_non_null(strstr(n->err.text, "alpha"));
	cluster_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lone_node_has_nobody_to_wait_for),
		cmocka_unit_test(two_nodes_connect),
		cmocka_unit_test(three_nodes_connect),
		cmocka_unit_test(five_nodes_connect),
		cmocka_unit_test(a_node_that_starts_late_is_waited_for),
		cmocka_unit_test(a_node_that_connects_may_be_started_again),
		cmocka_unit_test(a_node_that_accepts_may_be_started_again),
		cmocka_unit_test(who_did_not_come_is_named),
		cmocka_unit_test(a_peer_that_does_not_answer_is_named),
		cmocka_unit_test(it_can_be_cancelled),
		cmocka_unit_test(a_taken_port_is_named),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(a_configuration_out_of_range_is_refused),
	};

	return cmocka_run_group_tests_name("mesh", tests, NULL, NULL);
}
