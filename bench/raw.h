/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The yardstick: a request of 32 bytes is answered with 32 + 4096 bytes over a TCP socket, by the
 * plainest loop there is. It waits as the pager does: epoll, polled for at most spin_ns while an
 * answer is due and then asleep; one recv() and one send() a message.
 */
#ifndef SSIHV_BENCH_RAW_H
#define SSIHV_BENCH_RAW_H

#include "base/base.h"

struct raw {
	int fd, epoll;
	uint64_t spin_ns;
};

/** raw_open() - over the connected, non-blocking socket @fd, which stays the caller's. */
int raw_open(int fd, uint64_t spin_ns, struct raw *ret);
void raw_close(struct raw *r);

/** raw_ask() - one request and its answer. Return: 0 or negative errno. */
int raw_ask(struct raw *r);

/** raw_end() - tell the server to return. */
int raw_end(struct raw *r);

/** raw_serve() - answer until told to end. Return: 0 or negative errno. */
int raw_serve(struct raw *r);

#endif
