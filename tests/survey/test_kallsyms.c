/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that a kernel carries: each order, each byte of them damaged. */
#include "survey/kallsyms.h"
#include "tests/check.h"
#include "tests/survey/tables.h"

#define VA    UINT64_C(0xffffffff81000000)
#define LEN   (256 * 1024u)
#define AT    4096u
#define COUNT 1500u

struct made {
	uint8_t image[LEN];
	struct made_symbol symbol[COUNT];
	char name[COUNT][40];
	char longest[SYMBOL_NAME + 2];
	struct made_tables tables;
};

/* Three per-CPU variables, then text. */
static struct made *make(unsigned order, bool with_seqs)
{
	struct made *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->tables = (struct made_tables){order, with_seqs, VA, VA + 0x1000};
	for (uint32_t i = 0; i < COUNT; i++) {
		uint64_t addr = i < 3 && order < 2 ? i * 0x40 : VA + 0x1000 + (i & ~1u) * 0x10;
		snprintf(m->name[i], sizeof(m->name[i]), "Tkernel_function_%u", i);
		m->symbol[i] = (struct made_symbol){addr, m->name[i]};
	}
	memset(m->longest, 'l', SYMBOL_NAME + 1);
	m->symbol[7].name = m->longest;
	make_tables(m->image, AT, m->symbol, COUNT, &m->tables);
	assert_true(m->tables.end < LEN);
	return m;
}

static void each_order(void **state)
{
	for (unsigned i = 0; i < 6; i++) {
		struct made *m = make(i / 2, i & 1);
		struct symbols s = {0};

		assert_int_equal(kallsyms_read(m->image, LEN, VA, &s), 0);
		assert_int_equal(s.count, COUNT);
		for (uint32_t k = 0; k < COUNT; k++) {
			assert_int_equal(s.symbol[k].addr, m->symbol[k].addr);
			assert_int_equal(s.symbol[k].type, m->symbol[k].name[0]);
			assert_string_equal(s.names + s.symbol[k].name, m->symbol[k].name + 1);
		}
		symbols_free(&s);
		free(m);
	}
}

/* A kernel that has moved has moved the base, and its symbols with it. */
static void a_kernel_that_moved(void **state)
{
	struct made *m = make(0, true);
	struct symbols s = {0};
	uint64_t base = m->tables.base + 0x1c000000, addr;

	memcpy(m->image + m->tables.base_at, &base, sizeof(base));
	assert_int_equal(kallsyms_read(m->image, LEN, VA + 0x1c000000, &s), 0);
	assert_true(symbols_find(&s, "kernel_function_9", &addr));
	assert_int_equal(addr, m->symbol[9].addr + 0x1c000000);
	assert_true(symbols_find(&s, "kernel_function_1", &addr));
	assert_int_equal(addr, 0x40);
	symbols_free(&s);
	free(m);
}

static void check_damaged(struct made *m, size_t at)
{
	struct symbols s = {0};

	m->image[at] ^= 0x55;
	assert_int_equal(kallsyms_read(m->image, LEN, VA, &s), -ENOENT);
	m->image[at] ^= 0x55;
}

static void damage_is_noticed(void **state)
{
	for (unsigned order = 0; order < 2; order++) {
		struct made *m = make(order, order);
		const struct made_tables *t = &m->tables;
		struct symbols s = {0};

		check_damaged(m, t->index);
		check_damaged(m, t->index + 2 * 77);
		check_damaged(m, t->index + 2 * 255);
		check_damaged(m, t->token + 1);
		check_damaged(m, t->count);
		check_damaged(m, t->count + 7);
		check_damaged(m, t->names); /* the first name's length */
		check_damaged(m, t->markers);
		check_damaged(m, t->markers + 4);
		check_damaged(m, t->markers + 4 * (COUNT / 256));
		check_damaged(m, t->base_at + 7);
		check_damaged(m, t->offsets + 4 * 9 + 2); /* addresses that go back */
		/* And at each cut. */
		for (size_t len = 0; len < t->end; len += len < AT ? 1024 : 97)
			assert_int_equal(kallsyms_read(m->image, len, VA, &s), -ENOENT);
		assert_int_equal(kallsyms_read(m->image, t->end, VA, &s), 0);
		symbols_free(&s);
		free(m);
	}
}

/* A name is what a terminal may be shown. */
static void names_that_are_none(void **state)
{
	struct made *m = make(0, false);
	struct symbols s = {0};

	m->image[m->tables.token + 1 + 1] = '\x1b'; /* in "kern", which all names but one have */
	assert_int_equal(kallsyms_read(m->image, LEN, VA, &s), 0);
	assert_int_equal(s.count, 1);
	symbols_free(&s);
	free(m);
}

/* Where there is nothing else, looking ends. */
static void nothing_there(void **state)
{
	static const uint8_t fill[] = {0, 1, 2, '0', 0xff};
	uint8_t *image = malloc(LEN);
	struct symbols s = {0};

	assert_non_null(image);
	for (size_t i = 0; i < sizeof(fill); i++) {
		memset(image, fill[i], LEN);
		assert_int_equal(kallsyms_read(image, LEN, VA, &s), -ENOENT);
	}
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_order),	     cmocka_unit_test(a_kernel_that_moved),
		cmocka_unit_test(damage_is_noticed), cmocka_unit_test(names_that_are_none),
		cmocka_unit_test(nothing_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
