/* SPDX-License-Identifier: Apache-2.0 */
/* From the thread that records to the one that reads the file: rings, files, limits, damage. */
#include "tests/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/text.h"
#include "trace/trace_file.h"
#include "trace/writer.h"
#include "wire/msg.h"

#define RING   256
#define SHARDS 2
#define KHZ    2000
#define SIZE   MIB
#define MANY   200000 /* records; more than SIZE has room for */

struct place {
	char dir[64];
	char *file;
};

static uint64_t ticks(void *ctx)
{
	_Atomic uint64_t *now = ctx;

	return ++*now;
}

static _Atomic uint64_t now; /* the clock of all tests */

static struct trace_record fault(uint64_t page)
{
	return (struct trace_record){.kind = TRACE_FAULT, .addr = page * PAGE_BYTES, .value = 7};
}

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	strcpy(p->dir, "/tmp/ssihv-trace.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->file = text_printf("%s/alpha.trace", p->dir);
	assert_non_null(p->file);
	now = 0;
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	unlink(p->file);
	rmdir(p->dir);
	free(p->file);
	free(p);
	return 0;
}

static struct trace_writer_config config(const struct place *p)
{
	return (struct trace_writer_config){
		.dir = p->dir,
		.name = "alpha",
		.self = 1,
		.nodes = 3,
		.shards = SHARDS,
		.epoch = 9,
		.size = SIZE,
		.ticks_khz = KHZ,
		.clock = ticks,
		.ctx = &now,
		.ring = RING,
	};
}

static struct trace_writer *open_writer(const struct trace_writer_config *cfg)
{
	struct trace_writer *w;
	struct err err;

	if (trace_writer_new(cfg, &w, &err) < 0)
		fail_msg("%s", err.text);
	return w;
}

static struct trace_file read_file(const struct place *p)
{
	struct trace_file f;
	struct err err;

	if (trace_file_read(p->file, &f, &err) < 0)
		fail_msg("%s", err.text);
	return f;
}

/* ---- rings ---- */

static void a_ring_keeps_order_and_tells_what_it_lost(void **state)
{
	const struct trace_record *at;
	struct trace_ring ring;

	assert_int_equal(trace_ring_init(&ring, 8, ticks, &now), 0);
	assert_int_equal(trace_ring_look(&ring, &at), 0);
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 11; i++) /* three too many */
			trace_ring_put(&ring, &(struct trace_record){.kind = TRACE_FAULT,
								     .addr = i * PAGE_BYTES});
		uint64_t seen = 0, count;

		while ((count = trace_ring_look(&ring, &at)) > 0) {
			for (uint64_t i = 0; i < count; i++, seen++) {
				bool gap = round && !seen;

				assert_int_equal(at[i].kind, gap ? TRACE_GAP : TRACE_FAULT);
				assert_int_equal(gap ? at[i].value
						     : at[i].addr / PAGE_BYTES + !!round,
						 gap ? (round > 1 ? 4 : 3) : seen);
			}
			trace_ring_took(&ring, count);
		}
		assert_int_equal(seen, 8);
	}
	trace_ring_free(&ring);
}

struct maker {
	struct trace_ring *ring;
	uint64_t records;
};

static void *make(void *arg)
{
	struct maker *m = arg;

	for (uint64_t i = 0; i < m->records; i++) {
		const struct trace_record r = fault(i);

		trace_ring_put(m->ring, &r);
	}
	return NULL;
}

static void make_in_threads(struct trace_writer *w, uint64_t records)
{
	struct maker maker[SHARDS];
	pthread_t thread[SHARDS];

	for (unsigned i = 0; i < SHARDS; i++) {
		maker[i] = (struct maker){trace_writer_ring(w, i), records};
		assert_int_equal(pthread_create(&thread[i], NULL, make, &maker[i]), 0);
	}
	for (unsigned i = 0; i < SHARDS; i++)
		pthread_join(thread[i], NULL);
}

/*
 * Each record is the one that was made at its place, where gaps count as what they say. Return: the
 * records that are missing at the end.
 */
