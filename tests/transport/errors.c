/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel may answer and hardly ever does: interrupted calls, sockets that take or give a
 * few bytes, no more files, no memory for a packet. The linker puts the functions below in place of
 * the system's (--wrap).
 */
#include <poll.h>
#include <stdatomic.h>

#include "tests/transport/greet.h"
#include "transport/faulty.h"

/* What goes wrong; all threads. Zero: nothing. */
static struct {
	_Atomic unsigned interrupts; /* of 100 calls */
	_Atomic unsigned full;	     /* of 100 sends: EAGAIN */
	_Atomic size_t most;	     /* bytes that one call moves */
	_Atomic int send_error;
	_Atomic int accept_error, socket_error, meshed_error;
	_Atomic unsigned errors; /* of the last three that are left; then all is well */
	_Atomic uint64_t random, calls;
} fate;

static void all_is_well(void)
{
	memset(&fate, 0, sizeof(fate));
}

static bool dice(unsigned percent)
{
	uint64_t state = atomic_fetch_add(&fate.random, 1);

	return faulty_random(&state) % 100 < percent;
}

static bool interrupted(void)
{
	atomic_fetch_add(&fate.calls, 1);
	if (!dice(fate.interrupts))
		return false;
	errno = EINTR;
	return true;
}

static size_t piece(size_t len)
{
	uint64_t state = atomic_fetch_add(&fate.random, 1);

	return fate.most ? MIN(len, 1 + faulty_random(&state) % fate.most) : len;
}

static bool failed(int error)
{
	unsigned left = fate.errors;

	while (error && left)
		if (atomic_compare_exchange_weak(&fate.errors, &left, left - 1)) {
			errno = error;
			return true;
		}
	return false;
}

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __real_recv(int fd, void *bytes, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t len, int flags);
int __real_accept4(int fd, struct sockaddr *name, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *name, socklen_t *len, int flags);
int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct iovec iov[8];
	struct msghdr less = *msg;
	size_t total = 0, left;

	if (interrupted())
		return -1;
	if (dice(fate.full) || fate.send_error) {
		errno = fate.send_error ?: EAGAIN;
		return -1;
	}
	for (size_t i = 0; i < msg->msg_iovlen; i++)
		total += msg->msg_iov[i].iov_len;
	left = piece(total);
	less.msg_iov = iov;
	for (less.msg_iovlen = 0; left && less.msg_iovlen < ARRAY_SIZE(iov); less.msg_iovlen++) {
		iov[less.msg_iovlen] = msg->msg_iov[less.msg_iovlen];
		iov[less.msg_iovlen].iov_len = MIN(left, iov[less.msg_iovlen].iov_len);
		left -= iov[less.msg_iovlen].iov_len;
	}
	return __real_sendmsg(fd, &less, flags);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags)
{
	const struct wire_hdr *h = bytes;
	bool meshed = len == sizeof(*h) && h->type == WIRE_MESHED;

	return interrupted() || (meshed && failed(fate.meshed_error))
		       ? -1
		       : __real_send(fd, bytes, len, flags);
}

ssize_t __wrap_recv(int fd, void *bytes, size_t len, int flags)
{
	return interrupted() ? -1 : __real_recv(fd, bytes, piece(len), flags);
}

int __wrap_accept4(int fd, struct sockaddr *name, socklen_t *len, int flags)
{
	return interrupted() || failed(fate.accept_error) ? -1
							  : __real_accept4(fd, name, len, flags);
}

int __wrap_socket(int family, int type, int protocol)
{
	return failed(fate.socket_error) ? -1 : __real_socket(family, type, protocol);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	return timeout && interrupted() ? -1 : __real_poll(fds, count, timeout);
}

/* ---- connections, page class ---- */

#define PAGES 3000

static void page_pair(struct conn *ret[2])
{
	int fd[2];

	loopback_pair(fd);
	for (unsigned i = 0; i < 2; i++) {
		const struct conn_config cfg = {.self = (uint16_t)i,
						.peer = (uint16_t)!i,
						.class_ = WIRE_CLASS_PAGE,
						.epoch = EPOCH};

		assert_int_equal(tcp_tune(fd[i]), 0);
		assert_int_equal(tcp_conn_new(fd[i], &cfg, &ret[i]), 0);
	}
}

