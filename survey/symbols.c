/* SPDX-License-Identifier: Apache-2.0 */
#include "survey/symbols.h"

#include <inttypes.h>

#define SHOWN 4u /* names of one page */
#define FEW   16u

static const char *name_of(const struct symbols *s, const struct symbol *symbol)
{
	return s->names + symbol->name;
}

static int make_room(struct symbols *s, size_t len)
{
	if (s->count == SYMBOLS_MOST || s->len + len + 1 > UINT32_MAX)
		return -E2BIG;
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 4096;
		struct symbol *bigger = realloc(s->symbol, room * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		s->symbol = bigger;
		s->room = room;
	}
	if (s->len + len + 1 > s->names_room) {
		size_t room = MAX(2 * s->names_room, s->len + len + 1);
		char *bigger = realloc(s->names, room);
		if (!bigger)
			return -ENOMEM;
		s->names = bigger;
		s->names_room = room;
	}
	return 0;
}

int symbols_add(struct symbols *s, uint64_t addr, char type, const char *name, size_t len)
{
	int r = make_room(s, len);

	if (r < 0)
		return r;
	s->symbol[s->count++] = (struct symbol){addr, (uint32_t)s->len, type};
	memcpy(s->names + s->len, name, len);
	s->names[s->len + len] = '\0';
	s->len += len + 1;
	return 0;
}

/* Of one address the global one is first, and of those the one that came first. */
static int compare(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;
	bool x_local = x->type >= 'a', y_local = y->type >= 'a';

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (x_local != y_local)
		return x_local ? 1 : -1;
	return x->name < y->name ? -1 : x->name > y->name;
}

void symbols_sort(struct symbols *s)
{
	if (s->count)
		qsort(s->symbol, s->count, sizeof(*s->symbol), compare);
}

/* ---- System.map ---- */

static bool is_name(char c)
{
	return c > ' ' && c <= '~';
}

/* "ffffffff81000000 T _text", and nothing or a module's name behind it. Return: NULL for no such
 * line; else its end. -ENOMEM, -E2BIG in @r. */
static const char *take_line(struct symbols *s, const char *at, int *r)
{
	uint64_t addr = 0;
	size_t digits = 0, len = 0;

	for (; digits < 16 && at[digits] && strchr("0123456789abcdef", at[digits]); digits++)
		addr = addr << 4 |
		       (uint64_t)(at[digits] <= '9' ? at[digits] - '0' : at[digits] - 'a' + 10);
	at += digits;
	if (!digits || at[0] != ' ' || !is_name(at[1]) || at[2] != ' ')
		return NULL;
	while (is_name(at[3 + len]))
		len++;
	if (!len || len > SYMBOL_NAME)
		return NULL;
	*r = symbols_add(s, addr, at[1], at + 3, len);
	return at + 3 + len;
}

int symbols_parse(const char *name, const char *text, struct symbols *ret, struct err *err)
{
	struct symbols s = {0};
	size_t line = 1;
	int r = 0;

	for (const char *at = text; r == 0 && *at; line++) {
		at = take_line(&s, at, &r);
		if (!at)
			r = -EBADMSG;
		else if (r == 0)
			at += strcspn(at, "\n");
		if (r == 0 && *at)
			at++;
	}
	if (r == -EBADMSG)
		err_set(err, r, "%s: line %zu is none of a System.map", name, line - 1);
	else if (r < 0)
		err_set(err, r, "%s: %s", name, strerror(-r));
	else if (s.count < FEW)
		r = err_set(err, -ENODATA, "%s has no symbols; its distribution has them elsewhere",
			    name);
	if (r < 0) {
		symbols_free(&s);
		return r;
	}
	symbols_sort(&s);
	*ret = s;
	return 0;
}

void symbols_print(const struct symbols *s, FILE *to)
{
	for (size_t i = 0; i < s->count; i++)
		fprintf(to, "%016" PRIx64 " %c %s\n", s->symbol[i].addr, s->symbol[i].type,
			name_of(s, &s->symbol[i]));
}

/* ---- looking ---- */

bool symbols_find(const struct symbols *s, const char *name, uint64_t *ret)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(name_of(s, &s->symbol[i]), name) == 0) {
			*ret = s->symbol[i].addr;
			return true;
		}
	return false;
}

/* The first symbol behind @addr. */
static size_t behind(const struct symbols *s, uint64_t addr)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (s->symbol[middle].addr > addr)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct shown {
	size_t symbol;
	uint64_t bytes;
};

/* In place of the one that has least, if that has less. Order is kept. */
static void show(struct shown *all, unsigned *count, struct shown one)
{
	unsigned least = 0;

	if (*count < SHOWN) {
		all[(*count)++] = one;
		return;
	}
	for (unsigned i = 1; i < SHOWN; i++)
		if (all[i].bytes < all[least].bytes)
			least = i;
	if (all[least].bytes >= one.bytes)
		return;
	memmove(&all[least], &all[least + 1], (SHOWN - 1 - least) * sizeof(*all));
	all[SHOWN - 1] = one;
}

/* The symbols that have most of it. Return: how many others there are. */
static size_t gather(const struct symbols *s, uint64_t addr, uint64_t end, struct shown *all,
		     unsigned *count)
{
	size_t seen = 0, at = behind(s, addr), next;

	/* From the one on that has begun before. */
	for (bool first = true; at > 0 && (first || s->symbol[at - 1].addr == s->symbol[at].addr);
	     first = false)
		at--;
	for (*count = 0; at < s->count && s->symbol[at].addr < end; at = next, seen++) {
		uint64_t from = MAX(s->symbol[at].addr, addr), to = end;

		for (next = at + 1; next < s->count && s->symbol[next].addr == s->symbol[at].addr;)
			next++;
		if (next < s->count)
			to = MIN(to, s->symbol[next].addr);
		show(all, count, (struct shown){at, to - from});
	}
	return seen - *count;
}

void symbols_within(const struct symbols *s, uint64_t addr, uint64_t end, char *buf, size_t len)
{
	struct shown all[SHOWN];
	unsigned count;
	size_t used = 0, others = gather(s, addr, end, all, &count);

	buf[0] = '\0';
	for (unsigned i = 0; i < count; i++, used = strlen(buf))
		snprintf(buf + used, len - used, "%s%s", i ? ", " : "",
			 name_of(s, &s->symbol[all[i].symbol]));
	if (others)
		snprintf(buf + used, len - used, " +%zu", others);
}

void symbols_free(struct symbols *s)
{
	free(s->symbol);
	free(s->names);
	*s = (struct symbols){0};
}