static uint64_t check_shard(const struct trace_file *f, unsigned shard, uint64_t records)
{
	struct trace_cursor c = {f, shard};
	struct trace_record r;
	uint64_t next = 0, time = 0;

	while (trace_cursor_next(&c, &r)) {
		assert_true(r.time >= time);
		time = r.time;
		if (r.kind == TRACE_GAP) {
			next += r.value;
		} else {
			assert_int_equal(r.kind, TRACE_FAULT);
			assert_int_equal(r.addr, next++ * PAGE_BYTES);
		}
	}
	assert_true(next <= records);
	assert_int_equal(c.index, f->shard[shard].records);
	return records - next;
}

/* ---- files ---- */

static void a_file_tells_what_was_recorded(void **state)
{
	const struct trace_writer_config cfg = config(*state);
	struct trace_writer *w = open_writer(&cfg);
	struct trace_outcome outcome;
	struct trace_file f;

	make_in_threads(w, RING);
	trace_writer_close(w, &outcome);
	assert_int_equal(outcome.written, SHARDS * RING);
	assert_int_equal(outcome.lost, 0);
	assert_int_equal(outcome.error, 0);

	f = read_file(*state);
	assert_string_equal(f.head.name, "alpha");
	assert_int_equal(f.head.self, 1);
	assert_int_equal(f.head.nodes, 3);
	assert_int_equal(f.head.shards, SHARDS);
	assert_int_equal(f.head.epoch, 9);
	assert_int_equal(f.head.ticks_khz, KHZ);
	assert_false(f.cut);
	for (unsigned i = 0; i < SHARDS; i++) {
		assert_int_equal(check_shard(&f, i, RING), 0);
		assert_true(f.shard[i].ended);
		assert_int_equal(f.shard[i].lost, 0);
	}
	trace_file_free(&f);
}

/* More than the rings and the file have room for: a beginning, its gaps, and the rest counted. */
static void a_full_file_is_a_whole_beginning(void **state)
{
	struct trace_writer_config cfg = config(*state);
	struct trace_outcome outcome;
	struct trace_writer *w;
	struct trace_file f;
	struct stat st;
	uint64_t gaps = 0, rest = 0, told = 0;

	cfg.ring = TRACE_RING; /* any of them holds more than the file */
	w = open_writer(&cfg);
	make_in_threads(w, MANY);
	trace_writer_close(w, &outcome);
	assert_int_equal(outcome.error, 0);
	assert_int_equal(stat(((struct place *)*state)->file, &st), 0);
	assert_true((uint64_t)st.st_size <= cfg.size);
	assert_true((uint64_t)st.st_size > cfg.size - 2 * sizeof(struct trace_record));

	f = read_file(*state);
	for (unsigned i = 0; i < SHARDS; i++) {
		struct trace_cursor c = {&f, i};
		struct trace_record r;

		while (trace_cursor_next(&c, &r))
			gaps += r.kind == TRACE_GAP ? r.value : 0;
		rest += check_shard(&f, i, MANY);
		told += f.shard[i].lost;
		assert_true(f.shard[i].ended);
	}
	assert_true(rest > 0);
	/* What was taken and not written may hold gaps, whose own numbers are in nobody's sum. */
	assert_true(told <= gaps + rest);
	assert_true(told > gaps);
	trace_file_free(&f);
}

/* As on a full disk. */
static void a_file_that_cannot_grow_is_good_so_far(void **state)
{
	const struct rlimit little = {.rlim_cur = 5000, .rlim_max = RLIM_INFINITY};
	const struct trace_writer_config cfg = config(*state);
	struct trace_writer *w = open_writer(&cfg);
	struct trace_outcome outcome;
	struct rlimit before;
	struct trace_file f;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){little.rlim_cur, before.rlim_max}), 0);
	make_in_threads(w, MANY);
	trace_writer_close(w, &outcome);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(outcome.error, -EFBIG);
	assert_true(outcome.lost > 0);

	f = read_file(*state);
	for (unsigned i = 0; i < SHARDS; i++) {
		assert_true(check_shard(&f, i, MANY) > 0);
		assert_false(f.shard[i].ended);
	}
	trace_file_free(&f);
}

