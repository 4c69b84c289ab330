/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page tables of any content: the walk ends, keeps its limits, and what it found can be written and
 * read back; a page that somebody asks about is something that can be shown.
 *
 * Input: how the vCPUs are, then entries: which page of which few, which entry, and the entry.
 */
#include "survey/what.h"
#include "tests/fuzz/fuzz.h"
#include "tests/survey/memory.h"

#define PAGES 16u /* in which the tables are; the addresses of few pages meet more often */

static uint64_t take_entry(struct fuzz_input *in)
{
	uint64_t kind = fuzz_take(in, 1), gpa = (kind & (PAGES - 1)) << PAGE_SHIFT;

	if (kind < 0x80)
		return gpa | IN_TABLE;
	if (kind < 0xc0)
		return (gpa << 9) | IN_TABLE | LARGE_PAGE;
	return fuzz_value(in);
}

static char *print(const struct survey *s)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	fuzz_check(to);
	survey_print(s, to);
	fuzz_check(fclose(to) == 0 && len < SURVEY_BYTES);
	return text;
}

static void check_pages(const struct survey *s)
{
	struct survey_what what[2 * PAGES] = {0};
	struct survey_names names;
	char text[SURVEY_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(what); i++)
		what[i].gpa = i << PAGE_SHIFT;
	fuzz_check(!survey_names(s, NULL, &names));
	survey_what(s, &names, what, ARRAY_SIZE(what));
	for (size_t i = 0; i < ARRAY_SIZE(what); i++)
		fuzz_check(survey_text(&what[i], &names, text, sizeof(text))[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_input in = fuzz_input(data, len);
	_cleanup_free_ struct memory *m = calloc(1, sizeof(*m));
	const struct survey_source source = {memory_read, m};
	struct survey_cpu cpu[2] = {0};
	struct survey *s, *back;
	struct err err;

	fuzz_check(m);
	for (uint32_t i = 0; i < 2; i++)
		cpu[i] = (struct survey_cpu){i, fuzz_take(&in, 1) & 1, fuzz_value(&in),
					     fuzz_value(&in)};
	while (fuzz_left(&in)) {
		uint64_t page = fuzz_take(&in, 1) % PAGES, at = fuzz_take(&in, 2) % 512;
		m->page[page][at] = take_entry(&in);
	}
	fuzz_check(survey_take(&source, cpu, 2, &s) == 0);
	fuzz_check(s->tables <= 5 * MEMORY_PAGES && s->ranges <= SURVEY_RANGES);
	for (size_t i = 0; i < s->tables; i++)
		fuzz_check(s->table[i].level >= 1 && s->table[i].level <= 5);
	_cleanup_free_ char *text = print(s);
	fuzz_check(survey_parse("input", text, &back, &err) == 0);
	_cleanup_free_ char *again = print(back);
	fuzz_check(strcmp(text, again) == 0);
	check_pages(s);
	survey_free(back);
	survey_free(s);
	return 0;
}

/* Tables that lead to each other, from the first one on. */
size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	/* Either page 1 or page 2 is the top table, and GS is some number. */
	static const uint8_t cpus[] = {0, 12, 65, 1, 13, 66};
	size_t len = sizeof(cpus);

	memcpy(data, cpus, len);
	for (unsigned i = 0; i < 60; i++) {
		data[len++] = (uint8_t)(fuzz_random(random) % PAGES);
		fuzz_noise(random, data + len, 3);
		len += 3;
	}
	return len;
}
