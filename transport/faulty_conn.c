/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection under the interposer.
 *
 * RECEIVING. All that the inner connection has is copied into `held`, in order, each with the time
 * when it is due, which is never before that of the one in front. conn_receive() hands out what is
 * due. An error of the inner connection waits behind the messages that came before it.
 *
 * POLLING. The owner polls an epoll set that holds the inner fd and a timer, both set by arm(): the
 * inner fd while there is something to read or a queue to flush, the timer for the first message
 * that is due. An epoll set is only ever readable, so a socket that takes bytes again is told as a
 * readable fd too: transport.h says that any event means both.
 *
 * SENDING. Goes through to the inner connection. The halves share the epoll set's word on the inner
 * fd, under a lock.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "base/clock.h"
#include "base/list.h"
#include "transport/faulty.h"

#define HELD_MAX     (1 * MIB) /* no more is read: the rest waits where it would without us */
#define RECEIVE_MOST 128

struct held {
	struct list link; /* first, so that a link is its message */
	uint64_t due;
	struct wire_hdr hdr;
	uint8_t payload[] __attribute__((aligned(8)));
};

struct faulty_conn {
	struct conn conn;
	struct conn *inner;
	struct faults faults;
	bool hit; /* by cut_at and tear_at */
	int epoll, timer;

	/* The receiving half. */
	uint64_t random_receive;
	struct list held;
	size_t held_bytes;
	uint64_t last_due, stalled_until;
	int inner_error, error; /* what the inner one said; what we have told */

	/* The sending half. */
	uint64_t random_send;
	uint64_t sends;

	/* Both, under the lock: what the epoll set watches of the inner fd. */
	pthread_mutex_t lock;
	bool reads, writes;
	uint32_t watched;
};

static struct faulty_conn *conn_of(struct conn *c)
{
	return container_of(c, struct faulty_conn, conn);
}

static bool dice(uint64_t *random, unsigned of_1000)
{
	return faulty_random(random) % 1000 < of_1000;
}

/* Tells the epoll set when one half has another mind about its direction. */
static void watch(struct faulty_conn *f, bool *direction, bool on)
{
	pthread_mutex_lock(&f->lock);
	*direction = on;
	uint32_t want = (f->reads ? EPOLLIN : 0u) | (f->writes ? EPOLLOUT : 0u);

	/* Out of the set, not only masked: an end is told whatever the mask says. */
	if (want != f->watched) {
		struct epoll_event ev = {.events = want};
		int op = !want ? EPOLL_CTL_DEL : f->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

		if (epoll_ctl(f->epoll, op, f->inner->fd, &ev) == 0)
			f->watched = want;
	}
	pthread_mutex_unlock(&f->lock);
}

/* ---- receiving ---- */

static int hold(void *ctx, struct conn *inner, const struct wire_hdr *h, const void *payload)
{
	struct faulty_conn *f = ctx;
	struct held *m = malloc(sizeof(*m) + h->len);
	uint64_t now = clock_now_ns(), due = now;

	if (!m)
		return -ENOMEM;
	if (dice(&f->random_receive, f->faults.delays))
		due += faulty_random(&f->random_receive) % (f->faults.delay_ns + 1);
	if (dice(&f->random_receive, f->faults.stalls))
		due = f->stalled_until =
			now + faulty_random(&f->random_receive) % (f->faults.stall_ns + 1);
	m->due = f->last_due = MAX(due, f->last_due);
	m->hdr = *h;
	if (h->len)
		memcpy(m->payload, payload, h->len);
	list_add_tail(&f->held, &m->link);
	f->held_bytes += sizeof(*m) + h->len;
	return 0;
}

static bool may_read(const struct faulty_conn *f, uint64_t now)
{
	return !f->inner_error && f->held_bytes < HELD_MAX && now >= f->stalled_until;
}

/* Hands out the first message. */
static int deliver(struct faulty_conn *f, struct held *m, conn_recv_fn take, void *ctx)
{
	list_del(&m->link);
	f->held_bytes -= sizeof(*m) + m->hdr.len;
	f->conn.received_messages++;
	f->conn.received_bytes += sizeof(m->hdr) + m->hdr.len;
	int r = take(ctx, &f->conn, &m->hdr, m->payload);

	free(m);
	return MIN(r, 0);
}

static int faulty_receive(struct conn *c, conn_recv_fn take, void *ctx)
{
	struct faulty_conn *f = conn_of(c);
	uint64_t now = clock_now_ns();
	int n = 0;

	if (f->error)
		return f->error;
	if (may_read(f, now)) {
		int r = conn_receive(f->inner, hold, f);

		f->inner_error = MIN(r, 0);
		now = clock_now_ns();
	}
	while (n < RECEIVE_MOST && !list_empty(&f->held)) {
		struct held *m = container_of(list_first(&f->held), struct held, link);

		if (m->due > now)
			return n;
		f->error = deliver(f, m, take, ctx);
		if (f->error)
			return f->error;
		n++;
	}
	if (n == 0 && list_empty(&f->held))
		f->error = f->inner_error;
	return f->error ? f->error : n;
}

