/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far ahead a thread's walk is fetched (dsm/stream.h). A thread reads and writes pages of a
 * memory that is all elsewhere at first; its faults are passed on, and what is asked for comes. So
 * what can be seen of a guess can be compared with what became of it.
 */
#include "dsm/stream.h"
#include "tests/check.h"

#define PAGES	 (32 * REGION_PAGES)
#define FIRST	 100 /* of a walk: in no special place of its region */
#define FAR_AWAY (8 * REGION_PAGES)

enum { ABSENT, READABLE, WRITABLE, UNDER_WAY };

struct world {
	struct streams streams;
	struct stream_stats stats;
	struct stream_batch batch; /* the last that was not empty */
	unsigned faults, joined;   /* all of them; those that joined a request */
	unsigned touched_guesses, touched;
	bool slow;  /* what is asked for ahead comes only when it is waited for */
	bool zeros; /* pages come writable, whatever they were asked for */
	uint8_t page[PAGES];
	bool guess[PAGES], used[PAGES], write[PAGES]; /* asked for ahead; touched; to write */
};

static struct world *new_world(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	streams_init(&w->streams);
	return w;
}

static void comes(struct world *w, uint64_t page, bool write)
{
	w->page[page] = write || w->zeros ? WRITABLE : READABLE;
}

static void ask_ahead(struct world *w, uint64_t page, const struct stream_batch *b)
{
	unsigned asked = 0;

	w->batch = *b;
	for (unsigned i = 1; i <= b->pages; i++) {
		uint64_t at = page + (uint64_t)((int64_t)i * (b->step / (int64_t)PAGE_BYTES));

		assert_int_equal(at / REGION_PAGES, page / REGION_PAGES);
		if (w->page[at] == WRITABLE || w->page[at] == (b->write ? WRITABLE : READABLE))
			continue;
		asked++;
		w->write[at] = b->write;
		if (!w->guess[at] && w->slow)
			w->page[at] = UNDER_WAY;
		else
			comes(w, at, b->write);
		w->guess[at] = true;
	}
	stream_asked(&w->streams, &w->stats, b->pages, asked);
}

/* Return: the number of pages that were guessed. */
static unsigned touch(struct world *w, uint64_t page, bool write)
{
	struct stream_batch b = {0};

	assert_in_range(page, 0, PAGES - 1);
	w->touched++;
	if (w->guess[page] && !w->used[page])
		w->touched_guesses++;
	w->used[page] = true;
	if (w->page[page] == UNDER_WAY) {
		w->joined++;
		w->faults++;
		stream_joined(&w->streams, &w->stats, page * PAGE_BYTES + 8);
		comes(w, page, w->write[page]);
	}
	if (w->page[page] == WRITABLE || (w->page[page] == READABLE && !write))
		return 0;
	w->faults++;
	b = stream_fault(&w->streams, &w->stats, page * PAGE_BYTES + 8, write);
	comes(w, page, write);
	if (b.pages)
		ask_ahead(w, page, &b);
	return b.pages;
}

static void walk(struct world *w, uint64_t from, int64_t step, unsigned pages, bool write)
{
	for (unsigned i = 0; i < pages; i++)
		touch(w, from + (uint64_t)(i * step), write);
}

/* No guess is called right that was of no use, and none is judged twice. */
static void expect_honest(const struct world *w)
{
	assert_in_range(w->stats.right, 0, w->touched_guesses);
	assert_in_range(w->stats.right + w->stats.wrong, 0, w->stats.asked);
}

static void sequential_walk_doubles_its_depth(void **state)
{
	_cleanup_free_ struct world *w = new_world();
	static const unsigned ahead[] = {15, 31, 63, 63, 63};

	assert_int_equal(touch(w, FIRST, false), 0);
	assert_int_equal(touch(w, FIRST + 1, false), 0);
	for (unsigned i = 0, at = FIRST + 2; i < ARRAY_SIZE(ahead); at += ahead[i++] + 1) {
		assert_int_equal(touch(w, at, false), ahead[i]);
		assert_int_equal(w->batch.step, PAGE_BYTES);
		assert_false(w->batch.write);
	}
	/* All but the last batch, of which nothing is known. */
	assert_int_equal(w->stats.asked, 15 + 31 + 3 * 63);
	assert_int_equal(w->stats.right, 15 + 31 + 2 * 63);
	assert_int_equal(w->stats.wrong, 0);
}

