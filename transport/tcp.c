/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages over a TCP socket.
 *
 * SENDING. While nothing is queued a message goes to the kernel at once, header and payload in one
 * sendmsg(); what the kernel does not take is copied to the queue. While something is queued
 * everything is: order is kept. conn_post() always queues. conn_flush() drains the queue.
 *
 * RECEIVING. One recv() fills a buffer of RECEIVE_BYTES; all whole messages in it are handed out
 * where they lie; the rest of a partial one moves to the front. So a small message costs one
 * system call, and so does a burst of them or of pages. A read that did not fill the buffer
 * has emptied the socket: no second call to learn EAGAIN. More that arrives meanwhile raises the
 * level-triggered poll again.
 *
 * HOSTILE PEERS. A header is checked before its length is used; a length is bounded by its type, so
 * a whole message always fits the buffer. The queue is bounded by CONN_QUEUE_MAX.
 *
 * LOST HOSTS. Keepalive probes an idle connection, TCP_USER_TIMEOUT bounds how long sent data stays
 * unacknowledged: both end in ETIMEDOUT within 5 s. The kernel counts VANISHED_MS from its first
 * retransmission and looks at it only when a timer of its own is due, so it is less than that. Note
 * that a peer whose window stays closed that long (its process does not read) counts as lost as
 * well. Socket buffers are left to the kernel's autotuning: they suit a demand page and a stream
 * better than any fixed size.
 *
 * ERRORS. Two are remembered: of sending and of receiving. A failed send does not stop receiving:
 * the peer's last words (why it stopped) may still be in the socket.
 *
 * THREADS. The owner's only; or one that receives and others that take turns to send and flush: the
 * two halves share nothing.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "transport/sendq.h"
#include "transport/tcp.h"

#define RECEIVE_BYTES  (WIRE_PAYLOAD_MAX + 64 * KIB)
#define RECEIVE_ROUNDS 4 /* buffers that one conn_ready() takes at most */
#define FLUSH_IOVECS   8
#define VANISHED_MS    3500

struct tcp_conn {
	struct conn conn;
	int send_error, receive_error;
	struct sendq queue;
	size_t received; /* bytes in `buffer` */
	uint8_t aligned[WIRE_PAYLOAD_MAX] __attribute__((aligned(64)));
	uint8_t buffer[RECEIVE_BYTES] __attribute__((aligned(64)));
};
static_assert(RECEIVE_BYTES > sizeof(struct wire_hdr) + WIRE_PAYLOAD_MAX,
	      "a partial message never fills the buffer");
static_assert(sizeof(struct tcp_conn) + SENDQ_SPARES * SENDQ_CHUNK <= CONN_BYTES, "as is said");

int tcp_tune(int fd)
{
	static const struct {
		int level, option, value;
	} options[] = {
		{IPPROTO_TCP, TCP_NODELAY, 1},
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, 1}, /* seconds */
		{IPPROTO_TCP, TCP_KEEPINTVL, 1},
		{IPPROTO_TCP, TCP_KEEPCNT, VANISHED_MS / 1000 - 1},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, VANISHED_MS},
	};
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (setsockopt(fd, options[i].level, options[i].option, &options[i].value,
			       sizeof(options[i].value)) < 0)
			return -errno;
	return 0;
}

