/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trace file of any bytes: it is refused, or all that is read of it is what it was checked to be.
 * The checker finds in it what it likes, as the trace of all nodes, and names records that exist;
 * it is counted, too.
 *
 * Input: the file itself, but for the version of the messages, which is a hash that nobody guesses.
 */
#include "tests/fuzz/fuzz.h"
#include "trace/check.h"
#include "trace/top.h"
#include "wire/msg.h"

#define NODES_MOST 4

static void read_shard(const struct trace_file *f, unsigned shard)
{
	struct trace_cursor c = {f, shard};
	struct trace_record r;
	uint64_t records = 0;
	char text[160];

	for (; trace_cursor_next(&c, &r); records++) {
		fuzz_check(trace_record_check(&r, f->head.nodes) == 0);
		fuzz_check(trace_record_text(&r, text, sizeof(text)) == text && text[0]);
	}
	fuzz_check(records == f->shard[shard].records && records == c.index);
}

static void on_finding(void *ctx, const struct trace_finding *f)
{
	const struct trace_set *set = ctx;
	struct trace_record r;

	fuzz_check(f->at.node < set->nodes && f->rule < TRACE_RULES && f->text);
	fuzz_check(trace_set_record(set, f->at.node, f->shard, f->at.index, &r));
	if (f->has_other)
		fuzz_check(trace_set_record(set, f->other.node, f->shard, f->other.index, &r));
}

/* As if every node had done the same. */
static void check_all(const uint8_t *data, size_t len, unsigned nodes)
{
	struct trace_verdict verdict;
	struct trace_set set = {0};
	struct trace_top top;
	struct err err;

	for (unsigned i = 0; i < nodes; i++) {
		struct trace_file *f = calloc(1, sizeof(*f));

		fuzz_check(f && trace_file_parse("input", data, len, f, &err) == 0);
		f->head.self = (uint16_t)i;
		fuzz_check(trace_set_add(&set, "input", f, &err) == 0);
	}
	fuzz_check(trace_check(&set, on_finding, &set, &verdict) == 0);
	fuzz_check(trace_top(&set, &top) == 0 && top.nodes == nodes);
	trace_top_free(&top);
	trace_set_free(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint32_t version = wire_version();
	_cleanup_free_ uint8_t *copy = malloc(len ?: 1);
	struct trace_file f;
	struct err err;

	fuzz_check(copy);
	memcpy(copy, data, len);
	if (len >= sizeof(struct trace_header))
		memcpy(copy + offsetof(struct trace_header, wire_version), &version,
		       sizeof(version));
	if (trace_file_parse("input", copy, len, &f, &err) < 0) {
		fuzz_check(err.text[0]);
		return 0;
	}
	for (unsigned i = 0; i < f.head.shards; i++)
		read_shard(&f, i);
	if (f.head.nodes <= NODES_MOST)
		check_all(copy, len, f.head.nodes);
	trace_file_free(&f);
	return 0;
}

static size_t append(uint8_t *data, size_t len, const void *what, size_t bytes)
{
	memcpy(data + len, what, bytes);
	return len + bytes;
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	const struct trace_header head = {.magic = TRACE_MAGIC,
					  .version = TRACE_VERSION,
					  .nodes = 3,
					  .shards = 2,
					  .record_bytes = sizeof(struct trace_record),
					  .ticks_khz = 1,
					  .name = "a"};
	size_t len = append(data, 0, &head, sizeof(head));

	for (unsigned chunks = (unsigned)(fuzz_random(random) % 4); chunks; chunks--) {
		struct trace_chunk chunk = {.magic = TRACE_CHUNK,
					    .shard = (uint16_t)(fuzz_random(random) % 2),
					    .count = (uint32_t)(1 + fuzz_random(random) % 4)};

		len = append(data, len, &chunk, sizeof(chunk));
		for (unsigned i = 0; i < chunk.count; i++) {
			struct trace_record r = {
				.kind = (uint8_t)(1 + fuzz_random(random) % (TRACE_KINDS - 1)),
				.addr = fuzz_random(random) % 4 * PAGE_BYTES};

			if (r.kind == TRACE_SENT || r.kind == TRACE_RECEIVED)
				r.what = (uint8_t)(WIRE_GETS + fuzz_random(random) % 17);
			len = append(data, len, &r, sizeof(r));
		}
	}
	for (unsigned flips = (unsigned)(fuzz_random(random) % 3); flips; flips--)
		data[fuzz_random(random) % len] ^= (uint8_t)(1 << fuzz_random(random) % 8);
	return len - (fuzz_random(random) % 4 ? 0 : fuzz_random(random) % 40);
}