static void batch_ends_with_its_region(void **state)
{
	_cleanup_free_ struct world *w = new_world();

	walk(w, REGION_PAGES - 6, 1, 2, false);
	assert_int_equal(touch(w, REGION_PAGES - 4, false), 3);
	walk(w, REGION_PAGES - 3, 1, 3, false);
	/* It goes on in the next region when the thread does. */
	assert_int_equal(touch(w, REGION_PAGES, false), 31);

	walk(w, FAR_AWAY + 4, -1, 2, false);
	assert_int_equal(touch(w, FAR_AWAY + 2, false), 2);
	assert_int_equal(touch(w, FAR_AWAY - 1, false), 31);
}

static void steps_in_either_direction_are_followed(void **state)
{
	static const int64_t steps[] = {1, -1, 2, 3, -4, 7, -16, 31, -100, 128};

	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		_cleanup_free_ struct world *w = new_world();
		unsigned per_region = (unsigned)(REGION_PAGES / (uint64_t)llabs(steps[i]));
		unsigned pages = MIN(500u, 10 * per_region);

		walk(w, PAGES / 2, steps[i], pages, false);
		/* A batch ends with its region, and the first two faults tell nothing. */
		assert_in_range(w->faults, 3, 2 + pages / 16 + 5 + pages / per_region + 1);
		assert_int_equal(w->batch.step, steps[i] * (int64_t)PAGE_BYTES);
		assert_in_range(w->stats.wrong, 0, 0);
		expect_honest(w);
	}
}

/* Streams that take turns, near each other or not, are as good as each alone. */
static void interleaved_walks_are_told_apart(void **state)
{
	static const struct {
		int64_t apart, step[2];
	} way[] = {{FAR_AWAY, {1, 1}}, {FAR_AWAY, {4, -2}}, {100, {1, 1}},
		   {60, {1, 1}},       {-90, {1, -1}},	    {10, {1, 1}}};

	for (unsigned i = 0; i < ARRAY_SIZE(way); i++) {
		_cleanup_free_ struct world *w = new_world();
		const unsigned pages = 40;

		for (unsigned k = 0; k < pages; k++) {
			touch(w, PAGES / 2 + (uint64_t)(k * way[i].step[0]), false);
			touch(w, PAGES / 2 + (uint64_t)(way[i].apart + k * way[i].step[1]), false);
		}
		assert_in_range(w->faults, 4, 2 * pages / 3);
		expect_honest(w);
	}
}

/* A thread may fault more often than 32 bits can count. */
static void walks_are_told_apart_for_ever(void **state)
{
	_cleanup_free_ struct world *w = new_world();

	w->streams.faults = UINT32_MAX - 6;
	for (unsigned i = 0; i < 4 * STREAMS; i++)
		touch(w, i % STREAMS * FAR_AWAY + FIRST + i / STREAMS, false);
	/* The way of each was known with its third page, and all of a batch is to come. */
	for (unsigned k = 0; k < STREAMS; k++)
		assert_int_equal(w->page[k * FAR_AWAY + FIRST + 2 + STREAM_FIRST], READABLE);
	assert_int_equal(w->stats.wrong, 0);
}

static void fault_astray_does_not_end_a_walk(void **state)
{
	_cleanup_free_ struct world *w = new_world();

	walk(w, FIRST, 1, 2, false);
	touch(w, FAR_AWAY, false);
	assert_int_equal(touch(w, FIRST + 2, false), 15);
	touch(w, FAR_AWAY + 77, false);
	assert_int_equal(touch(w, FIRST + 18, false), 31);
	assert_int_equal(w->stats.right, 15);
}

/* A page of the way that was here before leaves no trace. */
static void pages_that_are_here_are_passed_over(void **state)
{
	_cleanup_free_ struct world *w = new_world();
	uint64_t before;

	for (unsigned i = 0; i < 200; i++)
		if (i % 8 < 3)
			w->page[FIRST + i] = READABLE;
	walk(w, FIRST, 1, 200, false);
	assert_in_range(w->faults, 3, 12);
	assert_in_range(w->stats.wrong, 0, 15);
	expect_honest(w);

	/* Some steps behind the batch, however wide they are. */
	for (unsigned step = 1; step < 80; step += 69) {
		unsigned pages = step == 1 ? 15 : 5;

		walk(w, FAR_AWAY, step, 2, false);
		assert_int_equal(touch(w, FAR_AWAY + 2 * step, false), pages);
		for (unsigned i = 0; i < 3; i++)
			w->page[FAR_AWAY + (3 + pages + i) * step] = READABLE;
		before = w->stats.right;
		walk(w, FAR_AWAY + 3 * step, step, pages + 4, false);
		assert_int_equal(w->stats.right - before, pages);
		memset(w->page, ABSENT, sizeof(w->page));
	}
}

