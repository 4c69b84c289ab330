/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that were made up: walked, written as text, read back. */
#include "tests/check.h"
#include "tests/survey/memory.h"

#define TOP UINT64_C(0x10000)
#define NX  (UINT64_C(1) << 63)

static struct memory *new_memory(void)
{
	struct memory *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->next = 64;
	return m;
}

static struct survey *take(struct memory *m, const struct survey_cpu *cpu, size_t cpus)
{
	const struct survey_source source = {memory_read, m};
	struct survey *s = NULL;

	assert_int_equal(survey_take(&source, cpu, cpus, &s), 0);
	return s;
}

static struct survey *take_one(struct memory *m, bool la57)
{
	const struct survey_cpu cpu = {.la57 = la57, .cr3 = TOP | 0x18};

	return take(m, &cpu, 1);
}

static const struct survey_range *range_at(const struct survey *s, uint64_t va)
{
	for (size_t i = 0; i < s->ranges; i++)
		if (va - s->range[i].va < s->range[i].pages * PAGE_BYTES)
			return &s->range[i];
	return NULL;
}

static const struct survey_table *table_at(const struct survey *s, uint64_t gpa, unsigned level)
{
	for (size_t i = 0; i < s->tables; i++)
		if (s->table[i].gpa == gpa && s->table[i].level == level)
			return &s->table[i];
	return NULL;
}

static void check_range(const struct survey *s, uint64_t va, uint64_t gpa, uint64_t pages)
{
	const struct survey_range *r = range_at(s, va);

	assert_non_null(r);
	assert_int_equal(r->va, va);
	assert_int_equal(r->gpa, gpa);
	assert_int_equal(r->pages, pages);
}

static void pages_of_each_size(void **state)
{
	for (unsigned levels = 4; levels <= 5; levels++) {
		struct memory *m = new_memory();
		uint64_t direct = levels == 4 ? 0xffff888000000000 : 0xff11000000000000;

		memory_map(m, TOP, levels, 1, 0x401000, 0x5000);
		memory_map(m, TOP, levels, 1, 0x402000, 0x6000);
		memory_map(m, TOP, levels, 1, 0x403000, 0x9000);
		memory_map(m, TOP, levels, 2, 0xffffffff81000000, 0x1000000);
		memory_map(m, TOP, levels, 2, 0xffffffff81200000, 0x1200000);
		memory_map(m, TOP, levels, 3, direct + GIB, GIB);
		struct survey *s = take_one(m, levels == 5);
		check_range(s, 0x401000, 0x5000, 2);
		check_range(s, 0x403000, 0x9000, 1);
		check_range(s, 0xffffffff81000000, 0x1000000, 1024);
		check_range(s, direct + GIB, GIB, 262144);
		assert_int_equal(s->ranges, 4);
		assert_int_equal(s->bad, 0);
		assert_false(s->cut);
		/* The kernel's half comes first: what is cut is the user's. */
		assert_int_equal(s->range[s->ranges - 1].va, 0x403000);
		/* Each table, with what it maps. */
		assert_int_equal(s->tables, m->next - 64 + 1);
		assert_int_equal(table_at(s, TOP, levels)->halves, 3);
		uint64_t table = memory_table(m, TOP, levels, 2, 0xffffffff81000000);
		assert_int_equal(table_at(s, table, 2)->va, 0xffffffff80000000 & ~(GIB - 1));
		assert_int_equal(table_at(s, table, 2)->halves, 0);
		survey_free(s);
		free(m);
	}
}

