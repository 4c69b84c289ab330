/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every transport must do, through conn_ops alone, over real sockets on 127.0.0.1. A
 * transport joins with a `struct fabric`: how to make both ends of a connection, and one end whose
 * other side is raw bytes.
 */
#include "tests/check.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include "tests/transport/fabrics.h"

#define ADDR (40 * PAGE_BYTES)

/* A receiver that checks order and content against what fill() makes. */
struct sink {
	uint64_t next; /* number of the message that must come */
	uint64_t bytes;
	int answer; /* what to return */
};

static uint32_t length_of(uint64_t n)
{
	return (uint32_t)(sizeof(struct wire_part) + 1 + (n * 611) % WIRE_PART_MAX);
}

static struct wire_hdr message(unsigned from, uint64_t n, uint8_t payload[WIRE_EVENT_MAX])
{
	const struct wire_hdr h = {.type = WIRE_VCPU_STATE,
				   .len = length_of(n),
				   .from = (uint8_t)from,
				   .epoch = EPOCH,
				   .addr = n};

	for (uint32_t i = 0; i < h.len; i++)
		payload[i] = (uint8_t)(n * 31 + i * 7 + (i >> 8));
	return h;
}

static int sink_take(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct sink *s = ctx;
	uint8_t want[WIRE_EVENT_MAX];
	struct wire_hdr hdr = message(c->peer, s->next, want);

	assert_memory_equal(h, &hdr, sizeof(hdr));
	assert_memory_equal(payload, want, hdr.len);
	assert_int_equal((uintptr_t)payload % 8, 0);
	s->next++;
	s->bytes += sizeof(*h) + h->len;
	return s->answer;
}

static void wait_for(struct conn *c, short events)
{
	struct pollfd p = {.fd = c->fd, .events = events};

	if (conn_arm(c) > 0)
		return;
	assert_int_equal(poll(&p, 1, 60000), 1);
}

static int count_take(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	++*(unsigned *)ctx;
	return 0;
}

/* Receives until conn_ready() fails; the error. */
static int error_of(struct conn *c, unsigned *messages)
{
	int r;

	do {
		wait_for(c, POLLIN);
		r = conn_ready(c, count_take, messages);
	} while (r >= 0);
	return r;
}

static const struct fabric *fabric(void **state)
{
	return *state;
}

static void an_idle_connection_has_nothing(void **state)
{
	struct conn *c[2];
	unsigned n = 0;

	fabric(state)->pair(WIRE_CLASS_PAGE, c);
	assert_int_equal(conn_ready(c[0], count_take, &n), 0);
	assert_int_equal(conn_queued(c[0]), 0);
	assert_int_equal(c[0]->peer, NODE_B);
	assert_int_equal(c[0]->class_, WIRE_CLASS_PAGE);
	assert_int_equal(c[0]->shard, SHARD);
	conn_close(c[0]);
	conn_close(c[1]);
	conn_close(NULL);
}

static void messages_of_all_sizes_arrive_in_order(void **state)
{
	static uint8_t payload[WIRE_EVENT_MAX];
	struct sink s = {0};
	struct conn *c[2];

	fabric(state)->pair(WIRE_CLASS_EVENT, c);
	for (uint64_t n = 0; n < 5000; n++) {
		struct wire_hdr h = message(NODE_A, n, payload);

		assert_int_equal(conn_send(c[0], &h, payload), 0);
		memset(payload, 0xee, sizeof(payload)); /* not touched after the return */
		while (conn_queued(c[0]) || s.next <= n) {
			assert_true(conn_ready(c[0], sink_take, NULL) >= 0);
			wait_for(c[1], POLLIN);
			assert_true(conn_ready(c[1], sink_take, &s) >= 0);
		}
	}
	assert_int_equal(s.next, 5000);
	assert_int_equal(c[0]->sent_messages, 5000);
	assert_int_equal(c[1]->received_messages, 5000);
	assert_int_equal(c[0]->sent_bytes, s.bytes);
	assert_int_equal(c[1]->received_bytes, s.bytes);
	conn_close(c[0]);
	conn_close(c[1]);
}

