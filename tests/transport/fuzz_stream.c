/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reassembly of a TCP stream: whatever bytes come in whatever pieces, the connection hands out
 * exactly the messages that a plain reading of the whole stream finds, and refuses where it does.
 *
 * Input: one byte of class, one of seed for the sizes of the pieces, then the stream.
 */
#include <sys/socket.h>

#include "tests/fuzz/fuzz.h"
#include "transport/tcp.h"

enum { SELF = 0, PEER = 1, EPOCH = 7 };

struct reference {
	const uint8_t *at, *end;
	enum wire_class class_;
	unsigned seen;
};

/* 1: a good message is at the front; 0: only a part of one; negative: what it may not be. */
static int reference_next(const struct reference *r, struct wire_hdr *h)
{
	if ((size_t)(r->end - r->at) < sizeof(*h))
		return 0;
	memcpy(h, r->at, sizeof(*h));
	if (h->from != PEER || h->epoch != EPOCH || h->type <= WIRE_MESHED ||
	    wire_check(h, r->class_) < 0)
		return -EBADMSG;
	return (size_t)(r->end - r->at) - sizeof(*h) >= h->len;
}

static int take(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct reference *r = ctx;
	struct wire_hdr want;

	fuzz_check(reference_next(r, &want) == 1);
	fuzz_check(memcmp(h, &want, sizeof(want)) == 0);
	fuzz_check((uintptr_t)payload % 8 == 0);
	fuzz_check(memcmp(payload, r->at + sizeof(want), want.len) == 0);
	r->at += sizeof(want) + want.len;
	r->seen++;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct conn_config cfg = {.self = SELF, .peer = PEER, .epoch = EPOCH};
	struct reference r = {data + 2, data + len, 0, 0};
	unsigned total = 0;
	struct wire_hdr h;
	struct conn *c;
	int fd[2], result = 0;

	if (len < 2)
		return 0;
	r.class_ = cfg.class_ = (enum wire_class)(data[0] % WIRE_CLASSES);
	uint64_t random = data[1] + 1;

	fuzz_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
	fuzz_check(tcp_conn_new(fd[0], &cfg, &c) == 0);
	for (size_t at = 2; at < len && result >= 0; total += MAX(result, 0)) {
		size_t piece = fuzz_random(&random) % (random % 4    ? 64
						       : random % 32 ? 9000
								     : 99000);

		piece = MIN(piece, len - at);
		if (piece)
			fuzz_check(send(fd[1], data + at, piece, 0) == (ssize_t)piece);
		at += piece;
		result = conn_ready(c, take, &r);
	}
	int rest = reference_next(&r, &h);

	fuzz_check(rest != 1);
	fuzz_check(rest == 0 ? result >= 0 : result == -EBADMSG);
	fuzz_check(result < 0 || total == r.seen);
	fuzz_check(c->received_messages == r.seen);
	/* Not by close(): that waits while anything else looks at this process's files in /proc. */
	fuzz_check(shutdown(fd[1], SHUT_RDWR) == 0);
	fuzz_check(conn_ready(c, take, &r) == (rest < 0 ? -EBADMSG : -ECONNRESET));
	conn_close(c);
	close(fd[1]);
	return 0;
}

/* A good header of some type of the class. */
static struct wire_hdr some_header(uint64_t *random, enum wire_class class_)
{
	struct wire_hdr h;

	do {
		uint64_t dice = fuzz_random(random);

		h = (struct wire_hdr){
			.type = (uint8_t)(WIRE_GETS + dice % 64),
			.flags = (uint8_t)(dice >> 8 & 7),
			.from = PEER,
			.epoch = EPOCH,
			.more = dice >> 40 & 1 ? dice >> 41 & 63 : 0,
			.addr = dice >> 16 & 1 ? (dice >> 20) * PAGE_BYTES : 0,
		};
		switch (dice >> 12 & 3) {
		case 0:
			h.len = 0;
			break;
		case 1:
			h.len = (h.more + 1u) * (uint32_t)PAGE_BYTES;
			break;
		default:
			h.len = (uint32_t)(dice >> 24) % 150;
		}
	} while (wire_check(&h, class_) < 0);
	return h;
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	enum wire_class class_ = (enum wire_class)(fuzz_random(random) % WIRE_CLASSES);
	uint64_t messages = fuzz_random(random) % 16;
	size_t len = 2;

	data[0] = (uint8_t)class_;
	data[1] = (uint8_t)fuzz_random(random);
	for (uint64_t i = 0; i < messages; i++) {
		struct wire_hdr h = some_header(random, class_);

		if (room - len < sizeof(h) + h.len)
			break;
		memcpy(data + len, &h, sizeof(h));
		memset(data + len + sizeof(h), (int)fuzz_random(random), h.len);
		len += sizeof(h) + h.len;
	}
	return len;
}
