/* SPDX-License-Identifier: Apache-2.0 */
/* How long threads wait for pages, by a clock that is passed in. */
#include "dsm/waits.h"
#include "tests/check.h"

#define PAGE(i) ((i)*PAGE_BYTES)

static struct waits *waits_new(void)
{
	struct waits *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	return w;
}

static void a_thread_waits_until_its_page_is_there(void **state)
{
	_cleanup_free_ struct waits *w = waits_new();

	waits_begin(w, 7, PAGE(1), false, 100);
	assert_int_equal(waits_of(w, 7), 0);
	waits_end(w, PAGE(2), true, 110);
	assert_int_equal(waits_of(w, 7), 0);
	waits_end(w, PAGE(1), false, 130);
	assert_int_equal(waits_of(w, 7), 30);
	/* It has gone on. */
	waits_end(w, PAGE(1), true, 190);
	assert_int_equal(waits_of(w, 7), 30);
	waits_begin(w, 7, PAGE(1), true, 200);
	waits_end(w, PAGE(1), true, 205);
	assert_int_equal(waits_of(w, 7), 35);
	assert_int_equal(waits_of(w, 8), 0);
	assert_int_equal(waits_of(w, 0), 0);
}

static void all_that_wait_for_a_page_go_on_together(void **state)
{
	_cleanup_free_ struct waits *w = waits_new();

	waits_begin(w, 1, PAGE(1), false, 10);
	waits_begin(w, 2, PAGE(2), false, 20);
	waits_begin(w, 3, PAGE(1), true, 30);
	waits_begin(w, 4, PAGE(1), false, 40);
	/* Read-only: no use for who wants to write. */
	waits_end(w, PAGE(1), false, 50);
	assert_int_equal(waits_of(w, 1), 40);
	assert_int_equal(waits_of(w, 2), 0);
	assert_int_equal(waits_of(w, 3), 0);
	assert_int_equal(waits_of(w, 4), 10);
	/* It faults again, and has waited all the time. */
	waits_begin(w, 3, PAGE(1), true, 55);
	waits_end(w, PAGE(1), true, 60);
	waits_end(w, PAGE(2), false, 70);
	assert_int_equal(waits_of(w, 3), 30);
	assert_int_equal(waits_of(w, 2), 50);
	assert_int_equal(w->waiting, 0);
}

static void a_thread_that_was_taken_out_waits_once(void **state)
{
	_cleanup_free_ struct waits *w = waits_new();

	waits_begin(w, 1, PAGE(1), false, 10);
	waits_begin(w, 1, PAGE(1), false, 15);
	/* By a signal, and its handler needs another page first. */
	waits_begin(w, 1, PAGE(2), false, 20);
	assert_int_equal(waits_of(w, 1), 10);
	waits_end(w, PAGE(1), true, 25);
	assert_int_equal(waits_of(w, 1), 10);
	waits_end(w, PAGE(2), true, 32);
	assert_int_equal(waits_of(w, 1), 22);
	assert_int_equal(w->waiting, 0);
}

/* Numbers of threads as Linux gives them, one after the other; what finds no room is not counted.
 */
static void as_many_threads_as_there_is_room_for(void **state)
{
	_cleanup_free_ struct waits *w = waits_new();

	for (uint32_t i = 0; i < WAITS_THREADS + 3; i++)
		waits_begin(w, 4000 + i, PAGE(1), false, 10 + i);
	assert_int_equal(w->waiting, WAITS_THREADS);
	waits_end(w, PAGE(1), false, 10 + 2 * WAITS_THREADS);
	for (uint32_t i = 0; i < WAITS_THREADS; i++)
		assert_int_equal(waits_of(w, 4000 + i), 2 * WAITS_THREADS - i);
	assert_int_equal(waits_of(w, 4000 + WAITS_THREADS), 0);
	/* Who cannot be told from the others neither. */
	waits_begin(w, 0, PAGE(1), false, 10);
	assert_int_equal(w->waiting, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_waits_until_its_page_is_there),
		cmocka_unit_test(all_that_wait_for_a_page_go_on_together),
		cmocka_unit_test(a_thread_that_was_taken_out_waits_once),
		cmocka_unit_test(as_many_threads_as_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
