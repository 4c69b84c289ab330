/* SPDX-License-Identifier: Apache-2.0 */
/* What pages are, by tables that were made up as Linux has them, with and without KASLR. */
#include "survey/what.h"
#include "tests/check.h"
#include "tests/survey/memory.h"

#define TOP    UINT64_C(0x10000)
#define DIRECT UINT64_C(0xffff888000000000)
#define TEXT   UINT64_C(0xffffffff81000000)
#define PERCPU UINT64_C(0x200000) /* of CPU 1, its address in memory */

static const char map[] = "0000000000000000 A fixed\n"
			  "0000000000000000 A __per_cpu_start\n"
			  "0000000000001000 D runqueues\n"
			  "0000000000002000 A __per_cpu_end\n"
			  "ffffffff81000000 T _text\n"
			  "ffffffff81200000 D jiffies\n"
			  "ffffffff81200040 D other\n"
			  "ffffffff81201000 D init_top_pgt\n"
			  "ffffffff81202000 B a\n"
			  "ffffffff81203000 B b\n"
			  "ffffffff81203800 B __init_begin\n"
			  "ffffffff81204000 B c\n"
			  "ffffffff81205800 B __init_end\n"
			  "ffffffff81206000 B __end_rodata\n"
			  "ffffffff81207000 D _sdata\n"
			  "ffffffff81208000 B g\n"
			  "ffffffff81209000 B _end\n";

struct guest {
	struct memory memory;
	struct symbols symbols;
	struct survey *survey;
	struct survey_names names;
};

/* The image is at 16 MiB, its data 2 MiB behind; the top table is in it, too, or elsewhere. */
static struct guest *new_guest(uint64_t slide, uint64_t direct, bool with_symbols)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct memory *m = &g->memory;
	const struct survey_source source = {memory_read, m};
	/* CPU 0's area is still where the image has it. */
	const struct survey_cpu cpu[] = {{.index = 0, .cr3 = TOP, .gs = TEXT + slide + 0x203000},
					 {.index = 1, .gs = direct + PERCPU}};
	struct err err;

	assert_non_null(g);
	m->next = 64;
	memory_map(m, TOP, 4, 3, direct, 0);
	memory_map(m, TOP, 4, 2, TEXT + slide, 0x1000000);
	memory_map(m, TOP, 4, 1, TEXT + slide + 0x200000, 0x1200000);
	memory_map(m, TOP, 4, 1, TEXT + slide + 0x201000, TOP);
	for (unsigned i = 3; i < 8; i++)
		memory_map(m, TOP, 4, 1, TEXT + slide + 0x200000 + i * PAGE_BYTES,
			   0x1200000 + i * PAGE_BYTES);
	memory_map(m, TOP, 4, 1, TEXT + slide + 0x20a000, 0x1209000);
	memory_map(m, TOP, 4, 1, 0xffffffffc0000000, 0x300000);
	memory_map(m, TOP, 4, 1, 0xfffffe0000001000, PERCPU + 0x1000);
	memory_map(m, TOP, 4, 1, 0xfffffe0000002000, 0x301000);
	memory_map(m, TOP, 4, 1, 0xffffc90000000000, 0x302000);
	memory_map(m, TOP, 4, 1, 0xffffea0000000000, 0x303000);
	memory_map(m, TOP, 4, 1, 0xffffffffff5fb000, 0x304000);
	memory_map(m, TOP, 4, 1, 0x7ffff7fff000, 0x305000);
	memory_map(m, TOP, 4, 1, direct + (UINT64_C(1) << 38), 0x307000);
	assert_int_equal(survey_take(&source, cpu, 2, &g->survey), 0);
	if (with_symbols)
		assert_int_equal(symbols_parse("map", map, &g->symbols, &err), 0);
	assert_int_equal(survey_names(g->survey, with_symbols ? &g->symbols : NULL, &g->names),
			 with_symbols);
	return g;
}

static void free_guest(struct guest *g)
{
	survey_free(g->survey);
	symbols_free(&g->symbols);
	free(g);
}

static void check(const struct guest *g, uint64_t gpa, const char *text)
{
	struct survey_what what = {.gpa = gpa};
	char buf[SURVEY_TEXT];

	survey_what(g->survey, &g->names, &what, 1);
	assert_string_equal(survey_text(&what, &g->names, buf, sizeof(buf)), text);
}

static uint64_t table(struct guest *g, unsigned level, uint64_t va)
{
	return memory_table(&g->memory, TOP, 4, level, va);
}

static void check_pages(struct guest *g, uint64_t slide)
{
	check(g, 0x1000000, "kernel: _text");
	check(g, 0x1200000, "kernel: jiffies, other");
	check(g, 0x1203000, "kernel: b, __init_begin");
	check(g, 0x1204000, "kernel (freed)");
	check(g, 0x1205000, "kernel: c, __init_end");
	check(g, 0x1206000, "kernel (freed)");
	check(g, 0x1207000, "kernel: _sdata");
	check(g, 0x1209000, "kernel"); /* behind all symbols */
	check(g, TOP, "table 4: init_top_pgt");
	check(g, PERCPU, "per-CPU 1: fixed");
	check(g, PERCPU + 0x1000, "per-CPU 1: runqueues");
	check(g, PERCPU + 0x8000, "per-CPU 1"); /* dynamic */
	check(g, PERCPU + 0x9000, "memory");
	check(g, 0x300000, "module");
	check(g, 0x301000, "CPU entry");
	check(g, 0x304000, "fixmap");
	check(g, 0x305000, "user");
	check(g, 0x306000, "memory");
	check(g, 0x307000, "kernel map"); /* beside the direct map */
	check(g, UINT64_C(1) << 40, "-");
	check(g, table(g, 3, TEXT), "table 3");
	check(g, table(g, 1, TEXT + slide + 0x200000), "table 1 of kernel");
	check(g, table(g, 2, TEXT + slide), "table 2 of kernel");
	check(g, table(g, 1, 0x7ffff7fff000), "table 1 of user");
	check(g, table(g, 3, 0x7ffff7fff000), "table 3 of user");
}

