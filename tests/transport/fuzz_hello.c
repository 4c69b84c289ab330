/* SPDX-License-Identifier: Apache-2.0 */
/* The greeting of an unknown peer, read in pieces as the socket reader does. */
#include "tests/fuzz/fuzz.h"
#include "transport/hello.h"

static struct wire_hello our_hello(void)
{
	return (struct wire_hello){.magic = WIRE_MAGIC,
				   .version = wire_version(),
				   .config = 1,
				   .from = 1,
				   .to = 2,
				   .epoch = 3};
}

static void judge(const struct greeting *g)
{
	const struct wire_hello ours = our_hello();
	struct wire_hello hello = {0};
	char text[WIRE_TEXT_MAX + 1];
	struct err why;
	int r = greeting_hello(g, &hello);

	fuzz_check(r == 0 || r == -EPROTO || r == -EBADMSG);
	if (r == 0) {
		fuzz_check(hello.magic == WIRE_MAGIC && hello.version == wire_version());
		fuzz_check(hello.from < MAX_NODES && hello.class_ < WIRE_CLASSES);
	}
	if (r == -EPROTO)
		fuzz_check(hello_compare(&ours, &hello, "a", "b", &why) == -EPROTO);
	if (r == 0 && hello_compare(&ours, &hello, "a", "b", &why) == 0)
		fuzz_check(hello.config == 1 && hello.to == 1 && hello.epoch == 3);
	if (greeting_meshed(g, 2, 3))
		fuzz_check(r == -EBADMSG && g->got == sizeof(struct wire_hdr));
	if (greeting_refusal(g, text) != -EBADMSG) {
		fuzz_check(r == -EBADMSG && !greeting_meshed(g, 2, 3));
		fuzz_check(strnlen(text, sizeof(text)) < sizeof(text));
		for (const char *c = text; *c; c++)
			fuzz_check((uint8_t)*c >= ' ' && *c != 0x7f);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct greeting g = {0};

	for (;;) {
		ssize_t missing = greeting_missing(&g);

		if (missing == 0)
			judge(&g);
		if (missing <= 0)
			return 0;
		fuzz_check((size_t)missing <= sizeof(g.bytes) - g.got);
		size_t n = MIN((size_t)missing, len);

		if (n == 0)
			return 0;
		n = (n + 1) / 2;
		memcpy(g.bytes + g.got, data, n);
		g.got += n;
		data += n;
		len -= n;
	}
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	struct wire_hello hello = our_hello();

	if (fuzz_random(random) % 4 == 0) {
		const struct wire_hdr meshed = hello_meshed(2, 3);

		memcpy(data, &meshed, sizeof(meshed));
		return sizeof(meshed);
	}
	if (fuzz_random(random) % 2)
		return hello_refuse(1, 3, fuzz_random(random) & 1, "it has another configuration",
				    data);
	hello.from = 2;
	hello.to = (uint16_t)(fuzz_random(random) % 2);
	hello.version += (uint32_t)(fuzz_random(random) % 2);
	hello_encode(&hello, data);
	return HELLO_BYTES;
}