static void pages_and_bare_headers_arrive(void **state)
{
	static const uint8_t page[PAGE_BYTES] = {1, 2, 3};
	struct wire_hdr h = {.type = WIRE_GRANT, .from = NODE_A, .epoch = EPOCH, .addr = ADDR};
	struct conn *c[2];
	unsigned n = 0;

	fabric(state)->pair(WIRE_CLASS_PAGE, c);
	assert_int_equal(conn_send(c[0], &h, NULL), 0);
	h.flags = WIRE_GRANT_DATA;
	h.len = PAGE_BYTES;
	assert_int_equal(conn_send(c[0], &h, page), 0);
	while (n < 2) {
		assert_int_equal(conn_flush(c[0]), 0);
		wait_for(c[1], POLLIN);
		assert_true(conn_ready(c[1], count_take, &n) >= 0);
	}
	conn_close(c[0]);
	conn_close(c[1]);
}

/* Runs of the largest size, and between them small ones and messages without any. */
static struct wire_hdr nth_run(uint64_t n, uint8_t *payload)
{
	struct wire_hdr h = {.type = n % 3 ? WIRE_GRANT : WIRE_DONE,
			     .flags = n % 3 ? WIRE_GRANT_DATA : 0,
			     .more = n % 3 == 1 ? WIRE_RUN_PAGES - 1 : (uint8_t)(n % 5),
			     .from = NODE_A,
			     .epoch = EPOCH,
			     .addr = n * REGION_BYTES};

	h.len = h.flags ? (h.more + 1u) * (uint32_t)PAGE_BYTES : 0;
	for (uint32_t i = 0; i < h.len; i += 8)
		memcpy(payload + i, &(uint64_t){n << 32 | i}, 8);
	return h;
}

static int run_take(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	static uint8_t want[WIRE_PAYLOAD_MAX];
	uint64_t *next = ctx;
	struct wire_hdr hdr = nth_run((*next)++, want);

	assert_memory_equal(h, &hdr, sizeof(hdr));
	assert_memory_equal(payload, want, hdr.len);
	assert_int_equal((uintptr_t)payload % 8, 0);
	return 0;
}

static void runs_of_the_largest_size_arrive_in_order(void **state)
{
	static uint8_t payload[WIRE_PAYLOAD_MAX];
	uint64_t next = 0;
	size_t most = 0;
	struct conn *c[2];

	fabric(state)->pair(WIRE_CLASS_PAGE, c);
	for (uint64_t n = 0; n < 400; n++) {
		struct wire_hdr h = nth_run(n, payload);

		assert_int_equal(
			n % 7 ? conn_send(c[0], &h, payload) : conn_post(c[0], &h, payload), 0);
		memset(payload, 0xee, sizeof(payload)); /* not touched after the return */
		most = MAX(most, conn_queued(c[0]));
		if (n % 40 == 39)
			assert_true(conn_receive(c[1], run_take, &next) >= 0);
	}
	while (next < 400) {
		assert_int_equal(conn_flush(c[0]), 0);
		wait_for(c[1], POLLIN);
		assert_true(conn_receive(c[1], run_take, &next) >= 0);
	}
	assert_true(most > 2 * WIRE_PAYLOAD_MAX); /* else this test has not tried what it is for */
	assert_int_equal(conn_queued(c[0]), 0);
	assert_int_equal(c[0]->sent_bytes, c[1]->received_bytes);
	conn_close(c[0]);
	conn_close(c[1]);
}

