/* SPDX-License-Identifier: Apache-2.0 */
/* A System.map: good ones, stubs, garbage; what lies in a page. */
#include "survey/symbols.h"
#include "tests/check.h"

/* Enough of them that it is no stub. */
#define MANY                                                                                       \
	"0000000000000000 A __per_cpu_start\n"                                                     \
	"0000000000000000 A fixed\n"                                                               \
	"0000000000003000 A __per_cpu_end\n"                                                       \
	"ffffffff81000000 t _stext\n"                                                              \
	"ffffffff81000000 T _text\n"                                                               \
	"ffffffff81000000 T startup_64\n"                                                          \
	"ffffffff81000800 T one\n"                                                                 \
	"ffffffff81000900 T two\n"                                                                 \
	"ffffffff81000a00 T three\t[module]\n"                                                     \
	"ffffffff81000a80 T four\n"                                                                \
	"ffffffff81000c00 T five\n"                                                                \
	"ffffffff81003000 D six\n"                                                                 \
	"ffffffff81004000 d seven\n"                                                               \
	"ffffffff81005000 d eight\n"                                                               \
	"ffffffff81006000 d nine\n"

static void check_within(const struct symbols *s, uint64_t addr, uint64_t end, const char *text)
{
	char buf[256];

	symbols_within(s, addr, end, buf, sizeof(buf));
	assert_string_equal(buf, text);
}

static void what_lies_in_a_page(void **state)
{
	const uint64_t text = 0xffffffff81000000;
	struct symbols s;
	struct err err;
	uint64_t addr;

	assert_int_equal(symbols_parse("map", MANY "ffffffff81007000 B _end\n", &s, &err), 0);
	/* Those that have most of it, a global one of several at one address. */
	check_within(&s, text, text + 0x1000, "_text, two, four, five +2");
	/* A small one is none of them, though it comes last. */
	check_within(&s, text, text + 0xc10, "_text, one, two, four +2");
	/* One that has begun before, and is all that is there. */
	check_within(&s, text + 0x1000, text + 0x2000, "five");
	check_within(&s, text + 0x3000, text + 0x4000, "six");
	check_within(&s, text + 0x2800, text + 0x4800, "five, six, seven");
	check_within(&s, 0, 0x1000, "__per_cpu_start");
	assert_true(symbols_find(&s, "startup_64", &addr));
	assert_int_equal(addr, text);
	assert_false(symbols_find(&s, "startup_6", &addr));
	/* Not all of it fits. */
	char small[8];
	symbols_within(&s, text, text + 0x1000, small, sizeof(small));
	assert_string_equal(small, "_text, ");
	symbols_free(&s);
	assert_int_equal(symbols_parse("map", "ffffffff81008000 B late\n" MANY, &s, &err), 0);
	check_within(&s, text + 0x8000, text + 0x9000, "late");
	symbols_free(&s);
	check_within(&s, 0, 1, "");
}

static void a_stub(void **state)
{
	struct symbols s;
	struct err err;

	assert_int_equal(symbols_parse("map",
				       "ffffffffffffffff B The real System.map is elsewhere\n", &s,
				       &err),
			 -ENODATA);
	assert_string_equal(err.text, "map has no symbols; its distribution has them elsewhere");
	assert_int_equal(symbols_parse("map", "", &s, &err), -ENODATA);
}

static void what_is_no_map(void **state)
{
	static const char *const lines[] = {
		"\n",
		" ffffffff81000000 T a\n",
		"ffffffff81000000T a\n",
		"ffffffff81000000 T \n",
		"ffffffff81000000 T\n",
		"ffffffff810000000 T a\n",
		"0xffffff81000000 T a\n",
		"ffffffff81000000 \x1b a\n",
		"ffffffff81000000 T \x1b[2J\n",
		"g T a\n",
	};
	struct symbols s;
	struct err err;
	char text[4096];

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		snprintf(text, sizeof(text), MANY "%s", lines[i]);
		assert_int_equal(symbols_parse("map", text, &s, &err), -EBADMSG);
		assert_string_equal(err.text, "map: line 16 is none of a System.map");
	}
	snprintf(text, sizeof(text), MANY "ffffffff81000000 T %0*d", SYMBOL_NAME, 0);
	assert_int_equal(symbols_parse("map", text, &s, &err), 0);
	symbols_free(&s);
	snprintf(text, sizeof(text), MANY "ffffffff81000000 T %0*d", SYMBOL_NAME + 1, 0);
	assert_int_equal(symbols_parse("map", text, &s, &err), -EBADMSG);
}

static void printed_and_read_back(void **state)
{
	struct symbols s, back;
	struct err err;
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	assert_int_equal(symbols_parse("map", MANY "ffffffff81007000 B _end\n", &s, &err), 0);
	symbols_print(&s, to);
	assert_int_equal(fclose(to), 0);
	assert_int_equal(symbols_parse("back", text, &back, &err), 0);
	assert_int_equal(back.count, s.count);
	for (size_t i = 0; i < s.count; i++) {
		assert_int_equal(back.symbol[i].addr, s.symbol[i].addr);
		assert_string_equal(back.names + back.symbol[i].name, s.names + s.symbol[i].name);
	}
	symbols_free(&back);
	symbols_free(&s);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_lies_in_a_page),
		cmocka_unit_test(a_stub),
		cmocka_unit_test(what_is_no_map),
		cmocka_unit_test(printed_and_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
