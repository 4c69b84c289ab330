/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/peer.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "wire/msg.h"

#define STREAM_PAGES 16 /* pages a system call in a stream */

/* A request and the head of its answer are as long as the header of a message. */
union head {
	struct peer_request request;
	uint8_t bytes[sizeof(struct wire_hdr)];
};
static_assert(sizeof(struct peer_request) <= sizeof(struct wire_hdr), "as long as a message");

int peer_open(const struct native_node *n, unsigned peer, uint64_t spin_ns, struct peer *ret)
{
	int fd = n->mesh.control[peer]->fd, flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	*ret = (struct peer){.fd = fd, .spin_ns = spin_ns};
	return 0;
}

static int receive(const struct peer *p, void *buf, size_t bytes)
{
	uint64_t end = p->spin_ns ? clock_now_ns() + p->spin_ns : 0;

	for (size_t got = 0; got < bytes;) {
		bool spin = p->spin_ns && clock_now_ns() < end;
		ssize_t n = recv(p->fd, (char *)buf + got, bytes - got, spin ? MSG_DONTWAIT : 0);

		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		got += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int transmit(const struct peer *p, const struct iovec *iov, unsigned n)
{
	const struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n};
	size_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	ssize_t sent = sendmsg(p->fd, &msg, MSG_NOSIGNAL); /* the socket blocks: all or an error */
	return sent < 0 ? -errno : (size_t)sent == bytes ? 0 : -EIO;
}

int peer_order(struct peer *p, const struct peer_request *request)
{
	union head head = {.request = *request};
	const struct iovec iov = {&head, sizeof(head)};

	return transmit(p, &iov, 1);
}

int peer_await(struct peer *p)
{
	union head head;

	return receive(p, &head, sizeof(head));
}

int peer_page(struct peer *p)
{
	struct {
		union head head;
		uint8_t page[PAGE_BYTES];
	} answer;
	int r = peer_order(p, &(struct peer_request){.op = PEER_PAGE});

	return r < 0 ? r : receive(p, &answer, sizeof(answer));
}

int peer_stream(struct peer *p, unsigned pages)
{
	uint8_t buf[STREAM_PAGES * PAGE_BYTES];
	int r = peer_order(p, &(struct peer_request){.op = PEER_STREAM, .count = pages});

	for (unsigned n; r == 0 && pages; pages -= n) {
		n = MIN(pages, (unsigned)STREAM_PAGES);
		r = receive(p, buf, n * PAGE_BYTES);
	}
	return r;
}

int peer_end(struct peer *p)
{
	return peer_order(p, &(struct peer_request){.op = PEER_END});
}

static int send_pages(const struct peer *p, const union head *head, unsigned pages)
{
	static const uint8_t page[STREAM_PAGES * PAGE_BYTES];
	struct iovec iov[2] = {{(void *)head, head ? sizeof(*head) : 0}, {(void *)page, 0}};
	int r = 0;

	for (unsigned n; r == 0 && pages; pages -= n) {
		n = MIN(pages, (unsigned)STREAM_PAGES);
		iov[1].iov_len = n * PAGE_BYTES;
		r = transmit(p, iov + !head, 1 + !!head);
	}
	return r;
}

int peer_serve(struct peer *p, struct native_node *n, peer_do_fn command)
{
	union head head;

	for (;;) {
		int r = receive(p, &head, sizeof(head));

		if (r < 0 || head.request.op == PEER_END)
			return r;
		if (head.request.op == PEER_PAGE) {
			r = send_pages(p, &head, 1);
		} else if (head.request.op == PEER_STREAM) {
			r = send_pages(p, NULL, head.request.count);
		} else {
			command(n, &head.request);
			r = peer_order(p, &head.request);
		}
		if (r < 0)
			return r;
	}
}
