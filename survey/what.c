/* SPDX-License-Identifier: Apache-2.0 */
#include "survey/what.h"

#define SURVEY_KERNEL  UINT64_C(0xffffffff80000000)
#define SURVEY_MODULES UINT64_C(0xffffffffc0000000)
#define FIXMAP	       UINT64_C(0xffffffffff000000)
#define ENTRY	       UINT64_C(0xfffffe0000000000)
#define ENTRY_END      UINT64_C(0xfffffe8000000000)
#define LARGE_BYTES    (2 * MIB)
#define BASES	       64u

/* Where a kernel that has not moved them has its areas, with four levels and with five. */
static const struct areas {
	uint64_t direct, vmalloc, vmalloc_end, structs, structs_end;
} fixed_areas[2] = {
	{0xffff888000000000, 0xffffc90000000000, 0xffffe90000000000, 0xffffea0000000000,
	 0xffffeb0000000000},
	{0xff11000000000000, 0xffa0000000000000, 0xffd2000000000000, 0xffd4000000000000,
	 0xffd6000000000000},
};

/* How one survey's addresses are to be read. */
struct view {
	const struct survey *s;
	const struct survey_names *names;
	struct areas areas; /* with unknown ones empty */
};

/* ---- the map of addresses ---- */

struct base {
	uint64_t base, pages;
};

/* Of the lower part of the kernel's half: what maps most pages with one distance. */
static uint64_t find_direct(const struct survey *s)
{
	struct base base[BASES];
	size_t bases = 0, best = 0;

	for (size_t i = 0; i < s->ranges; i++) {
		const struct survey_range *r = &s->range[i];
		size_t at = 0;

		if (r->va < SURVEY_HALF || r->va >= ENTRY)
			continue;
		while (at < bases && base[at].base != r->va - r->gpa)
			at++;
		if (at == BASES) /* the direct map is met early, being low */
			continue;
		if (at == bases)
			base[bases++] = (struct base){r->va - r->gpa, 0};
		base[at].pages += r->pages;
	}
	for (size_t i = 1; i < bases; i++)
		if (base[i].pages > base[best].pages)
			best = i;
	return bases ? base[best].base : 0;
}

static struct view view_of(const struct survey *s, const struct survey_names *names)
{
	struct view v = {.s = s, .names = names, .areas.direct = find_direct(s)};

	for (size_t i = 0; i < ARRAY_SIZE(fixed_areas); i++)
		if (v.areas.direct == fixed_areas[i].direct)
			v.areas = fixed_areas[i];
	return v;
}

/* Of which CPU is it? @ret_va: the address as symbols count it. */
static bool find_cpu(const struct view *v, uint64_t va, uint32_t *ret_cpu, uint64_t *ret_va)
{
	uint64_t first = v->names->percpu, bytes = SURVEY_PERCPU_LEAST;

	if (v->names->percpu_end)
		bytes = ALIGN_UP(v->names->percpu_end - first + SURVEY_DYNAMIC, PAGE_BYTES);
	for (size_t i = 0; i < v->s->cpus; i++) {
		if (!v->s->cpu[i].gs || va - v->s->cpu[i].gs - first >= bytes)
			continue;
		*ret_cpu = v->s->cpu[i].index;
		*ret_va = va - v->s->cpu[i].gs;
		return true;
	}
	return false;
}

static enum survey_kind kind_of(const struct view *v, uint64_t va, uint64_t gpa)
{
	if (va < SURVEY_HALF)
		return SURVEY_USER;
	if (va >= SURVEY_KERNEL)
		return va < SURVEY_MODULES ? SURVEY_IMAGE
		       : va < FIXMAP	   ? SURVEY_MODULE
					   : SURVEY_FIXMAP;
	if (va >= ENTRY)
		return va < ENTRY_END ? SURVEY_ENTRY : SURVEY_MAPPED;
	if (v->areas.direct && va - gpa == v->areas.direct)
		return SURVEY_DIRECT;
	if (va >= v->areas.vmalloc && va < v->areas.vmalloc_end)
		return SURVEY_VMALLOC;
	return va >= v->areas.structs && va < v->areas.structs_end ? SURVEY_STRUCTS : SURVEY_MAPPED;
}

/* What a table maps: that it is the direct map its address alone must tell. */
static enum survey_kind mapped_by(const struct view *v, const struct survey_table *t)
{
	if (v->areas.vmalloc && t->va >= v->areas.direct && t->va < v->areas.vmalloc)
		return SURVEY_DIRECT;
	return kind_of(v, t->va, 0);
}

/* ---- pages ---- */

/* The first of those that are at @gpa or above. */
static size_t first_from(const struct survey_what *what, size_t count, uint64_t gpa)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (what[middle].gpa >= gpa)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void add_mapping(const struct view *v, const struct survey_range *r, struct survey_what *w)
{
	uint64_t va = r->va + (w->gpa - r->gpa);
	enum survey_kind kind = kind_of(v, va, w->gpa);
	uint32_t cpu = 0;

	if (kind != SURVEY_USER && kind != SURVEY_IMAGE && find_cpu(v, va, &cpu, &va))
		kind = SURVEY_PERCPU;
	if (w->kind && w->kind <= kind)
		return;
	w->kind = kind;
	w->cpu = cpu;
	w->va = va;
}

/* A page that is a table at several levels is told as the lowest: upper ones look at themselves. */
static void add_table(const struct view *v, const struct survey_table *t, struct survey_what *w)
{
	if (w->level && w->level <= t->level)
		return;
	w->level = t->level;
	/* A top table maps both halves, and one below it more than one area, perhaps. */
	w->user = !t->halves && t->va < SURVEY_HALF;
	w->mapped = t->halves || t->level > 2 ? 0 : mapped_by(v, t);
}

