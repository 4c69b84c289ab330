/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/marks.h"

static json_t *last(const struct marks *m)
{
	return json_array_get(m->all, json_array_size(m->all) - 1);
}

void marks_add(struct marks *m, struct cluster_run *run, unsigned nodes, const char *name)
{
	json_t *counts;

	if (m->missing || json_array_size(m->all) >= MARKS_MAX)
		return;
	if (!m->all)
		m->all = json_array();
	counts = json_array();
	for (unsigned i = 0; i < nodes; i++) {
		json_array_append_new(counts, json_null());
		if (cluster_run_command(run, i, "stats", &m->asked[i]) == 0)
			m->missing++;
	}
	json_array_append_new(m->all, json_pack("{s:s, s:o}", "name", name, "nodes", counts));
}

bool marks_reply(struct marks *m, unsigned node, uint32_t id, const json_t *body,
		 const char **ret_whole)
{
	json_t *mark = last(m), *counts = json_object_get(body, "report");

	*ret_whole = NULL;
	if (node >= MAX_NODES || !m->asked[node] || m->asked[node] != id)
		return false;
	m->asked[node] = 0;
	if (counts)
		json_array_set(json_object_get(mark, "nodes"), node, counts);
	if (--m->missing == 0)
		*ret_whole = json_string_value(json_object_get(mark, "name"));
	return true;
}

void marks_free(struct marks *m)
{
	json_decref(m->all);
	m->all = NULL;
}