static void a_place_that_is_none_is_named(void **state)
{
	struct trace_writer_config cfg = config(*state);
	struct trace_writer *w;
	struct err err;

	cfg.dir = "/nonexistent";
	assert_int_equal(trace_writer_new(&cfg, &w, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/alpha.trace"));
	cfg.size = TRACE_FILE_LEAST - 1;
	assert_int_equal(trace_writer_new(&cfg, &w, &err), -EINVAL);
	trace_writer_close(NULL, NULL);
}

/* ---- reading what is not as it was ---- */

/* A sound trace of a few records. Return: its length. */
static size_t sample(const struct place *p, uint8_t *data, size_t room)
{
	const struct trace_writer_config cfg = config(p);
	struct trace_writer *w = open_writer(&cfg);
	FILE *f;
	size_t len;

	make_in_threads(w, 4);
	trace_writer_close(w, NULL);
	f = fopen(p->file, "r");
	assert_non_null(f);
	len = fread(data, 1, room, f);
	fclose(f);
	assert_true(len > 0 && len < room);
	return len;
}

static void a_file_that_was_cut_is_read_as_far_as_it_goes(void **state)
{
	uint8_t data[4096];
	size_t len = sample(*state, data, sizeof(data));
	uint64_t last = 0;

	for (size_t n = 1; n < len; n++) {
		struct trace_file f;
		struct err err;
		int r = trace_file_parse("x", data, n, &f, &err);
		uint64_t records;

		if (n < sizeof(struct trace_header)) {
			assert_int_equal(r, -EBADMSG);
			continue;
		}
		assert_int_equal(r, 0);
		records = f.shard[0].records + f.shard[1].records;
		assert_true(records >= last && records <= 8);
		last = records;
		assert_false(f.shard[0].ended && f.shard[1].ended);
		assert_true(check_shard(&f, 0, 4) + check_shard(&f, 1, 4) == 8 - records);
		trace_file_free(&f);
	}
	assert_int_equal(last, 8);
}

static int parse_with(const uint8_t *data, size_t len, size_t at, uint8_t byte)
{
	_cleanup_free_ uint8_t *copy = malloc(len);
	struct trace_file f;
	struct err err;
	int r;

	assert_non_null(copy);
	memcpy(copy, data, len);
	copy[at] = byte;
	r = trace_file_parse("x", copy, len, &f, &err);
	if (r == 0)
		trace_file_free(&f);
	return r;
}

#define AT(member) offsetof(struct trace_header, member)

static void what_is_damaged_is_refused(void **state)
{
	const size_t chunk = sizeof(struct trace_header),
		     record = chunk + sizeof(struct trace_chunk);
	uint8_t data[4096];
	size_t len = sample(*state, data, sizeof(data));

	assert_int_equal(parse_with(data, len, 0, data[0]), 0);
	assert_int_equal(parse_with(data, len, AT(magic), 0), -EBADMSG);
	assert_int_equal(parse_with(data, len, AT(version), TRACE_VERSION + 1), -EPROTONOSUPPORT);
	assert_int_equal(parse_with(data, len, AT(wire_version), (uint8_t)~data[AT(wire_version)]),
			 -EPROTONOSUPPORT);
	assert_int_equal(parse_with(data, len, AT(self), 3), -EBADMSG);
	assert_int_equal(parse_with(data, len, AT(nodes), MAX_NODES + 1), -EBADMSG);
	assert_int_equal(parse_with(data, len, AT(shards), 0), -EBADMSG);
	assert_int_equal(parse_with(data, len, AT(shards), MAX_SHARDS + 1), -EBADMSG);
	assert_int_equal(parse_with(data, len, AT(record_bytes), 31), -EBADMSG);
	assert_int_equal(parse_with(data, len, AT(name), 0), -EBADMSG);
	assert_int_equal(parse_with(data, len, AT(name) + 2, '\033'), -EBADMSG);
	assert_int_equal(parse_with(data, len, AT(name) + 2, '-'), 0);
	assert_int_equal(parse_with(data, len, chunk, 0), -EBADMSG);
	assert_int_equal(parse_with(data, len, chunk + offsetof(struct trace_chunk, shard), SHARDS),
			 -EBADMSG);
	assert_int_equal(parse_with(data, len, chunk + offsetof(struct trace_chunk, end), 1),
			 -EBADMSG);
	assert_int_equal(parse_with(data, len, chunk + offsetof(struct trace_chunk, count), 0),
			 -EBADMSG);
	assert_int_equal(parse_with(data, len, record + offsetof(struct trace_record, kind), 0),
			 -EBADMSG);
	assert_int_equal(
		parse_with(data, len, record + offsetof(struct trace_record, kind), TRACE_KINDS),
		-EBADMSG);
	assert_int_equal(parse_with(data, len, record + offsetof(struct trace_record, addr), 1),
			 -EBADMSG);
}

/* ---- records ---- */

static void expect_record(int result, struct trace_record r)
{
	char text[200];

	assert_int_equal(trace_record_check(&r, 3), result);
	assert_true(strlen(trace_record_text(&r, text, sizeof(text))) > 0);
}

#define OF(k, ...) ((struct trace_record){.kind = (k), ##__VA_ARGS__})

static void records_are_of_their_kind(void **state)
{
	const uint64_t region = 5 * REGION_BYTES;

	expect_record(0, OF(TRACE_GAP, .value = 3));
	expect_record(0, OF(TRACE_FAULT, .addr = PAGE_BYTES, .flags = TRACE_WRITE, .value = 77));
	expect_record(-EBADMSG, OF(TRACE_FAULT, .flags = TRACE_ZERO));
	expect_record(-EBADMSG, OF(TRACE_FAULT, .addr = GPA_LIMIT));
	expect_record(0, OF(TRACE_MAP, .addr = PAGE_BYTES, .flags = TRACE_WRITE | TRACE_ZERO));
	expect_record(-EBADMSG, OF(TRACE_DROP, .value = 1));
	expect_record(0, OF(TRACE_TRACK, .addr = region + 64 * PAGE_BYTES, .value = UINT64_MAX));
	expect_record(-EBADMSG, OF(TRACE_TRACK, .addr = region + PAGE_BYTES));
	expect_record(0, OF(TRACE_CAME, .addr = region));
	expect_record(-EBADMSG, OF(TRACE_CAME, .addr = region + PAGE_BYTES));
	expect_record(0, OF(TRACE_GUESS, .what = TRACE_AHEAD));
	expect_record(-EBADMSG, OF(TRACE_GUESS, .what = TRACE_GUESSES));
	expect_record(0, OF(TRACE_TURN_END, .what = TRACE_TURN_IDLE, .ticket = 5, .value = 9));
	expect_record(-EBADMSG, OF(TRACE_TURN_END, .what = TRACE_TURNS));
	expect_record(-EBADMSG, OF(TRACE_TURN_BEGIN, .node = 1));
	expect_record(0, OF(TRACE_SENT, .what = WIRE_GETM, .peer = 2, .node = 1, .ticket = 3));
	expect_record(-EBADMSG, OF(TRACE_SENT, .what = WIRE_GETM, .peer = 3));
	expect_record(-EBADMSG, OF(TRACE_SENT, .what = WIRE_IPI, .peer = 2));
	expect_record(-EBADMSG, OF(TRACE_SENT, .what = WIRE_HELLO));
	expect_record(0, OF(TRACE_RECEIVED, .what = WIRE_GRANT, .peer = 2, .acks = 1,
			    .flags = WIRE_GRANT_WRITE | WIRE_GRANT_DATA));
	expect_record(-EBADMSG, OF(TRACE_RECEIVED, .what = WIRE_GRANT, .acks = 1));
	expect_record(0, OF(TRACE_RECEIVED, .what = WIRE_HOME, .addr = region));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(a_ring_keeps_order_and_tells_what_it_lost),
		CASE(a_file_tells_what_was_recorded),
		CASE(a_full_file_is_a_whole_beginning),
		CASE(a_file_that_cannot_grow_is_good_so_far),
		CASE(a_place_that_is_none_is_named),
		CASE(a_file_that_was_cut_is_read_as_far_as_it_goes),
		CASE(what_is_damaged_is_refused),
		CASE(records_are_of_their_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
