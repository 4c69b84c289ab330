/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses that travel to the node of a device: two ends in this process, a real connection,
 * without KVM. The test plays the device's main thread; threads play the vCPUs.
 */
#include "tests/check.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/transport/loopback.h"
#include "transport/tcp.h"
#include "vmm/forward.h"

#define EPOCH 5

struct world {
	struct forward forward; /* of node 1 */
	struct link link[2];	/* [0]: node 1's to node 0; [1]: node 0's to node 1 */
	int wake;
};

/* An access on its way, by a thread of its own. */
struct access {
	struct world *w;
	struct vcpu_io io;
	uint8_t data[8];
	pthread_t thread;
	int result;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int fd[2];

	assert_non_null(w);
	w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	loopback_pair(fd);
	for (unsigned i = 0; i < 2; i++) {
		const struct conn_config cfg = {.self = (uint16_t)!i,
						.peer = (uint16_t)i,
						.class_ = WIRE_CLASS_EVENT,
						.epoch = EPOCH};

		w->link[i] = (struct link){.wake = w->wake, .self = (uint16_t)!i, .epoch = EPOCH};
		pthread_mutex_init(&w->link[i].lock, NULL);
		assert_int_equal(tcp_tune(fd[i]), 0);
		assert_int_equal(tcp_conn_new(fd[i], &cfg, &w->link[i].conn), 0);
	}
	forward_init(&w->forward, w->link);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 2; i++)
		conn_close(w->link[i].conn);
	close(w->wake);
	free(w);
	return 0;
}

static void *access_main(void *arg)
{
	struct access *a = arg;

	a->result = forward_io(&a->w->forward, 0, 3, &a->io);
	return NULL;
}

static void access_start(struct world *w, struct access *a, const struct vcpu_io *io)
{
	*a = (struct access){.w = w, .io = *io};
	a->io.data = a->data;
	memcpy(a->data, io->data, sizeof(a->data));
	assert_int_equal(pthread_create(&a->thread, NULL, access_main, a), 0);
}

/* Lets @take have what comes, until it says in the first field of @ctx that this was it. */
static int receive(struct conn *c, conn_recv_fn take, void *ctx)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	int r = 0;

	while (r >= 0 && !*(bool *)ctx) {
		assert_true(poll(&p, 1, -1) > 0);
		r = conn_receive(c, take, ctx);
	}
	return r;
}

struct device {
	bool done; /* first: see receive() */
	struct world *w;
	struct vcpu_io seen;
	uint8_t data[WIRE_IO_DATA_MAX];
	struct wire_io head;
	int result;
};

/* What a read gives: the bytes 0xa0, 0xa1, ... */
static int on_request(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct device *d = ctx;

	d->done = true;
	memcpy(&d->head, payload, sizeof(d->head));
	d->result = forward_decode(h, payload, d->data, &d->seen);
	if (d->result < 0)
		return d->result;
	if (!d->seen.write)
		for (unsigned i = 0; i < d->seen.size; i++)
			d->data[i] = (uint8_t)(0xa0 + i);
	forward_reply(&d->w->link[1], payload, &d->seen);
	return 0;
}

struct reply {
	bool done;
	struct world *w;
	int result;
};

static int on_reply(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct reply *r = ctx;

	r->done = true;
	r->result = forward_answer(&r->w->forward, h, payload);
	return r->result;
}

static void every_size_that_kvm_has_arrives(void **state)
{
	struct world *w = *state;

	/* KVM cuts an access that crosses into MMIO: any part of 8 bytes may be what is left. */
	for (unsigned size = 1; size <= 8; size++)
		for (unsigned write = 0; write < 2; write++) {
			uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
			const struct vcpu_io io = {.addr = 0xfec00000,
						   .count = 1,
						   .size = (uint8_t)size,
						   .write = write,
						   .mmio = true,
						   .data = data};
			struct device device = {.w = w};
			struct reply reply = {.w = w};
			struct access a;

			access_start(w, &a, &io);
			assert_true(receive(w->link[1].conn, on_request, &device) >= 0);
			assert_int_equal(device.seen.size, size);
			assert_int_equal(device.seen.addr, io.addr);
			if (write)
				assert_memory_equal(device.data, data, size);
			assert_true(receive(w->link[0].conn, on_reply, &reply) >= 0);
			pthread_join(a.thread, NULL);
			assert_int_equal(a.result, 0);
			for (unsigned i = 0; i < size && !write; i++)
				assert_int_equal(a.data[i], 0xa0 + i);
		}
}