static void random_faults_are_followed_by_none(void **state)
{
	_cleanup_free_ struct world *w = new_world();
	uint64_t random = 1;

	for (unsigned i = 0; i < PAGES / 4; i++) {
		random = random * 6364136223846793005 + 1442695040888963407;
		touch(w, (random >> 33) % PAGES, false);
	}
	assert_in_range(w->faults, PAGES / 5, PAGES);
	assert_in_range(w->stats.asked, 0, w->faults / 50);
	expect_honest(w);
}

/* Short walks in many places: as long as it takes to be believed, and no longer. */
static void guesses_that_do_not_pay_end(void **state)
{
	_cleanup_free_ struct world *w = new_world();
	unsigned walks = PAGES / 50;
	uint64_t early;

	for (unsigned i = 0; i < walks / 4; i++)
		walk(w, (i * 37) % walks * 50, 1, 3, false);
	early = w->stats.asked;
	/* Nothing is known to be wrong before the first stream is given up. */
	assert_in_range(early, 15 + 7 + 3 + 1, STREAMS * 15 + 7 + 3 + 1 + 5);
	for (unsigned i = walks / 4; i < walks; i++)
		walk(w, (i * 37) % walks * 50, 1, 3, false);
	/* One page each STREAM_PROBE times is what it takes to see that they begin to pay. */
	assert_in_range(w->stats.asked - early, walks / 2 / STREAM_PROBE, walks / STREAM_PROBE);
	assert_int_equal(w->stats.right, 0);
	assert_in_range(w->stats.wrong, w->stats.asked - STREAMS, w->stats.asked);
	expect_honest(w);

	/* They do: the thread walks on. */
	walk(w, PAGES - REGION_PAGES, 1, REGION_PAGES, false);
	assert_in_range(w->faults, 3 * walks, 3 * walks + STREAM_PROBE + 30);
	assert_in_range(w->stats.right, REGION_PAGES / 2, REGION_PAGES);
	expect_honest(w);
	/* So the next walk is believed from the start on. */
	memset(w->page, ABSENT, sizeof(w->page));
	walk(w, FAR_AWAY + 60, 1, 2, false);
	assert_int_equal(touch(w, FAR_AWAY + 62, false), STREAM_FIRST);
}

/* Close behind the batch, but not where it led. */
static void wrong_batch_is_followed_by_a_shorter_one(void **state)
{
	_cleanup_free_ struct world *w = new_world();

	walk(w, FIRST, 1, 3, false);
	assert_int_equal(w->batch.pages, 15);
	assert_int_equal(touch(w, FIRST + 17 + 6, false), 0);
	assert_int_equal(w->stats.wrong, 15);
	assert_int_equal(touch(w, FIRST + 17 + 7, false), 7);
	assert_int_equal(w->batch.step, PAGE_BYTES);
}

static void walk_that_turns_is_followed(void **state)
{
	_cleanup_free_ struct world *w = new_world();
	unsigned before;

	walk(w, FIRST, 1, 300, false);
	before = w->faults;
	walk(w, FIRST + 300 + 64, 5, 60, false);
	assert_in_range(w->faults - before, 3, 15);
	assert_int_equal(w->batch.step, 5 * PAGE_BYTES);
	expect_honest(w);
}

static void page_that_is_waited_for_was_right(void **state)
{
	_cleanup_free_ struct world *w = new_world();

	w->slow = true;
	walk(w, FIRST, 1, 3, false);
	assert_int_equal(w->stats.asked, 15);
	/* Those in front of it came in time. */
	comes(w, FIRST + 3, false);
	comes(w, FIRST + 4, false);
	walk(w, FIRST + 3, 1, 3, false);
	assert_int_equal(w->joined, 1);
	assert_int_equal(w->stats.right, 3);
	/* The last one ends the batch. */
	assert_int_equal(touch(w, FIRST + 17, false), 0);
	assert_int_equal(w->stats.right, 15);
	assert_int_equal(touch(w, FIRST + 18, false), 31);
	/* What nobody follows is nobody's. */
	stream_joined(&w->streams, &w->stats, FAR_AWAY * PAGE_BYTES);
	assert_int_equal(w->stats.right, 15);
	/* The rest of a batch whose thread has gone is wrong. */
	walk(w, FIRST + 19, 1, 4, false);
	for (unsigned i = 0; i < STREAMS; i++)
		touch(w, FAR_AWAY + i * REGION_PAGES, false);
	assert_int_equal(w->stats.right, 15 + 4);
	assert_int_equal(w->stats.wrong, 31 - 4);
}

