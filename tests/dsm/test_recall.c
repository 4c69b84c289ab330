/* SPDX-License-Identifier: Apache-2.0 */
/* Which lost pages are asked for again, and how (dsm/recall.h). */
#include "dsm/recall.h"
#include "tests/check.h"

#define PAGE(i) ((uint64_t)(i)*PAGE_BYTES)
#define MANY	1000

static struct recall *new_table(void)
{
	struct recall *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	return r;
}

static unsigned take(struct recall *r, struct prefetch_page *ret)
{
	unsigned n = 0;

	while (n < RECALL_MAX && recall_next(r, &ret[n]))
		n++;
	return n;
}

/* The page is lost, and asked for again with the next fault? */
static bool recalled(struct recall *r, uint64_t gpa, bool *write)
{
	struct prefetch_page ret[RECALL_MAX];

	recall_lost(r, gpa);
	unsigned n = take(r, ret);
	assert_true(n <= 1);
	if (n) {
		assert_int_equal(ret[0].gpa, gpa);
		*write = ret[0].write;
	}
	return n;
}

/* How often the page is recalled in a row before it has to fault again. */
static unsigned recalls(struct recall *r, uint64_t gpa)
{
	unsigned n = 0;
	bool write;

	while (n < MANY && recalled(r, gpa, &write))
		n++;
	return n;
}

static void only_a_page_that_was_missed_is_recalled(void **state)
{
	_cleanup_free_ struct recall *r = new_table();
	bool write;

	assert_false(recalled(r, PAGE(1), &write));
	assert_false(recall_fault(r, PAGE(1), false));
	assert_true(recalled(r, PAGE(1), &write));
	assert_false(write);
	/* A fault on a page that was not lost says nothing. */
	assert_false(recall_fault(r, PAGE(2), false));
	assert_false(recalled(r, PAGE(2), &write));
}

static void it_has_to_prove_itself_ever_more_seldom(void **state)
{
	_cleanup_free_ struct recall *r = new_table();
	unsigned before = 0, n;

	recall_lost(r, PAGE(1));
	for (int round = 0; round < 3; round++) {
		recall_fault(r, PAGE(1), false);
		n = recalls(r, PAGE(1));
		assert_true(n > before && n < MANY);
		before = n;
	}
	/* Not for ever. */
	for (int round = 0; round < 10; round++) {
		recall_fault(r, PAGE(1), false);
		n = recalls(r, PAGE(1));
	}
	assert_true(n < MANY);
}

static void it_is_asked_for_once_a_loss(void **state)
{
	_cleanup_free_ struct recall *r = new_table();
	struct prefetch_page ret[RECALL_MAX];

	recall_lost(r, PAGE(1));
	recall_fault(r, PAGE(1), false);
	recall_lost(r, PAGE(1)); /* the right to write, then the page */
	recall_lost(r, PAGE(1));
	assert_int_equal(take(r, ret), 1);
	assert_int_equal(take(r, ret), 0);
}

static void a_fault_before_the_recall_is_enough(void **state)
{
	_cleanup_free_ struct recall *r = new_table();
	struct prefetch_page ret[RECALL_MAX];

	recall_lost(r, PAGE(1));
	recall_fault(r, PAGE(1), false);
	recall_lost(r, PAGE(1));
	recall_fault(r, PAGE(1), false);
	assert_int_equal(take(r, ret), 0);
}

static void a_page_that_was_written_is_asked_for_to_write(void **state)
{
	_cleanup_free_ struct recall *r = new_table();
	unsigned guesses = 0;
	bool write = false;

	recall_lost(r, PAGE(1));
	assert_true(recall_fault(r, PAGE(1), true));
	assert_true(recalled(r, PAGE(1), &write));
	assert_true(write);
	/* Also by a reader; not for ever without a writer. */
	while (guesses < MANY && recall_fault(r, PAGE(1), false))
		guesses++;
	assert_true(guesses > 0 && guesses < MANY);
	assert_true(recall_fault(r, PAGE(1), true));
	assert_true(recall_fault(r, PAGE(1), false));
}

static void no_more_than_fit_are_asked_for(void **state)
{
	_cleanup_free_ struct recall *r = new_table();
	struct prefetch_page ret[RECALL_MAX];
	unsigned n;

	for (unsigned i = 0; i < 2 * RECALL_MAX; i++) {
		recall_lost(r, PAGE(i));
		recall_fault(r, PAGE(i), false);
	}
	for (unsigned i = 0; i < 2 * RECALL_MAX; i++)
		recall_lost(r, PAGE(i));
	n = take(r, ret);
	assert_true(n > RECALL_MAX / 2 && n <= RECALL_MAX);
	for (unsigned i = 1; i < n; i++) /* as they were lost */
		assert_true(ret[i - 1].gpa < ret[i].gpa);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_page_that_was_missed_is_recalled),
		cmocka_unit_test(it_has_to_prove_itself_ever_more_seldom),
		cmocka_unit_test(it_is_asked_for_once_a_loss),
		cmocka_unit_test(a_fault_before_the_recall_is_enough),
		cmocka_unit_test(a_page_that_was_written_is_asked_for_to_write),
		cmocka_unit_test(no_more_than_fit_are_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
