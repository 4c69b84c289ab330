/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign text, addresses and sizes: what comes out obeys what their headers say. */
#include "base/address.h"
#include "base/size.h"
#include "base/text.h"
#include "tests/fuzz/fuzz.h"

static void try_text(const char *text, size_t len, size_t room)
{
	char once[64], twice[64];

	text_clean(text, len, once, room);
	fuzz_check(strlen(once) < room && strlen(once) <= len);
	for (const char *p = once; *p; p++)
		fuzz_check((unsigned char)*p >= 0x20 && *p != 0x7f);
	text_clean(once, strlen(once), twice, sizeof(twice));
	fuzz_check(strcmp(once, twice) == 0);
}

static void try_address(const char *text)
{
	char host[24], again[24], whole[64];
	uint16_t port, same;

	if (address_split(text, host, sizeof(host), &port) < 0)
		return;
	fuzz_check(host[0] && host[0] != '-' && !strpbrk(host, " \t\n'\"$`\\/[]"));
	snprintf(whole, sizeof(whole), strpbrk(host, ":%") ? "[%s]:%u" : "%s:%u", host, port);
	fuzz_check(address_split(whole, again, sizeof(again), &same) == 0);
	fuzz_check(strcmp(host, again) == 0 && port == same);
}

static void try_size(const char *text)
{
	char written[32];
	uint64_t size, again;

	if (size_parse(text, &size) < 0)
		return;
	fuzz_check(size_parse(size_format(size, written, sizeof(written)), &again) == 0);
	fuzz_check(size == again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const size_t room = len ? data[0] % 63 + 1u : 1;
	_cleanup_free_ char *text = malloc(len + 1);

	fuzz_check(text);
	memcpy(text, data, len);
	text[len] = '\0';
	try_text(text, len, room);
	try_address(text);
	try_size(text);
	return 0;
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	static const char parts[] = "host.example-1_x:50051[fe80::1%eth0]0123456789KMGTiB \303\244";
	size_t len = MIN((size_t)(fuzz_random(random) % 32), room);

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)parts[fuzz_random(random) % (sizeof(parts) - 1)];
	if (len && fuzz_random(random) % 4 == 0)
		data[fuzz_random(random) % len] = (uint8_t)fuzz_random(random);
	return len;
}
