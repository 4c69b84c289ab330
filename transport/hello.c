/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/hello.h"

#include "base/text.h"

void hello_encode(const struct wire_hello *hello, uint8_t ret[HELLO_BYTES])
{
	const struct wire_hdr h = {
		.len = sizeof(*hello),
		.type = WIRE_HELLO,
		.from = (uint8_t)hello->from,
		.epoch = hello->epoch,
	};

	memcpy(ret, &h, sizeof(h));
	memcpy(ret + sizeof(h), hello, sizeof(*hello));
}

size_t hello_refuse(uint16_t self, uint32_t epoch, bool busy, const char *text,
		    uint8_t ret[sizeof(struct wire_hdr) + WIRE_TEXT_MAX])
{
	const struct wire_hdr h = {
		.len = (uint32_t)strnlen(text, WIRE_TEXT_MAX),
		.type = WIRE_REFUSE,
		.flags = busy,
		.from = (uint8_t)self,
		.epoch = epoch,
	};

	memcpy(ret, &h, sizeof(h));
	memcpy(ret + sizeof(h), text, h.len);
	return sizeof(h) + h.len;
}

static struct wire_hdr header_of(const struct greeting *g)
{
	struct wire_hdr h;

	memcpy(&h, g->bytes, sizeof(h));
	return h;
}

ssize_t greeting_missing(const struct greeting *g)
{
	struct wire_hdr h = header_of(g);

	/* As early as that, since another program may say less than a header, and wait. */
	if (g->got > offsetof(struct wire_hdr, type) &&
	    (h.type < WIRE_HELLO || h.type > WIRE_MESHED))
		return -EBADMSG;
	if (g->got < sizeof(h))
		return (ssize_t)(sizeof(h) - g->got);
	if (h.type == WIRE_MESHED)
		return h.len ? -EBADMSG : 0;
	/* Not yet the length of this version's hello: another version's may differ. */
	if (h.len == 0 || h.len > sizeof(g->bytes) - sizeof(h))
		return -EBADMSG;
	return (ssize_t)(sizeof(h) + h.len - g->got);
}

int greeting_hello(const struct greeting *g, struct wire_hello *ret)
{
	struct wire_hdr h = header_of(g);
	struct wire_hello hello = {0};

	if (h.type != WIRE_HELLO || h.len < offsetof(struct wire_hello, config))
		return -EBADMSG;
	memcpy(&hello, g->bytes + sizeof(h), MIN(h.len, sizeof(hello)));
	if (hello.magic != WIRE_MAGIC)
		return -EBADMSG;
	if (hello.version != wire_version()) {
		*ret = (struct wire_hello){
			.magic = hello.magic,
			.version = hello.version,
			.from = h.from,
		};
		return -EPROTO;
	}
	if (wire_check(&h, WIRE_CLASS_CONTROL) < 0 || hello.from != h.from ||
	    hello.epoch != h.epoch || hello.class_ >= WIRE_CLASSES)
		return -EBADMSG;
	*ret = hello;
	return 0;
}

int greeting_refusal(const struct greeting *g, char ret[WIRE_TEXT_MAX + 1])
{
	struct wire_hdr h = header_of(g);

	if (h.type != WIRE_REFUSE || wire_check(&h, WIRE_CLASS_CONTROL) < 0)
		return -EBADMSG;
	/* It goes to a terminal: no control characters from another machine. */
	text_clean((const char *)g->bytes + sizeof(h), h.len, ret, WIRE_TEXT_MAX + 1);
	return h.flags ? -EAGAIN : 0;
}

struct wire_hdr hello_meshed(uint16_t self, uint32_t epoch)
{
	return (struct wire_hdr){.type = WIRE_MESHED, .from = (uint8_t)self, .epoch = epoch};
}

bool greeting_meshed(const struct greeting *g, uint16_t from, uint32_t epoch)
{
	struct wire_hdr h = header_of(g);

	return h.type == WIRE_MESHED && h.from == from && h.epoch == epoch &&
	       wire_check(&h, WIRE_CLASS_CONTROL) == 0;
}

int hello_compare(const struct wire_hello *ours, const struct wire_hello *theirs,
		  const char *our_name, const char *their_name, struct err *why)
{
	if (theirs->version != ours->version)
		return err_set(why, -EPROTO,
			       "%s speaks version %08x of the protocol, %s speaks version %08x: "
			       "install the same release on both",
			       our_name, ours->version, their_name, theirs->version);
	if (theirs->config != ours->config)
		return err_set(why, -EPROTO,
			       "%s and %s have different cluster configurations: run both with the "
			       "same file",
			       our_name, their_name);
	if (theirs->epoch != ours->epoch)
		return err_set(why, -EPROTO,
			       "%s is in epoch %u of the cluster, %s in epoch %u: stop the older "
			       "run first",
			       our_name, ours->epoch, their_name, theirs->epoch);
	if (theirs->to != ours->from)
		return err_set(
			why, -EPROTO,
			"%s runs as node %u at this address, but %s looks for node %u there: "
			"check the addresses in the cluster file and who runs as which node",
			our_name, ours->from, their_name, theirs->to);
	return 0;
}
