/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/trace_what.h"

#include <dirent.h>

#include "base/file.h"
#include "base/text.h"

#define SURVEYS_MOST 1024u

struct surveys {
	struct survey *one[SURVEYS_MOST];
	unsigned count;
};

static bool has_suffix(const char *name, const char *suffix)
{
	size_t len = strlen(name), end = strlen(suffix);

	return len > end && strcmp(name + len - end, suffix) == 0;
}

static int read_survey(const char *path, uint32_t epoch, struct surveys *all, struct err *err)
{
	_cleanup_(survey_freep) struct survey *s = NULL;
	struct file file;
	int r = file_read("survey", path, SURVEY_BYTES, &file, err);

	if (r < 0)
		return r;
	r = survey_parse(path, (const char *)file.data, &s, err);
	file_free(&file);
	if (r == 0 && s->epoch == epoch && all->count < SURVEYS_MOST)
		all->one[all->count++] = TAKE_PTR(s);
	return r;
}

static int read_symbols(const char *path, struct symbols *ret, struct err *err)
{
	struct file file;
	int r = file_read("System.map", path, SYMBOLS_BYTES, &file, err);

	if (r < 0)
		return r;
	r = symbols_parse(path, (const char *)file.data, ret, err);
	file_free(&file);
	return r;
}

/* Surveys of this run and, unless there are any, symbols. */
static int read_dir(const char *dir, uint32_t epoch, struct surveys *all, struct symbols *symbols,
		    struct err *err)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	int r = 0;

	if (!d)
		return err_set(err, -errno, "%s: %s", dir, strerror(errno));
	while (r == 0 && (e = readdir(d))) {
		bool survey = has_suffix(e->d_name, SURVEY_SUFFIX);
		bool wanted = survey || (!symbols->count && has_suffix(e->d_name, SYMBOLS_SUFFIX));
		_cleanup_free_ char *path = wanted ? text_printf("%s/%s", dir, e->d_name) : NULL;

		if (!wanted)
			continue;
		if (!path)
			r = err_set(err, -ENOMEM, "out of memory");
		else
			r = survey ? read_survey(path, epoch, all, err)
				   : read_symbols(path, symbols, err);
	}
	closedir(d);
	return r;
}

static int by_address(const void *a, const void *b)
{
	const struct survey_what *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

/* The image lies where it lies, whichever survey has seen it. */
static void fit(const struct surveys *all, struct trace_what *w)
{
	bool fits = false;

	for (unsigned i = 0; !fits && i < all->count; i++)
		fits = survey_names(all->one[i], w->symbols.count ? &w->symbols : NULL, &w->names);
	w->unfit = w->symbols.count && all->count && !fits;
}

static int look(const struct surveys *all, const struct trace_top *top, size_t pages,
		struct trace_what *w, struct err *err)
{
	w->pages = MIN(pages, top->pages);
	w->page = calloc(w->pages + 1, sizeof(*w->page));
	if (!w->page)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < w->pages; i++)
		w->page[i].gpa = top->page[i]->page;
	qsort(w->page, w->pages, sizeof(*w->page), by_address);
	fit(all, w);
	for (unsigned i = 0; i < all->count; i++) {
		survey_what(all->one[i], &w->names, w->page, w->pages);
		w->cut |= all->one[i]->cut;
	}
	w->surveys = all->count;
	return 0;
}

int trace_what_read(const char *dir, const char *map, const struct trace_set *set,
		    const struct trace_top *top, size_t pages, struct trace_what *ret,
		    struct err *err)
{
	struct surveys *all = calloc(1, sizeof(*all));
	int r = 0;

	*ret = (struct trace_what){0};
	if (!all)
		return err_set(err, -ENOMEM, "out of memory");
	if (map)
		r = read_symbols(map, &ret->symbols, err);
	if (r == 0)
		r = read_dir(dir, set->node[0]->head.epoch, all, &ret->symbols, err);
	if (r == 0)
		r = look(all, top, pages, ret, err);
	while (all->count)
		survey_free(all->one[--all->count]);
	free(all);
	if (r < 0)
		trace_what_free(ret);
	return r;
}

const char *trace_what_text(const struct trace_what *w, uint64_t gpa, char *buf, size_t len)
{
	const struct survey_what wanted = {.gpa = gpa};
	const struct survey_what *found =
		bsearch(&wanted, w->page, w->pages, sizeof(wanted), by_address);

	return found && w->surveys ? survey_text(found, &w->names, buf, len) : NULL;
}

void trace_what_free(struct trace_what *w)
{
	free(w->page);
	symbols_free(&w->symbols);
	*w = (struct trace_what){0};
}
