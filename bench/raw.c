/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/raw.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "wire/msg.h"

#define ANSWER_BYTES (sizeof(struct wire_hdr) + PAGE_BYTES)

int raw_open(int fd, uint64_t spin_ns, struct raw *ret)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		return -errno;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
		close(epoll);
		return -errno;
	}
	*ret = (struct raw){.fd = fd, .epoll = epoll, .spin_ns = spin_ns};
	return 0;
}

void raw_close(struct raw *r)
{
	close(r->epoll);
}

static int wait_readable(const struct raw *r, uint64_t spin_ns)
{
	struct epoll_event ev;
	int n = 0;

	if (spin_ns) {
		uint64_t end = clock_now_ns() + spin_ns;
		do
			n = epoll_wait(r->epoll, &ev, 1, 0);
		while (n == 0 && clock_now_ns() < end);
	}
	if (n == 0)
		n = epoll_wait(r->epoll, &ev, 1, -1);
	return n < 0 && errno != EINTR ? -errno : 0;
}

static int receive(const struct raw *r, void *buf, size_t bytes, uint64_t spin_ns)
{
	for (size_t got = 0; got < bytes;) {
		int w = wait_readable(r, spin_ns);
		if (w < 0)
			return w;
		ssize_t n = recv(r->fd, (char *)buf + got, bytes - got, MSG_DONTWAIT);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		got += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* One message at a time is under way, so the socket's buffer always has room for it. */
static int transmit(const struct raw *r, const struct wire_hdr *h, const void *page)
{
	struct iovec iov[] = {{(void *)h, sizeof(*h)}, {(void *)page, page ? PAGE_BYTES : 0}};
	const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = page ? 2 : 1};
	ssize_t n = sendmsg(r->fd, &msg, MSG_NOSIGNAL);

	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(*h) + (page ? PAGE_BYTES : 0) ? 0 : -EIO;
}

int raw_ask(struct raw *r)
{
	const struct wire_hdr request = {.type = WIRE_GETS};
	uint8_t answer[ANSWER_BYTES];
	int n = transmit(r, &request, NULL);

	return n < 0 ? n : receive(r, answer, sizeof(answer), r->spin_ns);
}

int raw_end(struct raw *r)
{
	const struct wire_hdr end = {.type = WIRE_STOP};

	return transmit(r, &end, NULL);
}

int raw_serve(struct raw *r)
{
	static const uint8_t page[PAGE_BYTES];
	struct wire_hdr request;
	int n;

	for (;;) {
		n = receive(r, &request, sizeof(request), 0);
		if (n < 0 || request.type == WIRE_STOP)
			return n;
		n = transmit(r, &request, page);
		if (n < 0)
			return n;
	}
}
