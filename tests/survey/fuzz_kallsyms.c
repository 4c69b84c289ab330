/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel's image in which anything may be where its symbols would be: they are found, or not, and
 * what is found is a list that can be shown.
 *
 * Input: which order of tables, how much of the image there is, then changes of a good one: where
 * (of some table), what.
 */
#include "survey/kallsyms.h"
#include "tests/fuzz/fuzz.h"
#include "tests/survey/tables.h"

#define LEN   (48 * 1024u)
#define COUNT 1000u
#define VA    UINT64_C(0xffffffff81000000)

static void make(uint8_t *image, struct made_tables *t)
{
	struct made_symbol symbol[COUNT];

	for (uint32_t i = 0; i < COUNT; i++)
		symbol[i] = (struct made_symbol){VA + 64 + i, i & 1 ? "Dkernel_x" : "tabc_"};
	t->va = VA;
	t->base = VA;
	make_tables(image, 64, symbol, COUNT, t);
	fuzz_check(t->end < LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_input in = fuzz_input(data, len);
	_cleanup_free_ uint8_t *image = calloc(1, LEN);
	struct made_tables t = {.order = (unsigned)fuzz_take(&in, 1) % 3,
				.with_seqs = fuzz_take(&in, 1) & 1};
	size_t cut = fuzz_take(&in, 2);
	struct symbols s = {0};

	fuzz_check(image);
	make(image, &t);
	const size_t table[] = {t.token,   t.index,   t.count,	 t.names,
				t.markers, t.offsets, t.base_at, t.end};
	while (fuzz_left(&in)) {
		size_t at = table[fuzz_take(&in, 1) % ARRAY_SIZE(table)] + fuzz_take(&in, 2) % 1024;
		image[at % LEN] = (uint8_t)fuzz_take(&in, 1);
	}
	/* An exact copy, so that a sanitizer sees the first byte behind it. */
	size_t most = t.end - cut % (t.end / 2);
	_cleanup_free_ uint8_t *exact = malloc(most);
	fuzz_check(exact);
	memcpy(exact, image, most);
	if (kallsyms_read(exact, most, VA, &s) == 0) {
		for (size_t i = 0; i < s.count; i++) {
			fuzz_check(!i || s.symbol[i].addr >= s.symbol[i - 1].addr);
			fuzz_check(s.names[s.symbol[i].name]);
		}
		fuzz_check(s.count <= SYMBOLS_MOST);
	}
	symbols_free(&s);
	return 0;
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	size_t len = 4;

	fuzz_noise(random, data, 2);
	data[2] = data[3] = 0; /* all of it */
	for (uint64_t changes = fuzz_random(random) % 4; changes; changes--) {
		data[len] = (uint8_t)fuzz_random(random);
		data[len + 1] = (uint8_t)fuzz_random(random);
		data[len + 2] = 0; /* near the beginning of a table */
		data[len + 3] = (uint8_t)fuzz_random(random);
		len += 4;
	}
	return len;
}