static void vcpus_share_the_kernels_half(void **state)
{
	struct memory *m = new_memory();
	const struct survey_cpu cpu[] = {
		{.index = 3, .cr3 = TOP}, {.index = 4, .cr3 = TOP + 0x2000}, {.index = 5}};

	memory_map(m, TOP, 4, 1, 0xffffc90000000000, 0x5000);
	m->page[(TOP >> 12) + 2][0x192] = m->page[TOP >> 12][0x192];
	memory_map(m, TOP, 4, 1, 0x1000, 0x6000);
	memory_map(m, TOP + 0x2000, 4, 1, 0x1000, 0x7000);
	struct survey *s = take(m, cpu, 3);
	assert_int_equal(s->cpus, 3);
	assert_int_equal(s->cpu[1].index, 4);
	assert_int_equal(s->ranges, 3);
	assert_int_equal(s->tables, m->next - 64 + 2);
	survey_free(s);
	/* One process on two: its tables are read once, but for the look at a pair's other half. */
	const struct survey_cpu same[] = {{.cr3 = TOP}, {.cr3 = TOP}};
	m->reads = 0;
	survey_free(take(m, same, 1));
	uint64_t once = m->reads;
	m->reads = 0;
	survey_free(take(m, same, 2));
	assert_int_equal(m->reads, once + 4);
	free(m);
}

/* Page table isolation: a vCPU in user mode, whose table has next to nothing of the kernel. */
static void a_pair_of_top_tables(void **state)
{
	const uint64_t kernel = TOP, user = TOP + PAGE_BYTES;

	for (unsigned in_user = 0; in_user < 2; in_user++) {
		struct memory *m = new_memory();
		const struct survey_cpu cpu = {.cr3 = in_user ? user : kernel};

		memory_map(m, kernel, 4, 1, 0x1000, 0x6000);
		memory_map(m, kernel, 4, 2, 0xffffffff81000000, 0x1000000);
		m->page[user >> 12][0] = m->page[kernel >> 12][0];
		m->page[kernel >> 12][0] |= NX;
		struct survey *s = take(m, &cpu, 1);
		assert_non_null(table_at(s, kernel, 4));
		assert_non_null(table_at(s, user, 4));
		check_range(s, 0xffffffff81000000, 0x1000000, 512);
		survey_free(s);
		/* Not when the user's half differs, nor when it is empty. */
		m->page[user >> 12][7] = 0x5067;
		s = take(m, &cpu, 1);
		assert_null(table_at(s, in_user ? kernel : user, 4));
		survey_free(s);
		m->page[user >> 12][7] = m->page[user >> 12][0] = m->page[kernel >> 12][0] = 0;
		s = take(m, &cpu, 1);
		assert_null(table_at(s, in_user ? kernel : user, 4));
		survey_free(s);
		free(m);
	}
}

static void circles_end(void **state)
{
	struct memory *m = new_memory();

	for (unsigned i = 0; i < 512; i++)
		m->page[TOP >> 12][i] = TOP | IN_TABLE;
	struct survey *s = take_one(m, true);
	/* Itself at each level, once. */
	assert_int_equal(s->tables, 5);
	assert_true(m->reads < 20);
	assert_int_equal(s->ranges, 512);
	survey_free(s);
	free(m);
}

static void what_no_processor_accepts(void **state)
{
	struct memory *m = new_memory();

	memory_map(m, TOP, 4, 1, 0x1000, 0x6000);
	m->page[TOP >> 12][1] = 0x5000 | IN_TABLE | LARGE_PAGE;	      /* 512 GiB */
	m->page[TOP >> 12][2] = UINT64_C(0xfffff00000000) | IN_TABLE; /* no RAM */
	m->page[memory_table(m, TOP, 4, 2, 0) >> 12][3] = 0x2000 | IN_TABLE | LARGE_PAGE;
	m->page[memory_table(m, TOP, 4, 3, 0) >> 12][3] = 0x200000 | IN_TABLE | LARGE_PAGE;
	m->page[TOP >> 12][4] = 0x9000; /* not present: anything goes */
	struct survey *s = take_one(m, false);
	assert_int_equal(s->bad, 4);
	assert_int_equal(s->ranges, 1);
	assert_int_equal(s->tables, 4);
	survey_free(s);
	/* A page's caching may be told in bit 12 of a large one. */
	m->page[memory_table(m, TOP, 4, 2, 0) >> 12][3] = 0x201000 | IN_TABLE | LARGE_PAGE;
	s = take_one(m, false);
	assert_int_equal(s->bad, 3);
	check_range(s, 3 * 2 * MIB, 0x200000, 512);
	survey_free(s);
	/* No top table at all. */
	const struct survey_cpu none = {.cr3 = UINT64_C(1) << 40};
	s = take(m, &none, 1);
	assert_int_equal(s->tables, 0);
	assert_true(s->bad > 0);
	survey_free(s);
	free(m);
}