static void what_is_posted_waits_for_the_flush_and_keeps_its_place(void **state)
{
	static const uint8_t page[PAGE_BYTES] = {1, 2, 3};
	struct wire_hdr h = {.type = WIRE_GRANT,
			     .flags = WIRE_GRANT_DATA,
			     .len = PAGE_BYTES,
			     .from = NODE_A,
			     .epoch = EPOCH};
	struct conn *c[2];
	unsigned n = 0;

	fabric(state)->pair(WIRE_CLASS_PAGE, c);
	for (h.addr = 0; h.addr < 3 * PAGE_BYTES; h.addr += PAGE_BYTES)
		assert_int_equal(conn_post(c[0], &h, page), 0);
	assert_int_equal(conn_queued(c[0]), 3 * (sizeof(h) + PAGE_BYTES));
	assert_int_equal(conn_receive(c[1], count_take, &n), 0);
	/* A message that is sent does not overtake them. */
	assert_int_equal(conn_send(c[0], &h, page), 0);
	assert_int_equal(conn_receive(c[1], count_take, &n), 0);
	assert_int_equal(conn_flush(c[0]), 0);
	while (n < 4) {
		wait_for(c[1], POLLIN);
		assert_true(conn_receive(c[1], count_take, &n) >= 0);
	}
	assert_int_equal(conn_queued(c[0]), 0);
	h.epoch++;
	assert_int_equal(conn_post(c[0], &h, page), -EINVAL);
	conn_close(c[0]);
	conn_close(c[1]);
}

/* Both ends send @burst messages a turn; each reads in one turn of @laziness[end]. */
static void both_ways(const struct fabric *f, uint64_t messages, unsigned burst,
		      const unsigned laziness[2])
{
	static uint8_t payload[WIRE_EVENT_MAX];
	struct sink s[2] = {0};
	uint64_t sent[2] = {0};
	size_t most = 0;
	struct conn *c[2];

	f->pair(WIRE_CLASS_EVENT, c);
	for (unsigned turn = 0; s[0].next < messages || s[1].next < messages; turn++) {
		for (unsigned end = 0; end < 2; end++) {
			for (unsigned i = 0; i < burst && sent[end] < messages; i++) {
				struct wire_hdr h = message(c[end]->self, sent[end]++, payload);

				assert_int_equal(conn_send(c[end], &h, payload), 0);
			}
			most = MAX(most, conn_queued(c[end]));
			assert_true(conn_queued(c[end]) <= CONN_QUEUE_MAX);
			if (sent[end] == messages || turn % laziness[end] == 0)
				assert_true(conn_ready(c[end], sink_take, &s[end]) >= 0);
		}
	}
	assert_true(most > 0); /* else this test has not tried what it is for */
	for (unsigned end = 0; end < 2; end++) {
		assert_int_equal(s[end].next, messages);
		assert_int_equal(conn_queued(c[end]), 0);
		assert_int_equal(c[end]->sent_bytes, c[1 - end]->received_bytes);
	}
	conn_close(c[0]);
	conn_close(c[1]);
}

static void streams_in_both_directions_lose_nothing(void **state)
{
	both_ways(fabric(state), 16000, 8000, (unsigned[]){1, 1});
}

static void a_slow_reader_makes_the_queue_grow_and_drain(void **state)
{
	both_ways(fabric(state), 8000, 64, (unsigned[]){1, 100});
	both_ways(fabric(state), 16000, 64, (unsigned[]){90, 100});
}

static void a_peer_that_does_not_read_breaks_at_the_bound(void **state)
{
	static uint8_t payload[WIRE_EVENT_MAX];
	struct wire_hdr h = {.type = WIRE_GRANT,
			     .flags = WIRE_GRANT_DATA,
			     .len = PAGE_BYTES,
			     .from = NODE_A,
			     .epoch = EPOCH};
	unsigned sent = 0, n = 0;
	struct conn *c[2];
	int r;

	fabric(state)->pair(WIRE_CLASS_PAGE, c);
	while ((r = conn_send(c[0], &h, payload)) == 0) {
		assert_true(conn_queued(c[0]) <= CONN_QUEUE_MAX);
		sent++;
		assert_true(sent < 4 * CONN_QUEUE_MAX / PAGE_BYTES);
	}
	assert_int_equal(r, -ENOBUFS);
	assert_true(conn_queued(c[0]) + sizeof(h) + h.len > CONN_QUEUE_MAX);
	/* One message is lost: nothing may follow it. */
	assert_int_equal(conn_send(c[0], &h, payload), -ENOBUFS);
	assert_int_equal(conn_ready(c[0], count_take, &n), -ENOBUFS);
	conn_close(c[0]);
	assert_int_equal(error_of(c[1], &n), -ECONNRESET);
	assert_true(n > 0 && n < sent);
	conn_close(c[1]);
}

