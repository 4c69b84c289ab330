/* SPDX-License-Identifier: Apache-2.0 */
#include "survey/survey.h"

#define ENTRIES	 512u
#define LEVELS	 5u
#define SLOTS	 (2u * SURVEY_TABLES) /* of the set of tables; never more than half full */
#define ADDRESS	 UINT64_C(0x000ffffffffff000)
#define PRESENT	 UINT64_C(1)
#define ACCESSED (UINT64_C(1) << 5)
#define LARGE	 (UINT64_C(1) << 7)
#define NX	 (UINT64_C(1) << 63)

struct walk {
	const struct survey_source *source;
	struct survey *s;
	size_t room;	/* of ranges */
	uint32_t *slot; /* index of a table, and 1; 0: free */
	uint64_t entry[LEVELS + 1]
		      [ENTRIES]; /* of the table under way at each level; [0]: a pair's */
};

static unsigned shift_of(unsigned level)
{
	return PAGE_SHIFT + 9 * (level - 1);
}

/* Bits above those that tables translate repeat the highest of them. */
static uint64_t canonical(uint64_t va, bool la57)
{
	unsigned unused = la57 ? 7 : 16;

	return (uint64_t)((int64_t)(va << unused) >> unused);
}

/* The table's entry, new or known; NULL: there is no room for it. */
static struct survey_table *table_of(struct walk *w, uint64_t gpa, unsigned level, bool *ret_new)
{
	struct survey *s = w->s;
	uint64_t at = ((gpa >> PAGE_SHIFT) * 8 + level) * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	for (at %= SLOTS; w->slot[at]; at = (at + 1) % SLOTS) {
		struct survey_table *t = &s->table[w->slot[at] - 1];
		if (t->gpa == gpa && t->level == level) {
			*ret_new = false;
			return t;
		}
	}
	if (s->tables == SURVEY_TABLES) {
		s->cut = true;
		return NULL;
	}
	w->slot[at] = (uint32_t)s->tables + 1;
	s->table[s->tables] = (struct survey_table){.gpa = gpa, .level = (uint8_t)level};
	*ret_new = true;
	return &s->table[s->tables++];
}

