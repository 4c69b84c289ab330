/* SPDX-License-Identifier: Apache-2.0 */
/* A node's part in the greeting, played by hand on raw sockets. */
#ifndef SSIHV_TESTS_TRANSPORT_GREET_H
#define SSIHV_TESTS_TRANSPORT_GREET_H

#include <poll.h>

#include "tests/transport/cluster.h"
#include "tests/transport/loopback.h"
#include "transport/hello.h"

#define SLOTS (2 + SHARDS)

static inline void send_all(int fd, const void *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

static inline struct wire_hello hello_of(uint16_t from, uint16_t to)
{
	return (struct wire_hello){
		.magic = WIRE_MAGIC,
		.version = wire_version(),
		.config = CONFIG,
		.from = from,
		.to = to,
		.class_ = WIRE_CLASS_EVENT,
		.epoch = EPOCH,
		.instance = 1,
	};
}

/* Connects to node @to and says @hello. */
static inline int say_hello(const struct cluster *c, unsigned to, const struct wire_hello *hello)
{
	uint8_t bytes[HELLO_BYTES];
	int fd = loopback_connect(node_port(c, to));

	hello_encode(hello, bytes);
	send_all(fd, bytes, sizeof(bytes));
	return fd;
}

/* Reads the greeting that must come. */
static inline void read_greeting(int fd, struct greeting *g)
{
	ssize_t missing;

	*g = (struct greeting){0};
	while ((missing = greeting_missing(g)) > 0) {
		ssize_t n = recv(fd, g->bytes + g->got, (size_t)missing, 0);

		assert_true(n > 0);
		g->got += (size_t)n;
	}
	assert_int_equal(missing, 0);
}

static inline struct wire_hello read_hello(int fd)
{
	struct wire_hello hello;
	struct greeting g;

	read_greeting(fd, &g);
	assert_int_equal(greeting_hello(&g, &hello), 0);
	return hello;
}

/* Reads the refusal that must come, and the end. @busy: it may fit later. */
static inline void expect_refusal(int fd, bool busy, const char *words)
{
	char text[WIRE_TEXT_MAX + 1];
	struct greeting g;

	read_greeting(fd, &g);
	assert_int_equal(greeting_refusal(&g, text), busy ? -EAGAIN : 0);
	print_message("# %s\n", text);
	assert_non_null(strstr(text, words));
	assert_int_equal(recv(fd, text, sizeof(text), 0), 0);
	close(fd);
}

/* An end or a reset, but no answer. */
static inline void expect_dropped(int fd)
{
	char byte;

	assert_true(recv(fd, &byte, 1, 0) <= 0);
	close(fd);
}

/* A node's ends of its connections to the node under test: control, event, pages. */
struct ends {
	int fd[SLOTS];
};

static inline unsigned slot_number(const struct wire_hello *h)
{
	unsigned n = h->class_ == WIRE_CLASS_PAGE ? 2u + h->shard : h->class_;

	assert_true(n < SLOTS);
	return n;
}

/* Takes the next connection that comes to node @self, and its hello. */
static inline int take_dialler(const struct cluster *c, unsigned self, struct wire_hello *hello)
{
	struct pollfd p = {.fd = c->node[self].cfg.listener->fd, .events = POLLIN};
	int fd;

	assert_int_equal(poll(&p, 1, PATIENCE), 1);
	fd = accept(p.fd, NULL, NULL);
	assert_true(fd >= 0);
	*hello = read_hello(fd);
	return fd;
}

static inline void answer_hello(int fd, const struct wire_hello *hello, uint32_t instance)
{
	struct wire_hello ours = *hello;
	uint8_t bytes[HELLO_BYTES];

	ours.from = hello->to;
	ours.to = hello->from;
	ours.instance = instance;
	hello_encode(&ours, bytes);
	send_all(fd, bytes, sizeof(bytes));
}

/* As node @self: all connections that its peer dials. */
static inline struct ends answer_all(const struct cluster *c, unsigned self, uint32_t instance)
{
	struct ends e;

	for (unsigned i = 0; i < SLOTS; i++) {
		struct wire_hello hello;
		int fd = take_dialler(c, self, &hello);

		answer_hello(fd, &hello, instance);
		e.fd[slot_number(&hello)] = fd;
	}
	return e;
}

static inline struct wire_hello slot_hello_of(uint16_t from, uint16_t to, unsigned slot,
					      uint32_t instance)
{
	struct wire_hello h = hello_of(from, to);

	h.class_ = (uint16_t)MIN(slot, 2u);
	h.shard = (uint16_t)(slot < 2 ? 0 : slot - 2);
	h.instance = instance;
	return h;
}

/* As node @self: dials all connections to node @to, and is welcome. */
static inline struct ends dial_all(const struct cluster *c, unsigned self, unsigned to,
				   uint32_t instance)
{
	struct ends e;

	for (unsigned i = 0; i < SLOTS; i++) {
		struct wire_hello h = slot_hello_of((uint16_t)self, (uint16_t)to, i, instance);

		e.fd[i] = say_hello(c, to, &h);
		h = read_hello(e.fd[i]);
		assert_int_equal(h.from, to);
		assert_int_equal(slot_number(&h), i);
	}
	return e;
}

static inline void say_meshed(const struct ends *e, uint16_t self)
{
	struct wire_hdr h = hello_meshed(self, EPOCH);

	send_all(e->fd[WIRE_CLASS_CONTROL], &h, sizeof(h));
}

static inline void read_meshed(const struct ends *e, uint16_t from)
{
	struct greeting g;

	read_greeting(e->fd[WIRE_CLASS_CONTROL], &g);
	assert_true(greeting_meshed(&g, from, EPOCH));
}

static inline void ends_close(const struct ends *e)
{
	for (unsigned i = 0; i < SLOTS; i++)
		close(e->fd[i]);
}

/* All of them have been closed by the peer. */
static inline void expect_all_closed(const struct ends *e)
{
	for (unsigned i = 0; i < SLOTS; i++)
		expect_dropped(e->fd[i]);
}

#endif
