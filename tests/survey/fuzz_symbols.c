/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of any content as a System.map, and as a survey: refused with one line, or what is read of
 * it can be looked at.
 *
 * Input: the text.
 */
#include "survey/what.h"
#include "tests/fuzz/fuzz.h"

static void look(const struct survey *s, const struct symbols *symbols)
{
	struct survey_what what[] = {{.gpa = 0x1000}, {.gpa = 0x2000}, {.gpa = 0x1000000}};
	struct survey_names names;
	char text[SURVEY_TEXT];

	survey_names(s, symbols, &names);
	survey_what(s, &names, what, ARRAY_SIZE(what));
	for (size_t i = 0; i < ARRAY_SIZE(what); i++)
		fuzz_check(survey_text(&what[i], &names, text, sizeof(text))[0]);
}

/* What symbols and surveys are tried with: good ones. */
static struct survey *good_survey(void)
{
	static const char text[] = "survey 1 1 0 0\n"
				   "cpu 0 4 1000 ffff888000002000\n"
				   "table 1000 4 0 3\n"
				   "range 0 4096 ffff888000000000\n"
				   "range 1000000 1 ffffffff81000000\n"
				   "end\n";
	struct survey *s = NULL;
	struct err err;

	fuzz_check(survey_parse("good", text, &s, &err) == 0);
	return s;
}

static struct symbols good_symbols(void)
{
	struct symbols s = {0};

	fuzz_check(symbols_add(&s, 0, 'A', "__per_cpu_start", 15) == 0);
	fuzz_check(symbols_add(&s, 0x3000, 'A', "__per_cpu_end", 13) == 0);
	fuzz_check(symbols_add(&s, 0xffffffff81000000, 'T', "_text", 5) == 0);
	fuzz_check(symbols_add(&s, 0xffffffff82000000, 'B', "_end", 4) == 0);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	_cleanup_free_ char *text = calloc(1, len + 1);
	struct symbols symbols = {0};
	struct survey *s = NULL;
	struct err err = {0};

	fuzz_check(text);
	memcpy(text, data, len);
	if (symbols_parse("input", text, &symbols, &err) == 0) {
		s = good_survey();
		look(s, &symbols);
	} else {
		fuzz_check(err.text[0] && !symbols.symbol);
	}
	survey_free(TAKE_PTR(s));
	symbols_free(&symbols);
	if (survey_parse("input", text, &s, &err) == 0) {
		symbols = good_symbols();
		look(s, &symbols);
	}
	survey_free(s);
	symbols_free(&symbols);
	return 0;
}

static size_t one_of(uint64_t *random, char *to, size_t room, bool survey)
{
	static const char *const names[] = {"_text", "_end", "__per_cpu_start", "__per_cpu_end",
					    "jiffies"};
	static const uint64_t base[] = {0, 0xffffffff81000000, 0xffff888000000000, 0x1000000};
	uint64_t addr = base[fuzz_random(random) % 4] + fuzz_random(random) % 16 * PAGE_BYTES;
	unsigned what = (unsigned)(fuzz_random(random) % 5);

	if (!survey)
		return (size_t)snprintf(to, room, "%016llx %c %s\n", (unsigned long long)addr,
					"ATtDB"[what], names[fuzz_random(random) % 5]);
	if (what == 0)
		return (size_t)snprintf(to, room, "cpu 1 4 1000 %llx\n", (unsigned long long)addr);
	if (what == 1)
		return (size_t)snprintf(to, room, "table 1000 2 %llx 0\n",
					(unsigned long long)addr);
	return (size_t)snprintf(to, room, "range 1000 %u %llx\n", 1 << what,
				(unsigned long long)addr);
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	bool survey = fuzz_random(random) & 1;
	char *to = (char *)data;
	size_t len = survey ? (size_t)snprintf(to, room, "survey 1 1 0 0\n") : 0;

	for (unsigned i = 0; i < 30; i++)
		len += one_of(random, to + len, room - len, survey);
	if (survey)
		len += (size_t)snprintf(to + len, room - len, "end\n");
	return len;
}
