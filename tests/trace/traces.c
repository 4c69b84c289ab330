/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/trace/traces.h"

void traces_put(struct traces *t, unsigned node, struct trace_record r)
{
	if (++t->made == t->drop)
		return;
	assert_true(t->count[node] < RECORDS);
	r.time = t->made;
	t->record[node][t->count[node]++] = r;
}

void traces_message(struct traces *t, unsigned from, unsigned to, struct trace_record r)
{
	r.kind = TRACE_SENT;
	r.peer = (uint8_t)to;
	traces_put(t, from, r);
	r.kind = TRACE_RECEIVED;
	r.peer = (uint8_t)from;
	traces_put(t, to, r);
}

static size_t append(uint8_t *data, size_t len, const void *what, size_t bytes)
{
	memcpy(data + len, what, bytes);
	return len + bytes;
}

void traces_close(struct traces *t)
{
	const struct trace_chunk end = {.magic = TRACE_CHUNK, .end = 1};

	t->set = (struct trace_set){0};
	for (unsigned i = 0; i < NODES; i++) {
		const struct trace_header head = {.magic = TRACE_MAGIC,
						  .version = TRACE_VERSION,
						  .wire_version = wire_version(),
						  .self = (uint16_t)i,
						  .nodes = NODES,
						  .shards = 1,
						  .record_bytes = sizeof(struct trace_record),
						  .ticks_khz = 1000000,
						  .name = {'n', (char)('0' + i)}};
		const struct trace_chunk chunk = {.magic = TRACE_CHUNK, .count = t->count[i]};
		struct trace_file *f = calloc(1, sizeof(*f));
		uint8_t *data = malloc(sizeof(head) + 2 * sizeof(chunk) + sizeof(t->record[i]));
		size_t len;
		struct err err;

		assert_true(f && data);
		len = append(data, 0, &head, sizeof(head));
		if (t->count[i]) {
			len = append(data, len, &chunk, sizeof(chunk));
			len = append(data, len, t->record[i],
				     t->count[i] * sizeof(t->record[i][0]));
		}
		if (!t->open[i])
			len = append(data, len, &end, sizeof(end));
		if (trace_file_parse("a trace", data, len, f, &err) < 0)
			fail_msg("node %u: %s", i, err.text);
		f->file = (struct file){data, len};
		assert_int_equal(trace_set_add(&t->set, "a trace", f, &err), 0);
	}
}

void traces_free(struct traces *t)
{
	trace_set_free(&t->set);
}
