/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A survey as text, so that it can be read without a tool, and searched:
 *
 *   survey 1 EPOCH BAD CUT
 *   cpu INDEX LEVELS CR3 GS
 *   table ADDRESS LEVEL VIRTUAL HALVES
 *   range ADDRESS PAGES VIRTUAL
 *   end
 *
 * Addresses are hexadecimal, the rest is decimal.
 */
#include <inttypes.h>

#include "survey/survey.h"

#define VERSION 1

void survey_print(const struct survey *s, FILE *to)
{
	fprintf(to, "survey %d %" PRIu32 " %" PRIu64 " %d\n", VERSION, s->epoch, s->bad, s->cut);
	for (size_t i = 0; i < s->cpus; i++)
		fprintf(to, "cpu %" PRIu32 " %d %" PRIx64 " %" PRIx64 "\n", s->cpu[i].index,
			s->cpu[i].la57 ? 5 : 4, s->cpu[i].cr3, s->cpu[i].gs);
	for (size_t i = 0; i < s->tables; i++)
		fprintf(to, "table %" PRIx64 " %u %" PRIx64 " %u\n", s->table[i].gpa,
			s->table[i].level, s->table[i].va, s->table[i].halves);
	for (size_t i = 0; i < s->ranges; i++)
		fprintf(to, "range %" PRIx64 " %" PRIu64 " %" PRIx64 "\n", s->range[i].gpa,
			s->range[i].pages, s->range[i].va);
	fputs("end\n", to);
}

/* ---- reading it back ---- */

struct reader {
	const char *at;
	size_t line;
	struct survey *s;
	size_t room[3]; /* of cpu, table, range */
};

/* The word that is next, of lower case letters. */
static bool take_word(struct reader *in, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(in->at, word, len) != 0 || (in->at[len] != ' ' && in->at[len] != '\n'))
		return false;
	in->at += len;
	return true;
}

/* A space and a number of at most @most. */
static bool take(struct reader *in, unsigned base, uint64_t most, uint64_t *ret)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = in->at;
	uint64_t value = 0;

	if (*at++ != ' ')
		return false;
	for (const char *digit; *at && (digit = strchr(digits, *at)); at++) {
		unsigned one = (unsigned)(digit - digits);
		if (one >= base || one > most || value > (most - one) / base)
			return false;
		value = value * base + one;
	}
	if (at == in->at + 1)
		return false;
	in->at = at;
	*ret = value;
	return true;
}

/* Room for one more. Return: where; NULL without memory. */
static void *more(void *array, size_t *room, size_t count, size_t size)
{
	void *bigger = *(void **)array;

	if (count == *room) {
		*room = *room ? 2 * *room : 64;
		bigger = realloc(bigger, *room * size);
		if (!bigger)
			return NULL;
		*(void **)array = bigger;
	}
	return (char *)bigger + count * size;
}

static int read_head(struct reader *in)
{
	uint64_t version, epoch, bad, cut;

	if (!take_word(in, "survey") || !take(in, 10, UINT32_MAX, &version) || version != VERSION ||
	    !take(in, 10, UINT32_MAX, &epoch) || !take(in, 10, UINT64_MAX, &bad) ||
	    !take(in, 10, 1, &cut))
		return -EBADMSG;
	in->s->epoch = (uint32_t)epoch;
	in->s->bad = bad;
	in->s->cut = cut;
	return 0;
}

static int read_cpu(struct reader *in)
{
	uint64_t index, levels, cr3, gs;
	struct survey_cpu *c;

	if (!take(in, 10, MAX_VCPUS - 1, &index) || !take(in, 10, 5, &levels) || levels < 4 ||
	    !take(in, 16, UINT64_MAX, &cr3) || !take(in, 16, UINT64_MAX, &gs) ||
	    in->s->cpus == MAX_VCPUS)
		return -EBADMSG;
	c = more(&in->s->cpu, &in->room[0], in->s->cpus, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct survey_cpu){(uint32_t)index, levels == 5, cr3, gs};
	in->s->cpus++;
	return 0;
}

static int read_table(struct reader *in)
{
	uint64_t gpa, level, va, halves;
	struct survey_table *t;

	if (!take(in, 16, UINT64_MAX, &gpa) || !take(in, 10, 5, &level) || !level ||
	    !take(in, 16, UINT64_MAX, &va) || !take(in, 10, 3, &halves) ||
	    in->s->tables == SURVEY_TABLES)
		return -EBADMSG;
	t = more(&in->s->table, &in->room[1], in->s->tables, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct survey_table){gpa, va, (uint8_t)level, (uint8_t)halves, false};
	in->s->tables++;
	return 0;
}

static int read_range(struct reader *in)
{
	uint64_t gpa, pages, va;
	struct survey_range *r;

	if (!take(in, 16, UINT64_MAX, &gpa) || !take(in, 10, UINT64_MAX >> PAGE_SHIFT, &pages) ||
	    !take(in, 16, UINT64_MAX, &va) || in->s->ranges == SURVEY_RANGES)
		return -EBADMSG;
	r = more(&in->s->range, &in->room[2], in->s->ranges, sizeof(*r));
	if (!r)
		return -ENOMEM;
	*r = (struct survey_range){gpa, va, pages};
	in->s->ranges++;
	return 0;
}

static int read_line(struct reader *in)
{
	int r;

	if (in->line == 1)
		r = read_head(in);
	else if (take_word(in, "cpu"))
		r = read_cpu(in);
	else if (take_word(in, "table"))
		r = read_table(in);
	else if (take_word(in, "range"))
		r = read_range(in);
	else
		r = -EBADMSG;
	return r == 0 && *in->at++ != '\n' ? -EBADMSG : r;
}

int survey_parse(const char *name, const char *text, struct survey **ret, struct err *err)
{
	_cleanup_(survey_freep) struct survey *s = calloc(1, sizeof(*s));
	struct reader in = {.at = text, .line = 1, .s = s};

	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	for (; in.line == 1 || strcmp(in.at, "end\n") != 0; in.line++) {
		int r = read_line(&in);
		if (r == -ENOMEM)
			return err_set(err, r, "out of memory");
		if (r < 0)
			return err_set(err, r, "%s: line %zu is none of a survey", name, in.line);
	}
	*ret = TAKE_PTR(s);
	return 0;
}