static int add_range(struct walk *w, uint64_t gpa, uint64_t va, uint64_t pages)
{
	struct survey *s = w->s;
	struct survey_range *last = s->ranges ? &s->range[s->ranges - 1] : NULL;

	if (last && last->gpa + last->pages * PAGE_BYTES == gpa &&
	    last->va + last->pages * PAGE_BYTES == va) {
		last->pages += pages;
		return 0;
	}
	if (s->ranges == SURVEY_RANGES) {
		s->cut = true;
		return 0;
	}
	if (s->ranges == w->room) {
		size_t room = w->room ? 2 * w->room : 1024;
		struct survey_range *bigger = realloc(s->range, room * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		s->range = bigger;
		w->room = room;
	}
	s->range[s->ranges++] = (struct survey_range){gpa, va, pages};
	return 0;
}

/* A page of 4 KiB, 2 MiB or 1 GiB. */
static int leaf(struct walk *w, uint64_t entry, unsigned level, uint64_t va)
{
	uint64_t bytes = UINT64_C(1) << shift_of(level);
	uint64_t gpa = entry & ADDRESS & ~(bytes - 1);
	/* Bit 12 of a large page's entry is of its caching. */
	uint64_t zero = level == 1 ? 0 : (bytes - 1) & ADDRESS & ~(UINT64_C(1) << PAGE_SHIFT);

	if (entry & zero) {
		w->s->bad++;
		return 0;
	}
	return add_range(w, gpa, va, bytes >> PAGE_SHIFT);
}

static int walk_entries(struct walk *w, unsigned level, unsigned first, unsigned end, uint64_t va,
			bool la57);

static int walk_table(struct walk *w, uint64_t gpa, unsigned level, uint64_t va, bool la57)
{
	bool is_new;
	struct survey_table *t = table_of(w, gpa, level, &is_new);

	if (!t || !is_new)
		return 0;
	t->va = va;
	int r = w->source->read(w->source->ctx, gpa, w->entry[level], PAGE_BYTES);
	if (r == -EFAULT) {
		w->s->bad++;
		t->no_ram = true;
		return 0;
	}
	return r < 0 ? r : walk_entries(w, level, 0, ENTRIES, va, la57);
}

static int walk_entries(struct walk *w, unsigned level, unsigned first, unsigned end, uint64_t va,
			bool la57)
{
	for (unsigned i = first; i < end; i++) {
		uint64_t entry = w->entry[level][i];
		uint64_t at = canonical(va + ((uint64_t)i << shift_of(level)), la57);
		int r = 0;

		if (!(entry & PRESENT))
			continue;
		if (level == 1 || (level <= 3 && (entry & LARGE)))
			r = leaf(w, entry, level, at);
		else if (entry & LARGE)
			w->s->bad++;
		else
			r = walk_table(w, entry & ADDRESS, level - 1, at, la57);
		if (r < 0)
			return r;
	}
	return 0;
}

/* @kernel: that half; else the user's. */
static int walk_top(struct walk *w, uint64_t gpa, bool la57, bool kernel)
{
	unsigned level = la57 ? 5 : 4, first = kernel ? ENTRIES / 2 : 0;
	bool is_new;
	struct survey_table *t = table_of(w, gpa, level, &is_new);

	if (!t || t->halves >> kernel & 1)
		return 0;
	t->halves |= (uint8_t)(1 << kernel);
	int r = w->source->read(w->source->ctx, gpa, w->entry[level], PAGE_BYTES);
	if (r == -EFAULT) {
		w->s->bad++;
		t->no_ram = true;
		return 0;
	}
	return r < 0 ? r : walk_entries(w, level, first, first + ENTRIES / 2, 0, la57);
}

/* Is the other page of the pair @gpa a top table of the same process? Negative: an error. */
static int is_paired(struct walk *w, uint64_t gpa)
{
	const uint64_t differs = NX | ACCESSED;
	bool some = false;
	int r = w->source->read(w->source->ctx, gpa, w->entry[0], PAGE_BYTES);

	if (r == 0)
		r = w->source->read(w->source->ctx, gpa ^ PAGE_BYTES, w->entry[1], PAGE_BYTES);
	if (r < 0)
		return r == -EFAULT ? 0 : r;
	for (unsigned i = 0; i < ENTRIES / 2; i++) {
		if ((w->entry[0][i] ^ w->entry[1][i]) & ~differs)
			return 0;
		some |= w->entry[0][i] & PRESENT;
	}
	return some;
}

static int walk_cpu(struct walk *w, const struct survey_cpu *cpu, bool kernel)
{
	uint64_t top = cpu->cr3 & ADDRESS;

	if (!cpu->cr3)
		return 0;
	int r = walk_top(w, top, cpu->la57, kernel);
	if (r == 0)
		r = is_paired(w, top);
	return r > 0 ? walk_top(w, top ^ PAGE_BYTES, cpu->la57, kernel) : r;
}

/* Those that were no RAM. */
static void drop_false(struct survey *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->tables; i++)
		if (!s->table[i].no_ram)
			s->table[kept++] = s->table[i];
	s->tables = kept;
}

int survey_take(const struct survey_source *source, const struct survey_cpu *cpu, size_t cpus,
		struct survey **ret)
{
	_cleanup_(survey_freep) struct survey *s = calloc(1, sizeof(*s));
	_cleanup_free_ struct walk *w = calloc(1, sizeof(*w));
	_cleanup_free_ uint32_t *slot = calloc(SLOTS, sizeof(*slot));

	if (!s || !w || !slot)
		return -ENOMEM;
	s->cpu = calloc(cpus + 1, sizeof(*cpu));
	s->table = calloc(SURVEY_TABLES, sizeof(*s->table));
	if (!s->cpu || !s->table)
		return -ENOMEM;
	for (size_t i = 0; i < cpus; i++)
		s->cpu[s->cpus++] = cpu[i];
	w->source = source;
	w->s = s;
	w->slot = slot;
	for (size_t i = 0; i < 2 * cpus; i++) {
		int r = walk_cpu(w, &cpu[i % cpus], i < cpus);
		if (r < 0)
			return r;
	}
	drop_false(s);
	*ret = TAKE_PTR(s);
	return 0;
}

void survey_free(struct survey *s)
{
	if (!s)
		return;
	free(s->cpu);
	free(s->table);
	free(s->range);
	free(s);
}