/* What was not asked for, for want of room, is not the thread's fault. */
static void batch_may_be_cut_short(void **state)
{
	_cleanup_free_ struct world *w = new_world();

	walk(w, FIRST, 1, 2, false);
	struct stream_batch b =
		stream_fault(&w->streams, &w->stats, (FIRST + 2) * PAGE_BYTES, false);
	assert_int_equal(b.pages, 15);
	stream_asked(&w->streams, &w->stats, 4, 3);
	b = stream_fault(&w->streams, &w->stats, (FIRST + 7) * PAGE_BYTES, false);
	assert_int_equal(b.pages, 31);
	assert_int_equal(w->stats.asked, 3);
	assert_int_equal(w->stats.right, 3);
	stream_asked(&w->streams, &w->stats, 0, 0);
	b = stream_fault(&w->streams, &w->stats, (FIRST + 8) * PAGE_BYTES, false);
	assert_int_equal(b.pages, 31);
	assert_int_equal(w->stats.wrong, 0);
	/* The page was the third of those looked at, and the first that was not here. */
	stream_asked(&w->streams, &w->stats, 4, 1);
	stream_joined(&w->streams, &w->stats, (FIRST + 11) * PAGE_BYTES);
	assert_int_equal(w->stats.right, 3 + 1);
	b = stream_fault(&w->streams, &w->stats, (FIRST + 13) * PAGE_BYTES, false);
	assert_int_equal(b.pages, 63);
	assert_int_equal(w->stats.right, 3 + 1);
}

static void zero_pages_suit_a_writer(void **state)
{
	_cleanup_free_ struct world *w = new_world();

	w->zeros = true;
	walk(w, FIRST, 1, 200, true);
	assert_in_range(w->faults, 3, 7);
	assert_false(w->batch.write);
	assert_int_equal(w->stats.wrong, 0);
}

/* Ownership is guessed at only where as much was taken by faults. */
static void writer_is_believed_step_by_step(void **state)
{
	_cleanup_free_ struct world *w = new_world();
	static const unsigned ahead[] = {1, 3, 7, 15, 31, 63, 63};

	walk(w, FIRST, 1, 3, true);
	assert_int_equal(w->batch.pages, 15);
	assert_false(w->batch.write);
	for (unsigned i = 0, at = FIRST + 3; i < ARRAY_SIZE(ahead); at += ahead[i++] + 1) {
		assert_int_equal(touch(w, at, true), ahead[i]);
		assert_true(w->batch.write);
		walk(w, at + 1, 1, ahead[i], true);
	}
	expect_honest(w);
}

static void writer_that_reads_on_is_a_reader(void **state)
{
	_cleanup_free_ struct world *w = new_world();

	walk(w, FIRST, 1, 50, true);
	assert_true(w->batch.write);
	/* Not by one page. */
	for (unsigned i = 0, at = FIRST + 50; i < 8; at++)
		if (w->page[at] == ABSENT)
			touch(w, at, i++ % 2), assert_true(w->batch.write);
	memset(w->page, ABSENT, sizeof(w->page));
	walk(w, FAR_AWAY, 1, 50, true);
	assert_true(w->batch.write);
	walk(w, FAR_AWAY + 50, 1, 150, false);
	assert_false(w->batch.write);
	assert_int_equal(w->batch.pages, 63);
}

/* Each page is read, then written. */
static void page_that_is_read_first_is_written_to(void **state)
{
	for (unsigned slow = 0; slow < 2; slow++) {
		_cleanup_free_ struct world *w = new_world();

		w->slow = slow;
		for (unsigned i = 0; i < 200; i++) {
			touch(w, FIRST + i, false);
			touch(w, FIRST + i, true);
		}
		assert_true(w->batch.write);
		assert_in_range(w->faults - w->joined, 6, 20);
		expect_honest(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequential_walk_doubles_its_depth),
		cmocka_unit_test(batch_ends_with_its_region),
		cmocka_unit_test(steps_in_either_direction_are_followed),
		cmocka_unit_test(interleaved_walks_are_told_apart),
		cmocka_unit_test(walks_are_told_apart_for_ever),
		cmocka_unit_test(fault_astray_does_not_end_a_walk),
		cmocka_unit_test(pages_that_are_here_are_passed_over),
		cmocka_unit_test(random_faults_are_followed_by_none),
		cmocka_unit_test(guesses_that_do_not_pay_end),
		cmocka_unit_test(wrong_batch_is_followed_by_a_shorter_one),
		cmocka_unit_test(walk_that_turns_is_followed),
		cmocka_unit_test(page_that_is_waited_for_was_right),
		cmocka_unit_test(batch_may_be_cut_short),
		cmocka_unit_test(zero_pages_suit_a_writer),
		cmocka_unit_test(writer_is_believed_step_by_step),
		cmocka_unit_test(writer_that_reads_on_is_a_reader),
		cmocka_unit_test(page_that_is_read_first_is_written_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