/* Each entry of each table leads to a table, most to the same: more than anybody can hold. */
static int endless(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	uint64_t *entry = buf, *reads = ctx;

	for (unsigned i = 0; i < 512; i++)
		entry[i] = ((gpa >> 12) * 512 + 512 - i) << 12 & UINT64_C(0xfffffffff000);
	for (unsigned i = 0; i < 512; i++)
		entry[i] |= IN_TABLE;
	++*reads;
	return 0;
}

static void more_than_there_is_room_for(void **state)
{
	uint64_t reads = 0;
	const struct survey_source source = {endless, &reads};
	const struct survey_cpu cpu = {.cr3 = TOP, .la57 = true};
	struct survey *s;

	assert_int_equal(survey_take(&source, &cpu, 1, &s), 0);
	assert_true(s->cut);
	assert_true(s->tables <= SURVEY_TABLES && s->ranges <= SURVEY_RANGES);
	assert_true(s->ranges > SURVEY_RANGES / 2);
	assert_true(reads <= SURVEY_TABLES + 8);
	survey_free(s);
}

static void a_reader_that_gives_up(void **state)
{
	struct memory *m = new_memory();
	const struct survey_source source = {memory_read, m};
	const struct survey_cpu cpu = {.cr3 = TOP};
	struct survey *s = NULL;
	uint64_t reads;

	memory_map(m, TOP, 4, 1, 0x1000, 0x6000);
	survey_free(take(m, &cpu, 1));
	reads = m->reads;
	for (m->fail_at = 1; m->fail_at <= reads; m->fail_at++) {
		m->reads = 0;
		assert_int_equal(survey_take(&source, &cpu, 1, &s), -ECANCELED);
		assert_null(s);
	}
	free(m);
}

static void the_kernels_image(void **state)
{
	struct memory *m = new_memory();
	const struct survey_source source = {memory_read, m};
	uint8_t *image = NULL;
	uint64_t va;
	size_t len;
	struct survey *s;

	memory_map(m, TOP, 4, 1, 0x1000, 0x6000);
	memory_map(m, TOP, 4, 1, SURVEY_MODULES, 0x6000);
	s = take_one(m, false);
	assert_int_equal(survey_image(&source, s, &image, &len, &va), -ENOENT);
	survey_free(s);
	/* Two pages, one between them that is not mapped, one that is no RAM, one too far. */
	m->page[6][0] = 0x1111;
	m->page[5][511] = 0x2222;
	memory_map(m, TOP, 4, 1, 0xffffffff81003000, 0x5000);
	memory_map(m, TOP, 4, 1, 0xffffffff81001000, 0x6000);
	memory_map(m, TOP, 4, 1, 0xffffffff81004000, UINT64_C(1) << 40);
	memory_map(m, TOP, 4, 1, 0xffffffff81001000 + SURVEY_IMAGE_BYTES, 0x5000);
	s = take_one(m, false);
	assert_int_equal(survey_image(&source, s, &image, &len, &va), 0);
	assert_int_equal(va, 0xffffffff81001000);
	assert_int_equal(len, 4 * PAGE_BYTES);
	assert_int_equal(((uint64_t *)image)[0], 0x1111);
	assert_int_equal(((uint64_t *)image)[512], 0);
	assert_int_equal(((uint64_t *)image)[3 * 512 - 1], 0x2222);
	free(image);
	m->reads = 0;
	m->fail_at = 2;
	assert_int_equal(survey_image(&source, s, &image, &len, &va), -ECANCELED);
	survey_free(s);
	/* vCPUs that disagree make no more work of it than its size. */
	m->fail_at = 0;
	const struct survey_cpu cpu[] = {{.cr3 = TOP}, {.cr3 = TOP + 0x2000}};
	for (uint64_t at = 0; at < 4; at++)
		memory_map(m, TOP + 0x2000, 4, 1, 0xffffffff81001000 + at * PAGE_BYTES, 0x7000);
	s = take(m, cpu, 2);
	m->reads = 0;
	assert_int_equal(survey_image(&source, s, &image, &len, &va), 0);
	assert_int_equal(len, 4 * PAGE_BYTES);
	assert_int_equal(m->reads, 4);
	free(image);
	survey_free(s);
	/* Large pages at both ends of what is taken. */
	memory_map(m, TOP, 4, 2, 0xffffffff80000000, 0);
	memory_map(m, TOP, 4, 3, 0xffffffff80000000 - GIB, 0);
	memory_map(m, TOP, 4, 2, 0xffffffff80000000 + SURVEY_IMAGE_BYTES - 2 * MIB, 0);
	memory_map(m, TOP, 4, 2, 0xffffffff80000000 + SURVEY_IMAGE_BYTES, 2 * MIB);
	s = take_one(m, false);
	assert_int_equal(survey_image(&source, s, &image, &len, &va), 0);
	assert_int_equal(va, 0xffffffff80000000);
	assert_int_equal(len, SURVEY_IMAGE_BYTES);
	free(image);
	survey_free(s);
	free(m);
}