/* Grants with and without a page, whose content follows from the address. */
static struct wire_hdr grant(uint64_t n, uint8_t page[PAGE_BYTES])
{
	struct wire_hdr h = {.type = WIRE_GRANT, .epoch = EPOCH, .addr = n * PAGE_BYTES};

	if (n % 3 == 0)
		return h;
	h.flags = WIRE_GRANT_DATA;
	h.len = PAGE_BYTES;
	for (size_t i = 0; i < PAGE_BYTES; i++)
		page[i] = (uint8_t)(n * 131 + i * 7 + (i >> 8));
	return h;
}

static int take_grant(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	static uint8_t page[PAGE_BYTES];
	struct wire_hdr want = grant((*(uint64_t *)ctx)++, page);

	assert_memory_equal(h, &want, sizeof(want));
	assert_memory_equal(payload, page, want.len);
	return 0;
}

static void pages_arrive_whole(size_t most)
{
	static uint8_t page[PAGE_BYTES];
	uint64_t sent = 0, got = 0;
	struct conn *c[2];

	page_pair(c);
	fate.interrupts = fate.full = 30;
	fate.most = most;
	while (got < PAGES) {
		/* As a shard does: a round posts some, one is sent, all leave together. */
		for (unsigned i = 0; i < 5 && sent < PAGES; i++, sent++) {
			struct wire_hdr h = grant(sent, page);
			int r = i < 4 ? conn_post(c[0], &h, page) : conn_send(c[0], &h, page);

			assert_int_equal(r, 0);
		}
		do {
			assert_int_equal(conn_flush(c[0]), 0);
			assert_true(conn_receive(c[1], take_grant, &got) >= 0);
		} while (conn_queued(c[0]) > 16 * PAGE_BYTES);
	}
	assert_true(fate.calls > PAGES / 5); /* else nothing was wrapped, and nothing tried */
	assert_int_equal(conn_queued(c[0]), 0);
	assert_int_equal(c[0]->sent_bytes, c[1]->received_bytes);
	all_is_well();
	conn_close(c[0]);
	conn_close(c[1]);
}

static void pages_arrive_whole_however_they_are_cut(void **state)
{
	pages_arrive_whole(20);	  /* headers in pieces, too */
	pages_arrive_whole(5000); /* pieces of pages, more than one */
}

static void a_send_that_fails_is_told_and_receiving_goes_on(void **state)
{
	static const int errors[] = {ENOBUFS, ENOMEM, ENETDOWN, EHOSTUNREACH, ETIMEDOUT};
	static uint8_t page[PAGE_BYTES];
	struct wire_hdr h = grant(1, page), bare = grant(0, page);

	bare.from = 1;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct wire_hdr got = {0};
		struct conn *c[2];

		page_pair(c);
		assert_int_equal(conn_send(c[1], &bare, NULL), 0);
		fate.send_error = errors[i];
		assert_int_equal(conn_post(c[0], &h, page), 0);
		assert_int_equal(conn_flush(c[0]), -errors[i]);
		fate.send_error = 0; /* a part may be out: nothing may follow it */
		assert_int_equal(conn_send(c[0], &h, page), -errors[i]);
		assert_int_equal(conn_post(c[0], &h, page), -errors[i]);
		while (got.type == 0)
			assert_true(conn_receive(c[0], link_take, &got) >= 0);
		assert_int_equal(conn_ready(c[0], link_take, &got), -errors[i]);
		conn_close(c[0]);
		conn_close(c[1]);
	}
}

/* ---- bring-up ---- */

static void join_all(struct cluster *c)
{
	for (unsigned i = 0; i < c->nodes; i++)
		assert_int_equal(node_join(c, i), 0);
	assert_true(fate.calls > 0);
	assert_int_equal(fate.errors, 0);
	all_is_well();
	check_mesh(c);
	cluster_close(c);
}

static void interrupted_calls_and_pieces_do_not_matter(void **state)
{
	struct cluster c;

	cluster_listen(&c, 3);
	fate.interrupts = 40;
	fate.most = 5;
	for (unsigned i = 0; i < 3; i++)
		node_start(&c, i);
	join_all(&c);
}