void survey_what(const struct survey *s, const struct survey_names *names, struct survey_what *what,
		 size_t count)
{
	struct view v = view_of(s, names);

	for (size_t i = 0; i < s->ranges; i++) {
		const struct survey_range *r = &s->range[i];
		size_t at = first_from(what, count, r->gpa);

		for (; at < count && (what[at].gpa - r->gpa) >> PAGE_SHIFT < r->pages; at++)
			add_mapping(&v, r, &what[at]);
	}
	for (size_t i = 0; i < s->tables; i++) {
		const struct survey_table *t = &s->table[i];
		size_t at = first_from(what, count, t->gpa);

		for (; at < count && what[at].gpa == t->gpa; at++)
			add_table(&v, t, &what[at]);
	}
}

/* ---- names ---- */

/* The lowest address of the image that is mapped, which is where a kernel's text begins. */
static uint64_t image_begin(const struct survey *s)
{
	uint64_t begin = SURVEY_MODULES;

	for (size_t i = 0; i < s->ranges; i++)
		if (s->range[i].va >= SURVEY_KERNEL)
			begin = MIN(begin, s->range[i].va);
	return begin;
}

/* Where per-CPU variables have addresses in the image, these have moved with it. */
static void find_percpu(const struct symbols *symbols, struct survey_names *n)
{
	uint64_t from, to;

	if (!symbols_find(symbols, "__per_cpu_start", &from) ||
	    !symbols_find(symbols, "__per_cpu_end", &to) || to <= from || to - from > LARGE_BYTES)
		return;
	n->percpu = from < SURVEY_KERNEL ? from : from + n->slide;
	n->percpu_end = from < SURVEY_KERNEL ? to : to + n->slide;
}

/* Code and data of the boot, and what is between read-only data and the rest. */
static void find_freed(const struct symbols *symbols, struct survey_names *n)
{
	static const char *const names[2][2] = {{"__init_begin", "__init_end"},
						{"__end_rodata", "_sdata"}};
	uint64_t from, to;

	for (unsigned i = 0; i < 2; i++) {
		if (!symbols_find(symbols, names[i][0], &from) ||
		    !symbols_find(symbols, names[i][1], &to))
			continue;
		n->freed[i][0] = ALIGN_UP(from, PAGE_BYTES) + n->slide;
		n->freed[i][1] = ALIGN_DOWN(to, PAGE_BYTES) + n->slide;
	}
}

static bool is_freed(const struct survey_names *n, uint64_t va)
{
	return (va >= n->freed[0][0] && va < n->freed[0][1]) ||
	       (va >= n->freed[1][0] && va < n->freed[1][1]);
}

bool survey_names(const struct survey *s, const struct symbols *symbols, struct survey_names *ret)
{
	uint64_t text, end, begin = image_begin(s);

	*ret = (struct survey_names){0};
	if (!symbols || begin >= SURVEY_MODULES || !symbols_find(symbols, "_text", &text) ||
	    !symbols_find(symbols, "_end", &end) || text < SURVEY_KERNEL || end <= text)
		return false;
	if ((begin - text) % LARGE_BYTES || begin - text >= SURVEY_MODULES - SURVEY_KERNEL)
		return false;
	ret->slide = begin - text;
	ret->end = end + ret->slide;
	ret->symbols = symbols;
	find_percpu(symbols, ret);
	find_freed(symbols, ret);
	return true;
}

static void names_within(const struct survey_names *n, uint64_t va, uint64_t end, char *buf,
			 size_t len)
{
	uint64_t slide = va >= SURVEY_KERNEL ? n->slide : 0;

	buf[0] = '\0';
	if (n->symbols && va < end)
		symbols_within(n->symbols, va - slide, end - slide, buf, len);
}

static const char *const kinds[] = {
	[SURVEY_IMAGE] = "kernel",	   [SURVEY_PERCPU] = "per-CPU",
	[SURVEY_MODULE] = "module",	   [SURVEY_ENTRY] = "CPU entry",
	[SURVEY_STRUCTS] = "page structs", [SURVEY_VMALLOC] = "vmalloc",
	[SURVEY_FIXMAP] = "fixmap",	   [SURVEY_USER] = "user",
	[SURVEY_MAPPED] = "kernel map",	   [SURVEY_DIRECT] = "memory",
};

/* "table 1 of vmalloc" */
static int table_text(const struct survey_what *w, char *buf, size_t len)
{
	const char *of = w->user ? kinds[SURVEY_USER] : w->mapped ? kinds[w->mapped] : "";

	return snprintf(buf, len, "table %u%s%s", w->level, of[0] ? " of " : "", of);
}

const char *survey_text(const struct survey_what *w, const struct survey_names *names, char *buf,
			size_t len)
{
	char text[4 * (SYMBOL_NAME + 2) + 32] = "";
	bool freed = w->kind == SURVEY_IMAGE && is_freed(names, w->va);
	int used = 0;

	if (w->kind == SURVEY_IMAGE && !freed)
		names_within(names, w->va, MIN(w->va + PAGE_BYTES, names->end), text, sizeof(text));
	else if (w->kind == SURVEY_PERCPU)
		names_within(names, w->va, MIN(w->va + PAGE_BYTES, names->percpu_end), text,
			     sizeof(text));
	if (w->level)
		used = table_text(w, buf, len);
	else if (w->kind == SURVEY_PERCPU)
		used = snprintf(buf, len, "%s %u", kinds[w->kind], w->cpu);
	else
		used = snprintf(buf, len, "%s",
				freed	  ? "kernel (freed)"
				: w->kind ? kinds[w->kind]
					  : "-");
	if (text[0] && (size_t)used < len)
		snprintf(buf + used, len - (size_t)used, ": %s", text);
	return buf;
}