static int answer(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct wire_hdr pong = *h;

	++*(unsigned *)ctx;
	if (h->type != WIRE_PING)
		return 0;
	pong.type = WIRE_PONG;
	pong.from = (uint8_t)c->self;
	pong.len = sizeof(struct wire_pong);
	return conn_send(c, &pong, &(struct wire_pong){h->addr + 1});
}

static void answers_can_be_sent_from_the_receiver(void **state)
{
	struct wire_hdr ping = {.type = WIRE_PING, .from = NODE_A, .epoch = EPOCH};
	unsigned pings = 0, pongs = 0;
	struct conn *c[2];

	fabric(state)->pair(WIRE_CLASS_CONTROL, c);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(conn_send(c[0], &ping, NULL), 0);
	while (pongs < 1000) {
		assert_true(conn_ready(c[1], answer, &pings) >= 0);
		assert_true(conn_ready(c[0], answer, &pongs) >= 0);
	}
	assert_int_equal(pings, 1000);
	conn_close(c[0]);
	conn_close(c[1]);
}

/* One end for a thread of its own: runs conn_receive() or conn_ready() until @want have come. */
struct worker {
	struct conn *conn;
	int (*run)(struct conn *c, conn_recv_fn take, void *ctx);
	unsigned want, got;
	int error;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	while (w->got < w->want && w->error >= 0)
		w->error = w->run(w->conn, answer, &w->got);
	while (w->error >= 0 && w->run == conn_ready && conn_queued(w->conn))
		w->error = conn_flush(w->conn);
	return NULL;
}

static void one_thread_may_receive_while_another_sends(void **state)
{
	const struct wire_hdr ping = {.type = WIRE_PING, .from = NODE_A, .epoch = EPOCH};
	struct worker w[2] = {{.run = conn_receive, .want = 200000},
			      {.run = conn_ready, .want = 200000}};
	pthread_t thread[2];
	struct conn *c[2];

	fabric(state)->pair(WIRE_CLASS_CONTROL, c);
	for (unsigned i = 0; i < 2; i++) {
		w[i].conn = c[i];
		assert_int_equal(pthread_create(&thread[i], NULL, work, &w[i]), 0);
	}
	for (unsigned i = 0; i < w[0].want; i++)
		assert_int_equal(conn_send(c[0], &ping, NULL), 0);
	while (conn_queued(c[0]))
		assert_int_equal(conn_flush(c[0]), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_true(w[i].error >= 0);
		assert_int_equal(w[i].got, w[i].want);
	}
	conn_close(c[0]);
	conn_close(c[1]);
}

static void the_receivers_error_ends_the_connection(void **state)
{
	static uint8_t payload[WIRE_EVENT_MAX];
	struct sink s = {.answer = -EPROTO};
	struct conn *c[2];

	fabric(state)->pair(WIRE_CLASS_EVENT, c);
	for (uint64_t n = 0; n < 3; n++) {
		struct wire_hdr h = message(NODE_A, n, payload);

		assert_int_equal(conn_send(c[0], &h, payload), 0);
		assert_int_equal(conn_flush(c[0]), 0);
	}
	do
		wait_for(c[1], POLLIN);
	while (conn_ready(c[1], sink_take, &s) == 0);
	assert_int_equal(conn_ready(c[1], sink_take, &s), -EPROTO);
	assert_int_equal(s.next, 1);
	conn_close(c[0]);
	conn_close(c[1]);
}