static void what_no_vcpu_asks_for_is_refused(void **state)
{
	static const struct wire_io wrong[] = {
		{.addr = 0x60, .count = 1, .size = 0},
		{.addr = 0x60, .count = 1, .size = 3},
		{.addr = 0x60, .count = 1, .size = 8},
		{.addr = 0x60, .count = 0, .size = 1},
		{.addr = 0x10000, .count = 1, .size = 1},
		{.addr = 0x60, .count = WIRE_IO_DATA_MAX + 1, .size = 1},
		{.addr = 0x60, .count = UINT32_MAX, .size = 4},
		{.addr = 0x60, .count = 1, .size = 1, .write = 2},
		{.addr = 0x60, .count = 1, .size = 1, .mmio = 2},
		{.addr = 0x60, .count = 1, .size = 1, .reserved = 1},
		{.addr = 0xfec00000, .count = 1, .size = 9, .mmio = 1},
		{.addr = 0xfec00000, .count = 1, .size = 0, .mmio = 1},
		{.addr = 0xfec00000, .count = 2, .size = 4, .mmio = 1},
		{.addr = 0x60, .count = 1, .size = 1, .write = 1}, /* without its data */
	};
	uint8_t data[WIRE_IO_DATA_MAX];
	struct vcpu_io io;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const struct wire_hdr h = {.type = WIRE_IO_REQUEST, .len = sizeof(wrong[i])};

		assert_int_equal(forward_decode(&h, &wrong[i], data, &io), -EPROTO);
	}
}

/* ---- answers ---- */

static uint64_t start_read(struct world *w, struct access *a)
{
	uint8_t data[8] = {0};
	const struct vcpu_io io = {.addr = 0x60, .count = 1, .size = 4, .data = data};
	struct device device = {.w = w};

	access_start(w, a, &io);
	assert_true(receive(w->link[1].conn, on_request, &device) >= 0);
	return device.head.cookie;
}

static void a_wrong_answer_is_refused(void **state)
{
	struct world *w = *state;
	struct access a;
	const uint64_t cookie = start_read(w, &a);
	const struct message {
		struct wire_io head;
		uint32_t data;
	} good = {.head = {.cookie = cookie, .addr = 0x60, .count = 1, .size = 4}, .data = 7};
	struct wire_hdr h = {.type = WIRE_IO_REPLY, .len = sizeof(good.head) + 4};
	struct message bad[] = {good, good, good, good, good, good, good, good};

	bad[0].head.cookie = 0;
	bad[1].head.cookie ^= 1;
	bad[2].head.cookie |= 0xff;
	bad[3].head.cookie += 256;
	bad[4].head.count = 2;
	bad[5].head.addr = 0x61;
	bad[6].head.write = 1;
	bad[7].head.reserved = 1;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(forward_answer(&w->forward, &h, &bad[i]), -EPROTO);
	h.len = sizeof(good.head) + 3;
	assert_int_equal(forward_answer(&w->forward, &h, &good), -EPROTO);
	h.len = sizeof(good.head) + 4;
	assert_int_equal(forward_answer(&w->forward, &h, &good), 0);
	pthread_join(a.thread, NULL);
	assert_int_equal(a.result, 0);
	assert_int_equal(forward_answer(&w->forward, &h, &good), -EPROTO); /* once */
}

/* ---- the end ---- */

static void the_end_releases_a_vcpu_that_waits(void **state)
{
	struct world *w = *state;
	struct access a;

	start_read(w, &a);
	forward_cancel(&w->forward);
	pthread_join(a.thread, NULL);
	assert_int_equal(a.result, -ECANCELED);
	/* And nobody waits any more. */
	assert_int_equal(forward_io(&w->forward, 0, 3, &a.io), -ECANCELED);
}

/*
 * The vCPU that has looked, has seen no end, and only then goes to sleep: its futex call must find
 * another word. Here the call comes after the cancel for certain.
 */
static void the_end_is_not_slept_through(void **state)
{
	const struct timespec patience = {.tv_sec = 1};
	struct world *w = *state;
	struct access a;

	start_read(w, &a);
	forward_cancel(&w->forward);
	errno = 0;
	assert_int_equal(
		syscall(SYS_futex, &w->forward.slot[3], FUTEX_WAIT_PRIVATE, 0, &patience, NULL, 0),
		-1);
	assert_int_equal(errno, EAGAIN);
	pthread_join(a.thread, NULL);
	assert_int_equal(a.result, -ECANCELED);
}

static void a_late_answer_is_not_the_peers_fault(void **state)
{
	struct world *w = *state;
	struct reply reply = {.w = w};
	struct access a;

	start_read(w, &a);
	forward_cancel(&w->forward);
	pthread_join(a.thread, NULL);
	assert_true(receive(w->link[0].conn, on_reply, &reply) >= 0);
	assert_int_equal(reply.result, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(every_size_that_kvm_has_arrives),
		cmocka_unit_test(what_no_vcpu_asks_for_is_refused),
		CASE(a_wrong_answer_is_refused),
		CASE(the_end_releases_a_vcpu_that_waits),
		CASE(the_end_is_not_slept_through),
		CASE(a_late_answer_is_not_the_peers_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
