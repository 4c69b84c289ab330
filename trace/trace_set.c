/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/trace_set.h"

#include <dirent.h>

#include "base/text.h"

int trace_set_add(struct trace_set *set, const char *name, struct trace_file *f, struct err *err)
{
	const struct trace_header *head = &f->head, *first = NULL;

	for (unsigned i = 0; !first && i < set->nodes; i++)
		first = set->node[i] ? &set->node[i]->head : NULL;
	if (first && (head->epoch != first->epoch || head->nodes != first->nodes ||
		      head->shards != first->shards))
		return err_set(err, -EINVAL, "%s: is of another run than the others; remove one",
			       name);
	if (first && set->node[head->self])
		return err_set(err, -EINVAL, "%s: there is another trace of node %u; remove one",
			       name, head->self);
	set->nodes = head->nodes;
	set->shards = head->shards;
	set->node[head->self] = f;
	return 0;
}

static int read_one(struct trace_set *set, const char *dir, const char *name, struct err *err)
{
	_cleanup_free_ char *path = text_printf("%s/%s", dir, name);
	struct trace_file *f = calloc(1, sizeof(*f));
	int r;

	if (!f || !path) {
		free(f);
		return err_set(err, -ENOMEM, "%s: out of memory", dir);
	}
	r = trace_file_read(path, f, err);
	if (r == 0)
		r = trace_set_add(set, path, f, err);
	if (r < 0) {
		trace_file_free(f);
		free(f);
	}
	return r;
}

static bool is_trace(const char *name)
{
	size_t len = strlen(name), suffix = strlen(TRACE_SUFFIX);

	return len > suffix && strcmp(name + len - suffix, TRACE_SUFFIX) == 0;
}

static int check_all_here(const struct trace_set *set, const char *dir, struct err *err)
{
	if (!set->nodes)
		return err_set(err, -ENOENT, "%s: there is no trace in it", dir);
	for (unsigned i = 0; i < set->nodes; i++)
		if (!set->node[i])
			return err_set(err, -ENOENT,
				       "%s: the trace of node %u of %u is missing; bring those "
				       "of all nodes there",
				       dir, i, set->nodes);
	return 0;
}

int trace_set_read(const char *dir, struct trace_set *ret, struct err *err)
{
	struct trace_set set = {0};
	DIR *d = opendir(dir);
	const struct dirent *e;
	int r = 0;

	if (!d)
		return err_set(err, -errno, "%s: %s; give the directory of a run's traces", dir,
			       strerror(errno));
	while (r == 0 && (e = readdir(d)))
		r = is_trace(e->d_name) ? read_one(&set, dir, e->d_name, err) : 0;
	closedir(d);
	if (r == 0)
		r = check_all_here(&set, dir, err);
	if (r < 0)
		trace_set_free(&set);
	else
		*ret = set;
	return r;
}

void trace_set_free(struct trace_set *set)
{
	for (unsigned i = 0; i < set->nodes; i++) {
		if (set->node[i])
			trace_file_free(set->node[i]);
		free(TAKE_PTR(set->node[i]));
	}
}

bool trace_set_record(const struct trace_set *set, unsigned node, unsigned shard, uint64_t index,
		      struct trace_record *ret)
{
	const struct trace_file *f = set->node[node];

	for (size_t i = 0; i < f->parts; i++) {
		const struct trace_part *part = &f->part[i];

		if (part->shard != shard)
			continue;
		if (index < part->count) {
			memcpy(ret, part->at + index * sizeof(*ret), sizeof(*ret));
			return true;
		}
		index -= part->count;
	}
	return false;
}
