/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The greeting that opens every connection, as pure functions over bytes.
 *
 * The connector sends its hello; the acceptor answers with its own, or with WIRE_REFUSE and a line
 * that says why, and closes. Both look at the other's hello with hello_compare(), whose line reads
 * right on either side because it names both nodes. On control WIRE_MESHED follows, both ways, when
 * all connections are up (slots.h). Exactly the greeting's bytes are read from a socket, so that
 * messages behind it stay there for the connection.
 *
 * Versions: what is laid out alike in all of them is said at WIRE_HELLO.
 */
#ifndef SSIHV_TRANSPORT_HELLO_H
#define SSIHV_TRANSPORT_HELLO_H

#include "base/err.h"
#include "wire/msg.h"

#define HELLO_BYTES (sizeof(struct wire_hdr) + sizeof(struct wire_hello))

/* A greeting while it arrives. Zeroed at the start. */
struct greeting {
	size_t got;
	uint8_t bytes[sizeof(struct wire_hdr) + WIRE_TEXT_MAX];
};

/** hello_encode() - header and payload that say @hello. */
void hello_encode(const struct wire_hello *hello, uint8_t ret[HELLO_BYTES]);

/**
 * hello_refuse() - header and payload that refuse with @text, cut to fit
 * @busy: it may fit later
 *
 * Return: their length.
 */
size_t hello_refuse(uint16_t self, uint32_t epoch, bool busy, const char *text,
		    uint8_t ret[sizeof(struct wire_hdr) + WIRE_TEXT_MAX]);

/**
 * greeting_missing() - how many bytes to read next
 *
 * Return: bytes, never more than `bytes` has room for; 0: complete; -EBADMSG: this is no greeting.
 */
ssize_t greeting_missing(const struct greeting *g);

/**
 * greeting_hello() - the hello in a complete greeting
 *
 * Return: 0; -EPROTO when it is of another version: then only `magic`, `version` and `from` of
 * *@ret are set, the rest is 0; -EBADMSG when it is none.
 */
int greeting_hello(const struct greeting *g, struct wire_hello *ret);

/**
 * greeting_refusal() - the text of a complete greeting that refuses, printable whatever was sent
 *
 * Return: 0; -EAGAIN when it may fit later; -EBADMSG when it is no refusal.
 */
int greeting_refusal(const struct greeting *g, char ret[WIRE_TEXT_MAX + 1]);

/** hello_meshed() - the header that says WIRE_MESHED. */
struct wire_hdr hello_meshed(uint16_t self, uint32_t epoch);

/** greeting_meshed() - is a complete greeting the WIRE_MESHED of node @from? */
bool greeting_meshed(const struct greeting *g, uint16_t from, uint32_t epoch);

/**
 * hello_compare() - do both sides belong to the same run of the same cluster?
 * @ours, @theirs: hellos; of @ours version, config, epoch and from are looked at
 * @our_name, @their_name: for @why
 *
 * Return: 0; -EPROTO with @why.
 */
int hello_compare(const struct wire_hello *ours, const struct wire_hello *theirs,
		  const char *our_name, const char *their_name, struct err *why);

#endif