/* Bytes the kernel took, 0 when it takes none now; negative errno. */
static ssize_t send_now(const struct tcp_conn *t, struct iovec *iov, unsigned n)
{
	const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t sent;

	do
		sent = sendmsg(t->conn.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return sent;
	return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
}

/* Queues all of header and payload but the first @skip bytes. */
static int enqueue(struct tcp_conn *t, const struct wire_hdr *h, const void *payload, size_t skip)
{
	size_t header = MIN(skip, sizeof(*h));
	int r = sendq_append(&t->queue, (const uint8_t *)h + header, sizeof(*h) - header);

	if (!r && h->len)
		r = sendq_append(&t->queue, (const uint8_t *)payload + (skip - header),
				 h->len - (skip - header));
	t->conn.queued = t->queue.bytes;
	return r;
}

/* Takes a message into the connection's care; `now`: the kernel may have it at once. */
static int accept_message(struct tcp_conn *t, const struct wire_hdr *h, const void *payload,
			  bool now)
{
	struct conn *c = &t->conn;
	size_t total = sizeof(*h) + h->len;
	ssize_t sent = 0;

	if (t->send_error)
		return t->send_error;
	if (conn_check(c, h, c->self) < 0)
		return -EINVAL;
	if (c->queued + total > CONN_QUEUE_MAX)
		return t->send_error = -ENOBUFS;
	if (now && !c->queued) {
		struct iovec iov[] = {{(void *)h, sizeof(*h)}, {(void *)payload, h->len}};

		sent = send_now(t, iov, h->len ? 2 : 1);
		if (sent < 0)
			return t->send_error = (int)sent;
	}
	if ((size_t)sent < total)
		t->send_error = enqueue(t, h, payload, (size_t)sent);
	c->sent_messages++;
	c->sent_bytes += total;
	return t->send_error;
}

static int tcp_send(struct conn *c, const struct wire_hdr *h, const void *payload)
{
	return accept_message(container_of(c, struct tcp_conn, conn), h, payload, true);
}

static int tcp_post(struct conn *c, const struct wire_hdr *h, const void *payload)
{
	return accept_message(container_of(c, struct tcp_conn, conn), h, payload, false);
}

static void flush(struct tcp_conn *t)
{
	while (!t->send_error && t->queue.bytes) {
		struct iovec iov[FLUSH_IOVECS];
		ssize_t sent = send_now(t, iov, sendq_peek(&t->queue, iov, FLUSH_IOVECS));

		if (sent < 0)
			t->send_error = (int)sent;
		if (sent <= 0)
			break;
		sendq_consume(&t->queue, (size_t)sent);
	}
	t->conn.queued = t->queue.bytes;
}

/* Hands out one message that lies whole at @at; 0 or negative error. */
static int deliver(struct tcp_conn *t, const struct wire_hdr *h, const uint8_t *payload,
		   conn_recv_fn take, void *ctx)
{
	t->conn.received_messages++;
	t->conn.received_bytes += sizeof(*h) + h->len;
	/* Behind a payload of odd length all lies askew; pages and bare headers never do. */
	if ((uintptr_t)payload % sizeof(uint64_t))
		payload = memcpy(t->aligned, payload, h->len);
	int r = take(ctx, &t->conn, h, payload);

	return MIN(r, 0);
}

/* Hands out all whole messages of the buffer; their number, or a negative error. */
static int parse(struct tcp_conn *t, conn_recv_fn take, void *ctx)
{
	size_t at = 0;
	int n = 0;

	while (t->received - at >= sizeof(struct wire_hdr)) {
		struct wire_hdr h;
		int r;

		memcpy(&h, t->buffer + at, sizeof(h));
		r = conn_check(&t->conn, &h, t->conn.peer);
		if (r < 0)
			return r;
		if (t->received - at - sizeof(h) < h.len)
			break;
		r = deliver(t, &h, t->buffer + at + sizeof(h), take, ctx);
		if (r < 0)
			return r;
		at += sizeof(h) + h.len;
		n++;
	}
	t->received -= at;
	if (at && t->received)
		memmove(t->buffer, t->buffer + at, t->received);
	return n;
}

/* Fills the buffer; 1 when there may be more, 0 when the socket is empty, negative errno. */
static int receive(struct tcp_conn *t)
{
	size_t room = sizeof(t->buffer) - t->received;
	ssize_t n;

	do
		n = recv(t->conn.fd, t->buffer + t->received, room, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	t->received += (size_t)n;
	return (size_t)n == room;
}

static int tcp_flush(struct conn *c)
{
	struct tcp_conn *t = container_of(c, struct tcp_conn, conn);

	flush(t);
	return t->send_error;
}

static int tcp_receive(struct conn *c, conn_recv_fn take, void *ctx)
{
	struct tcp_conn *t = container_of(c, struct tcp_conn, conn);
	int messages = 0, more = 1;

	for (int round = 0; round < RECEIVE_ROUNDS && more > 0 && !t->receive_error; round++) {
		more = receive(t);
		int n = more < 0 ? more : parse(t, take, ctx);

		if (n < 0)
			t->receive_error = n;
		else
			messages += n;
	}
	return t->receive_error ? t->receive_error : messages;
}

static void tcp_close(struct conn *c)
{
	struct tcp_conn *t = container_of(c, struct tcp_conn, conn);

	close(c->fd);
	sendq_free(&t->queue);
	free(t);
}

static const struct conn_ops tcp_ops = {
	.send = tcp_send,
	.post = tcp_post,
	.flush = tcp_flush,
	.receive = tcp_receive,
	.close = tcp_close,
};

int tcp_conn_new(int fd, const struct conn_config *cfg, struct conn **ret)
{
	struct tcp_conn *t = aligned_alloc(64, ALIGN_UP(sizeof(*t), 64));

	if (!t)
		return -ENOMEM;
	/* The buffers are written before they are read: what is not needed is never in memory. */
	memset(t, 0, offsetof(struct tcp_conn, aligned));
	t->conn = (struct conn){
		.ops = &tcp_ops,
		.fd = fd,
		.epoch = cfg->epoch,
		.self = cfg->self,
		.peer = cfg->peer,
		.shard = cfg->shard,
		.class_ = cfg->class_,
	};
	sendq_init(&t->queue);
	*ret = &t->conn;
	return 0;
}