static int faulty_arm(struct conn *c)
{
	struct faulty_conn *f = conn_of(c);
	uint64_t now = clock_now_ns(), alarm = UINT64_MAX;
	struct itimerspec at = {0};

	if (f->error || (f->inner_error && list_empty(&f->held)))
		return 1;
	if (!list_empty(&f->held))
		alarm = container_of(list_first(&f->held), struct held, link)->due;
	if (now < f->stalled_until)
		alarm = MIN(alarm, f->stalled_until);
	if (alarm <= now || (may_read(f, now) && conn_arm(f->inner) > 0))
		return 1;
	watch(f, &f->reads, may_read(f, now));
	if (alarm != UINT64_MAX) {
		at.it_value.tv_sec = (time_t)(alarm / NSEC_PER_SEC);
		at.it_value.tv_nsec = (long)(alarm % NSEC_PER_SEC);
	}
	/* Cannot fail; setting it also forgets that it has rung. */
	(void)timerfd_settime(f->timer, TFD_TIMER_ABSTIME, &at, NULL);
	return 0;
}

/* ---- sending ---- */

static int sent(struct faulty_conn *f, int r)
{
	const struct conn *inner = f->inner;
	struct conn *c = &f->conn;

	c->queued = inner->queued;
	c->sent_messages = inner->sent_messages;
	c->sent_bytes = inner->sent_bytes;
	if (f->writes != (r == 0 && c->queued > 0))
		watch(f, &f->writes, r == 0 && c->queued > 0);
	return r;
}

/* Sends a part of the message, and no more ever. */
static void tear(struct faulty_conn *f, const struct wire_hdr *h, const void *payload)
{
	size_t len = 1 + faulty_random(&f->random_send) % (sizeof(*h) + h->len - 1);
	size_t head = MIN(len, sizeof(*h));
	struct iovec iov[] = {{(void *)h, head}, {(void *)payload, len - head}};
	const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = len > head ? 2 : 1};

	/* What does not go out, or waits in the queue: then it is torn there. */
	if (conn_flush(f->inner) == 0 && conn_queued(f->inner) == 0)
		(void)sendmsg(f->inner->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* As a cable is cut: the sender learns it later. Return: was it? */
static bool ended(struct faulty_conn *f, const struct wire_hdr *h, const void *payload)
{
	f->sends++;
	if (!f->hit || (f->sends != f->faults.cut_at && f->sends != f->faults.tear_at))
		return false;
	if (f->sends == f->faults.tear_at)
		tear(f, h, payload);
	shutdown(f->inner->fd, SHUT_RDWR);
	return true;
}

static int faulty_post(struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct faulty_conn *f = conn_of(c);

	if (conn_check(c, h, c->self) < 0)
		return -EINVAL;
	return ended(f, h, payload) ? 0 : sent(f, conn_post(f->inner, h, payload));
}

static int faulty_send(struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct faulty_conn *f = conn_of(c);

	if (dice(&f->random_send, f->faults.queues))
		return faulty_post(c, h, payload);
	if (conn_check(c, h, c->self) < 0)
		return -EINVAL;
	return ended(f, h, payload) ? 0 : sent(f, conn_send(f->inner, h, payload));
}

static int faulty_flush(struct conn *c)
{
	struct faulty_conn *f = conn_of(c);

	return sent(f, conn_flush(f->inner));
}

static void faulty_close(struct conn *c)
{
	struct faulty_conn *f = conn_of(c);

	list_for_each_safe (link, &f->held)
		free(container_of(link, struct held, link));
	conn_close(f->inner);
	closep(&f->epoll);
	closep(&f->timer);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static const struct conn_ops faulty_conn_ops = {
	.send = faulty_send,
	.post = faulty_post,
	.flush = faulty_flush,
	.receive = faulty_receive,
	.arm = faulty_arm,
	.close = faulty_close,
};

/* Each direction of each connection has a sequence of its own. */
static uint64_t seed_of(const struct conn *c, uint64_t seed, unsigned half)
{
	uint64_t state = seed ^ ((uint64_t)c->self << 48 | (uint64_t)c->peer << 32 |
				 (uint64_t)c->shard << 16 | (uint64_t)c->class_ << 8 | half);

	return faulty_random(&state);
}

int faulty_conn_new(const struct faults *faults, struct conn *inner, struct conn **ret)
{
	const struct conn_config cfg = {.self = inner->self,
					.peer = inner->peer,
					.shard = inner->shard,
					.class_ = inner->class_,
					.epoch = inner->epoch};
	_cleanup_close_ int epoll = epoll_create1(EPOLL_CLOEXEC);
	_cleanup_close_ int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	struct faulty_conn *f;

	if (epoll < 0 || timer < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &(struct epoll_event){.events = EPOLLIN}) < 0)
		return -errno;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->inner = inner;
	f->faults = *faults;
	f->hit = !faults->hits || faults->hits(faults->ctx, &cfg);
	f->random_receive = seed_of(inner, faults->seed, 0);
	f->random_send = seed_of(inner, faults->seed, 1);
	list_init(&f->held);
	pthread_mutex_init(&f->lock, NULL);
	f->epoll = TAKE_FD(epoll);
	f->timer = TAKE_FD(timer);
	f->conn = (struct conn){
		.ops = &faulty_conn_ops,
		.fd = f->epoll,
		.epoch = cfg.epoch,
		.self = cfg.self,
		.peer = cfg.peer,
		.shard = cfg.shard,
		.class_ = cfg.class_,
	};
	watch(f, &f->reads, true);
	*ret = &f->conn;
	return 0;
}
