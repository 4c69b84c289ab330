/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that vanishes is noticed by every connection, idle or busy. That this is within 5 s is up
 * to the kernel, by numbers that each connection has given it: those are checked, and no clock of a
 * machine that has other things to do.
 *
 * Two nodes in network namespaces of their own, with a cable (veth) between them. The second loses
 * its address: from then on it drops all packets in silence, as if its power were cut behind a
 * switch. Needs root; the namespaces are gone with the process.
 */
#include "tests/transport/cluster.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <unistd.h>

#include "base/clock.h"

#define NOTICED_MS 5000
#define CONNS	   (2 + SHARDS)

static const char *const host_of[] = {"192.0.2.1", "192.0.2.2"}; /* RFC 5737 */

struct cable {
	int home, host[2]; /* namespaces */
};

static void in_namespace(int fd)
{
	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
}

static int this_namespace(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

__attribute__((format(printf, 1, 2))) static void shell(const char *fmt, ...)
{
	char line[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (system(line) != 0) /* NOLINT(cert-env33-c): a fixed command of this test */
		fail_msg("failed: %s", line);
}

static int cable_up(void **state)
{
	static struct cable w;

	if (geteuid() != 0)
		return 0;
	*state = &w;
	w.home = this_namespace();
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(unshare(CLONE_NEWNET), 0);
		w.host[i] = this_namespace();
	}
	shell("ip link add cable type veth peer name cable netns /proc/%d/fd/%d", getpid(),
	      w.host[0]);
	for (unsigned i = 0; i < 2; i++) {
		in_namespace(w.host[i]);
		shell("ip address add %s/24 dev cable && ip link set cable up", host_of[i]);
	}
	return 0;
}

static int cable_gone(void **state)
{
	struct cable *w = *state;

	if (!w)
		return 0;
	in_namespace(w->home);
	close(w->home);
	close(w->host[0]);
	close(w->host[1]);
	return 0;
}

static int ignore(void *ctx, struct conn *c, const struct wire_hdr *h, const void *data)
{
	return 0;
}

static void conns_of(const struct mesh *m, struct conn *ret[CONNS])
{
	ret[0] = m->control[!m->self];
	ret[1] = m->event[!m->self];
	for (unsigned i = 0; i < SHARDS; i++)
		ret[2 + i] = m->page[i * m->nodes + !m->self];
}

/* Sends if @busy, and receives. */
static int serve_one(struct conn *c, bool busy)
{
	const struct wire_hdr h = link_message(c, !c->peer);
	int r = busy ? conn_send(c, &h, NULL) : 0;

	return r < 0 ? r : conn_ready(c, ignore, NULL);
}

static int option(const struct conn *c, int level, int name)
{
	socklen_t len = sizeof(int);
	int value;

	assert_int_equal(getsockopt(c->fd, level, name, &value, &len), 0);
	return value;
}

/* What the kernel is to do when nothing comes back, for what was sent and for the idle. */
static void check_limits(const struct conn *c)
{
	assert_true(option(c, SOL_SOCKET, SO_KEEPALIVE));
	int probes = option(c, IPPROTO_TCP, TCP_KEEPCNT);
	int idle = option(c, IPPROTO_TCP, TCP_KEEPIDLE) +
		   probes * option(c, IPPROTO_TCP, TCP_KEEPINTVL); /* seconds */

	assert_in_range(idle * 1000, 1000, NOTICED_MS);
	/* From the first retransmission on, which is not later than a second. */
	assert_in_range(option(c, IPPROTO_TCP, TCP_USER_TIMEOUT), 1000, NOTICED_MS - 1000);
}

/* Both nodes work for @ms, or until all connections of node 0 have failed. Return: how many. */
static unsigned serve(struct cluster *cluster, bool busy, unsigned ms)
{
	const uint64_t begin = clock_now_ns(), end = begin + ms * NSEC_PER_MSEC;
	struct conn *conn[CONNS], *other[CONNS];
	unsigned failed = 0;

	conns_of(&cluster->node[0].mesh, conn);
	conns_of(&cluster->node[1].mesh, other);
	while (failed < CONNS && clock_now_ns() < end) {
		usleep(1000);
		for (unsigned i = 0; i < CONNS; i++) {
			/* What the other notices of its own end does not matter. */
			serve_one(other[i], busy);
			int r = conn[i] ? serve_one(conn[i], busy) : 0;
			if (r >= 0)
				continue;
			print_message("# class %u: %s after %.1f s\n", conn[i]->class_,
				      strerror(-r),
				      (double)(clock_now_ns() - begin) / NSEC_PER_SEC);
			assert_true(r == -ETIMEDOUT || r == -EHOSTUNREACH);
			conn[i] = NULL;
			failed++;
		}
	}
	return failed;
}

static void a_vanished_host_is_noticed(void **state, bool busy)
{
	const struct cable *w = *state;
	struct cluster c = {.transport = tcp_transport(), .nodes = 2};

	if (!w)
		skip();
	for (unsigned i = 0; i < 2; i++) {
		in_namespace(w->host[i]);
		node_listen(&c, i, host_of[i]);
		node_start(&c, i);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(node_join(&c, i), 0);
	check_mesh(&c);
	struct conn *conn[CONNS];
	conns_of(&c.node[0].mesh, conn);
	for (unsigned i = 0; i < CONNS; i++)
		check_limits(conn[i]);
	/* All is well for longer than it takes to notice a loss. */
	assert_int_equal(serve(&c, busy, NOTICED_MS), 0);
	in_namespace(w->host[1]);
	shell("ip address flush dev cable");
	assert_int_equal(serve(&c, busy, PATIENCE), CONNS);
	cluster_close(&c);
}

static void idle_connections_notice_a_vanished_host(void **state)
{
	a_vanished_host_is_noticed(state, false);
}

static void busy_connections_notice_a_vanished_host(void **state)
{
	a_vanished_host_is_noticed(state, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(idle_connections_notice_a_vanished_host, cable_up,
						cable_gone),
		cmocka_unit_test_setup_teardown(busy_connections_notice_a_vanished_host, cable_up,
						cable_gone),
	};

	return cmocka_run_group_tests_name("vanished", tests, NULL, NULL);
}