static void a_header_the_peer_would_refuse_is_not_sent(void **state)
{
	const struct wire_hdr good = {.type = WIRE_PING, .from = NODE_A, .epoch = EPOCH};
	struct wire_hdr h[6];
	unsigned n = 0;
	struct conn *c[2];

	for (size_t i = 0; i < ARRAY_SIZE(h); i++)
		h[i] = good;
	h[0].from = NODE_B;
	h[1].epoch++;
	h[2].len = 8;
	h[3].type = WIRE_GETS; /* another class */
	h[4].type = 200;
	h[5].type = WIRE_HELLO;
	h[5].len = sizeof(struct wire_hello);
	fabric(state)->pair(WIRE_CLASS_CONTROL, c);
	for (size_t i = 0; i < ARRAY_SIZE(h); i++)
		assert_int_equal(conn_send(c[0], &h[i], (uint8_t[64]){0}), -EINVAL);
	assert_int_equal(conn_send(c[0], &good, NULL), 0); /* and it is as it was */
	while (n == 0) {
		assert_int_equal(conn_flush(c[0]), 0);
		wait_for(c[1], POLLIN);
		assert_true(conn_ready(c[1], count_take, &n) >= 0);
	}
	assert_int_equal(n, 1);
	assert_int_equal(c[0]->sent_messages, 1);
	conn_close(c[0]);
	conn_close(c[1]);
}

static void bytes_that_trickle_become_messages(void **state)
{
	static uint8_t stream[3 * (sizeof(struct wire_hdr) + WIRE_EVENT_MAX)];
	uint8_t payload[WIRE_EVENT_MAX];
	struct sink s = {0};
	size_t len = 0;
	int fd;
	struct conn *c = fabric(state)->raw(WIRE_CLASS_EVENT, &fd);

	for (uint64_t n = 0; n < 3; n++) {
		struct wire_hdr h = message(NODE_B, n, payload);

		memcpy(stream + len, &h, sizeof(h));
		memcpy(stream + len + sizeof(h), payload, h.len);
		len += sizeof(h) + h.len;
	}
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(write(fd, stream + i, 1), 1);
		wait_for(c, POLLIN);
		assert_true(conn_ready(c, sink_take, &s) >= 0);
	}
	while (s.next < 3) {
		wait_for(c, POLLIN);
		assert_true(conn_ready(c, sink_take, &s) >= 0);
	}
	close(fd);
	conn_close(c);
}

static void a_peer_that_closes_is_noticed(void **state)
{
	const struct wire_hdr h = {.type = WIRE_STOP,
				   .flags = WIRE_STOP_FAILED,
				   .len = 20,
				   .from = NODE_B,
				   .epoch = EPOCH};
	static const uint8_t zero[20];

	for (unsigned bytes = 0; bytes <= sizeof(h) + h.len; bytes++) {
		unsigned n = 0;
		int fd;
		struct conn *c = fabric(state)->raw(WIRE_CLASS_CONTROL, &fd);
		size_t head = MIN(bytes, sizeof(h));

		assert_int_equal(write(fd, &h, head), head);
		assert_int_equal(write(fd, zero, bytes - head), bytes - head);
		close(fd);
		assert_int_equal(error_of(c, &n), -ECONNRESET);
		assert_int_equal(conn_ready(c, count_take, &n), -ECONNRESET);
		assert_int_equal(n, bytes == sizeof(h) + h.len); /* a part is no message */
		conn_close(c);
	}
}

static void last_words_are_heard_though_sending_fails(void **state)
{
	const struct wire_hdr stop = {
		.type = WIRE_STOP, .flags = WIRE_STOP_FAILED, .from = NODE_B, .epoch = EPOCH};
	const struct wire_hdr ping = {.type = WIRE_PING, .from = NODE_A, .epoch = EPOCH};
	unsigned n = 0;
	int fd, r = 0;
	struct conn *c = fabric(state)->raw(WIRE_CLASS_CONTROL, &fd);

	assert_int_equal(write(fd, &stop, sizeof(stop)), sizeof(stop));
	close(fd);
	wait_for(c, POLLIN);
	for (unsigned i = 0; i < 100000 && r == 0; i++)
		r = conn_send(c, &ping, NULL) ?: conn_flush(c);
	assert_true(r == -EPIPE || r == -ECONNRESET);
	assert_true(conn_send(c, &ping, NULL) == r);
	assert_true(error_of(c, &n) < 0);
	assert_int_equal(n, 1);
	conn_close(c);
}