/* ---- as text ---- */

static char *print(const struct survey *s)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	survey_print(s, to);
	assert_int_equal(fclose(to), 0);
	return text;
}

static void text_is_read_back(void **state)
{
	struct memory *m = new_memory();
	struct survey *s, *back;
	struct err err;

	memory_map(m, TOP, 5, 1, 0x401000, 0x5000);
	memory_map(m, TOP, 5, 2, 0xffffffff81000000, 0x1000000);
	s = take_one(m, true);
	s->epoch = 4294967295;
	s->cpu[0].gs = 0xffff88807dc00000;
	s->cut = true;
	char *text = print(s);
	assert_int_equal(survey_parse("x", text, &back, &err), 0);
	char *again = print(back);
	assert_string_equal(text, again);
	assert_int_equal(back->cpu[0].gs, s->cpu[0].gs);
	assert_int_equal(back->ranges, 2);
	free(text);
	free(again);
	survey_free(back);
	survey_free(s);
	free(m);
}

static void what_is_no_survey(void **state)
{
	static const char *const texts[] = {
		"",
		"end\n",
		"survey 2 1 0 0\nend\n",
		"survey 1 1 0 2\nend\n",
		"survey 1 1 0\nend\n",
		"survey 1 1 0 0",
		"survey 1 1 0 0\n",
		"survey 1 1 0 0\nend",
		"survey 1 1 0 0\nend\n ",
		"survey 1 1 0 0\nsurvey 1 1 0 0\nend\n",
		"survey 1 4294967296 0 0\nend\n",
		"survey 1 -1 0 0\nend\n",
		"survey 1 1  0 0\nend\n",
		"survey 1 1 0 0 \nend\n",
		"survey 1 1 0 0\ncpu 1024 4 0 0\nend\n",
		"survey 1 1 0 0\ncpu 0 3 0 0\nend\n",
		"survey 1 1 0 0\ncpu 0 4 0 0x5\nend\n",
		"survey 1 1 0 0\ntable 0 0 0 0\nend\n",
		"survey 1 1 0 0\ntable 0 6 0 0\nend\n",
		"survey 1 1 0 0\ntable 0 4 0 4\nend\n",
		"survey 1 1 0 0\nrange 0 18446744073709551615 0\nend\n",
		"survey 1 1 0 0\nrange 10000000000000000 1 0\nend\n",
		"survey 1 1 0 0\nrange 0 1\nend\n",
		"survey 1 1 0 0\nranges 0 1 0\nend\n",
	};
	struct survey *s = NULL;
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(survey_parse("x", texts[i], &s, &err), -EBADMSG);
		assert_memory_equal(err.text, "x: line ", 8);
		assert_null(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_each_size),
		cmocka_unit_test(vcpus_share_the_kernels_half),
		cmocka_unit_test(a_pair_of_top_tables),
		cmocka_unit_test(circles_end),
		cmocka_unit_test(what_no_processor_accepts),
		cmocka_unit_test(more_than_there_is_room_for),
		cmocka_unit_test(a_reader_that_gives_up),
		cmocka_unit_test(the_kernels_image),
		cmocka_unit_test(text_is_read_back),
		cmocka_unit_test(what_is_no_survey),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