static void a_kernel_where_it_was_linked(void **state)
{
	struct guest *g = new_guest(0, DIRECT, true);

	check_pages(g, 0);
	check(g, 0x302000, "vmalloc");
	check(g, 0x303000, "page structs");
	check(g, table(g, 1, 0xffffc90000000000), "table 1 of vmalloc");
	free_guest(g);
}

static void a_kernel_that_moved(void **state)
{
	struct guest *g = new_guest(0x1c000000, 0xffff9a4000000000, true);

	assert_int_equal(g->names.slide, 0x1c000000);
	check_pages(g, 0x1c000000);
	check(g, 0x302000, "kernel map");
	check(g, 0x303000, "kernel map");
	free_guest(g);
}

static void a_kernel_without_symbols(void **state)
{
	struct guest *g = new_guest(0, DIRECT, false);

	check(g, 0x1000000, "kernel");
	check(g, TOP, "table 4");
	check(g, PERCPU + SURVEY_PERCPU_LEAST - PAGE_BYTES, "per-CPU 1");
	check(g, PERCPU + SURVEY_PERCPU_LEAST, "memory");
	free_guest(g);
}

/* Symbols of another kernel: one that lies where this one can not have come from. */
static void symbols_that_do_not_fit(void **state)
{
	struct guest *g = new_guest(0, DIRECT, true);
	struct survey_names names;

	for (size_t i = 0; i < g->symbols.count; i++)
		if (g->symbols.symbol[i].addr >= TEXT)
			g->symbols.symbol[i].addr += 0x1000;
	assert_false(survey_names(g->survey, &g->symbols, &names));
	assert_null(names.symbols);
	for (size_t i = 0; i < g->symbols.count; i++)
		if (g->symbols.symbol[i].addr >= TEXT)
			g->symbols.symbol[i].addr += 0x200000 - 0x1000;
	assert_false(survey_names(g->survey, &g->symbols, &names));
	free_guest(g);
}

/* Since 6.15 a per-CPU variable has an address in the image, and GS is the distance from it. */
static void percpu_variables_in_the_image(void **state)
{
	const uint64_t slide = 0x1c000000, first = 0xffffffff81208000;
	struct guest *g = new_guest(slide, DIRECT, true);

	for (size_t i = 0; i < g->symbols.count; i++)
		if (g->symbols.symbol[i].addr < TEXT)
			g->symbols.symbol[i].addr += first;
	symbols_sort(&g->symbols);
	g->survey->cpu[1].gs -= first + slide;
	assert_true(survey_names(g->survey, &g->symbols, &g->names));
	assert_int_equal(g->names.percpu, first + slide);
	check(g, PERCPU, "per-CPU 1: fixed");
	check(g, PERCPU + 0x1000, "per-CPU 1: runqueues");
	check(g, PERCPU + 0x9000, "memory");
	free_guest(g);
}

/* Several surveys: what says most counts, whichever comes first. */
static void what_several_say(void **state)
{
	struct guest *g = new_guest(0, DIRECT, true);
	struct survey_range *r = &g->survey->range[0];
	struct survey_range mapped[] = {{0x306000, 0x5000, 1}, {0x308000, 0x6000, 2}};
	struct survey_table tables[] = {{.gpa = 0x308000, .level = 2, .va = 0},
					{.gpa = 0x308000, .level = 1, .va = 0},
					{.gpa = 0x309000, .level = 1, .va = 0},
					{.gpa = 0x309000, .level = 2, .va = 0}};
	const struct survey later = {.range = mapped, .ranges = 2, .table = tables, .tables = 4};
	char buf[SURVEY_TEXT];

	assert_non_null(r);
	for (unsigned order = 0; order < 2; order++) {
		struct survey_what w[] = {
			{.gpa = 0x306000}, {.gpa = 0x308000}, {.gpa = 0x309000}, {.gpa = 0x30a000}};
		static const char *const texts[] = {"user", "table 1 of user", "table 1 of user",
						    "memory"};

		survey_what(order ? &later : g->survey, &g->names, w, 4);
		survey_what(order ? g->survey : &later, &g->names, w, 4);
		for (unsigned i = 0; i < 4; i++)
			assert_string_equal(survey_text(&w[i], &g->names, buf, sizeof(buf)),
					    texts[i]);
	}
	free_guest(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_where_it_was_linked),
		cmocka_unit_test(a_kernel_that_moved),
		cmocka_unit_test(a_kernel_without_symbols),
		cmocka_unit_test(symbols_that_do_not_fit),
		cmocka_unit_test(percpu_variables_in_the_image),
		cmocka_unit_test(what_several_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