static void hostile_bytes_are_refused(void **state)
{
	const struct wire_hdr good = {.type = WIRE_GETS, .from = NODE_B, .epoch = EPOCH};
	struct wire_hdr h[12];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(h); i++)
		h[i] = good;
	h[0].type = 0;
	h[1].type = 255;
	h[2].len = UINT32_MAX;
	h[3].len = 1;
	h[4].from = NODE_A;
	h[5].epoch = EPOCH - 1;
	h[6].type = WIRE_PING; /* of another class */
	h[7].addr = 1;
	h[8].type = WIRE_HELLO;
	h[8].len = sizeof(struct wire_hello);
	h[9].more = WIRE_RUN_PAGES;
	h[10].more = 1;
	h[10].addr = REGION_BYTES - PAGE_BYTES;
	h[11].type = WIRE_GRANT;
	h[11].flags = WIRE_GRANT_DATA;
	h[11].more = UINT8_MAX;
	h[11].len = (UINT8_MAX + 1) * PAGE_BYTES;
	for (i = 0; i < ARRAY_SIZE(h); i++) {
		unsigned n = 0;
		int fd;
		struct conn *c = fabric(state)->raw(WIRE_CLASS_PAGE, &fd);

		/* A good one before it is delivered, a good one behind it is not. */
		assert_int_equal(write(fd, &good, sizeof(good)), sizeof(good));
		assert_int_equal(write(fd, &h[i], sizeof(h[i])), sizeof(h[i]));
		assert_int_equal(write(fd, &good, sizeof(good)), sizeof(good));
		assert_int_equal(error_of(c, &n), -EBADMSG);
		assert_int_equal(n, 1);
		assert_int_equal(conn_ready(c, count_take, &n), -EBADMSG);
		assert_int_equal(n, 1);
		close(fd);
		conn_close(c);
	}
}

#define of_fabric(test) cmocka_unit_test_prestate(test, (void *)f)

static int conform(const struct fabric *f)
{
	const struct CMUnitTest tests[] = {
		of_fabric(an_idle_connection_has_nothing),
		of_fabric(messages_of_all_sizes_arrive_in_order),
		of_fabric(pages_and_bare_headers_arrive),
		of_fabric(runs_of_the_largest_size_arrive_in_order),
		of_fabric(what_is_posted_waits_for_the_flush_and_keeps_its_place),
		of_fabric(streams_in_both_directions_lose_nothing),
		of_fabric(a_slow_reader_makes_the_queue_grow_and_drain),
		of_fabric(a_peer_that_does_not_read_breaks_at_the_bound),
		of_fabric(answers_can_be_sent_from_the_receiver),
		of_fabric(one_thread_may_receive_while_another_sends),
		of_fabric(the_receivers_error_ends_the_connection),
		of_fabric(a_header_the_peer_would_refuse_is_not_sent),
		of_fabric(bytes_that_trickle_become_messages),
		of_fabric(a_peer_that_closes_is_noticed),
		of_fabric(last_words_are_heard_though_sending_fails),
		of_fabric(hostile_bytes_are_refused),
	};

	return cmocka_run_group_tests_name(f->name, tests, NULL, NULL);
}

/* The fabric's name is the argument: one program's TAP has one plan. */
int main(int argc, char **argv)
{
	for (const struct fabric *f = fabrics; argc == 2 && f < fabrics + ARRAY_SIZE(fabrics); f++)
		if (strcmp(f->name, argv[1]) == 0)
			return conform(f);
	fprintf(stderr, "usage: conformance FABRIC\n");
	return 2;
}