static void an_accept_that_fails_is_not_the_end(void **state)
{
	static const int errors[] = {ECONNABORTED, EPROTO, ENETDOWN, EHOSTUNREACH};

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct cluster c;

		cluster_listen(&c, 2);
		fate.errors = 7;
		fate.accept_error = errors[i];
		for (unsigned node = 0; node < 2; node++)
			node_start(&c, node);
		join_all(&c);
	}
}

/* What waits stays in the queue: to go on would be to spin. */
static void an_accept_without_memory_is(void **state)
{
	static const int errors[] = {ENOBUFS, ENOMEM};

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct cluster c;

		cluster_listen(&c, 2);
		fate.errors = UINT32_MAX;
		fate.accept_error = errors[i];
		for (unsigned node = 0; node < 2; node++)
			node_start(&c, node);
		assert_int_equal(node_join(&c, 0), -ENOMEM);
		assert_string_equal(c.node[0].err.text, "out of memory");
		node_cancel(&c, 1);
		assert_int_equal(node_join(&c, 1), -ECANCELED);
		all_is_well();
		cluster_close(&c);
	}
}

/* Node @node ends with EMFILE and @words, nothing is left open, and the other can be cancelled. */
static void no_more_files(_Atomic int *error, unsigned node, const char *words)
{
	unsigned files = open_files();
	struct cluster c;

	cluster_listen(&c, 2);
	fate.errors = UINT32_MAX;
	*error = EMFILE;
	for (unsigned i = 0; i < 2; i++)
		node_start(&c, i);
	assert_int_equal(node_join(&c, node), -EMFILE);
	assert_non_null(strstr(c.node[node].err.text, words));
	assert_non_null(strstr(c.node[node].err.text, "ulimit -n"));
	node_cancel(&c, !node);
	assert_int_equal(node_join(&c, !node), -ECANCELED);
	all_is_well();
	cluster_close(&c);
	assert_int_equal(open_files(), files);
}

static void a_node_without_files_says_so(void **state)
{
	no_more_files(&fate.accept_error, 0, "connections from other nodes");
	no_more_files(&fate.socket_error, 1, "connections to alpha");
}

/*
 * MESHED says that all are connected. When saying it to one peer fails, that one is not, and the
 * others must not hear it: they would leave, and nobody comes back to them.
 */
static void who_cannot_be_told_is_not_connected(void **state)
{
	struct wire_hello hello;
	struct ends zero, two;
	struct cluster c;
	char byte;

	cluster_listen(&c, 3); /* node 1; 0 and 2 are played */
	fate.errors = 1;
	fate.meshed_error = ECONNRESET;
	node_start(&c, 1);
	zero = answer_all(&c, 0, 1);
	two = dial_all(&c, 2, 1, 2);
	int again = take_dialler(&c, 0, &hello);

	assert_int_equal(fate.errors, 0);
	assert_int_equal(slot_number(&hello), WIRE_CLASS_CONTROL);
	assert_int_equal(recv(two.fd[WIRE_CLASS_CONTROL], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	expect_dropped(zero.fd[WIRE_CLASS_CONTROL]);
	zero.fd[WIRE_CLASS_CONTROL] = again;
	answer_hello(again, &hello, 1);
	read_meshed(&zero, 1);
	read_meshed(&two, 1);
	say_meshed(&zero, 0);
	say_meshed(&two, 2);
	assert_int_equal(node_join(&c, 1), 0);
	all_is_well();
	ends_close(&zero);
	ends_close(&two);
	cluster_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_arrive_whole_however_they_are_cut),
		cmocka_unit_test(a_send_that_fails_is_told_and_receiving_goes_on),
		cmocka_unit_test(interrupted_calls_and_pieces_do_not_matter),
		cmocka_unit_test(an_accept_that_fails_is_not_the_end),
		cmocka_unit_test(an_accept_without_memory_is),
		cmocka_unit_test(a_node_without_files_says_so),
		cmocka_unit_test(who_cannot_be_told_is_not_connected),
	};

	return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
