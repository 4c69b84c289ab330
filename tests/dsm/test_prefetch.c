/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread's faults teach, and what is asked for because of it (dsm/prefetch.h). */
#include "dsm/prefetch.h"
#include "tests/check.h"

#define TID	7
#define PAGE(i) (REGION_BYTES + (uint64_t)(i)*PAGE_BYTES)
#define MANY	200 /* uses of a link: it is put to the test several times */

/* In no order, so that they are no walk. */
static const uint64_t chain[] = {PAGE(10), PAGE(200), PAGE(50), PAGE(400)};

static struct prefetch *new_table(void)
{
	struct prefetch *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	return p;
}

static unsigned fault(struct prefetch *p, uint32_t tid, uint64_t gpa, struct prefetch_page *ret)
{
	return prefetch_fault(p, tid, gpa, false, ret);
}

/* Faults that lead to no request, as when the pages of @gpa are wanted for the first times. */
static void teach(struct prefetch *p, const uint64_t *gpa, unsigned n, unsigned times)
{
	struct prefetch_page ret[PREFETCH_MAX];

	while (times--)
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(fault(p, TID, gpa[i], ret), 0);
}

static void expect_pages(const struct prefetch_page *got, unsigned n, const uint64_t *want,
			 unsigned wanted)
{
	assert_int_equal(n, wanted);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(got[i].gpa, want[i]);
}

static void chain_is_trusted_after_two_observations(void **state)
{
	_cleanup_free_ struct prefetch *p = new_table();
	struct prefetch_page ret[PREFETCH_MAX];

	/* Separate beginnings, so that the end is not learned to lead back to the start. */
	teach(p, chain, ARRAY_SIZE(chain), 1);
	assert_int_equal(fault(p, TID + 1, chain[0], ret), 0);
	assert_int_equal(prefetch_fault(p, TID + 1, chain[1] + 77, true, ret), 0);
	assert_int_equal(fault(p, TID + 1, chain[2] + 1, ret), 0);
	assert_int_equal(fault(p, TID + 1, chain[3], ret), 0);

	expect_pages(ret, fault(p, TID + 2, chain[0] + 123, ret), chain + 1, 3);
	/* Wanted for writing once: fetched for writing. */
	assert_true(ret[0].write);
	assert_false(ret[1].write || ret[2].write);
	/* From the middle on it is the rest. */
	expect_pages(ret, fault(p, TID + 3, chain[2], ret), chain + 3, 1);
}

static void chain_goes_on_at_its_tail(void **state)
{
	_cleanup_free_ struct prefetch *p = new_table();
	struct prefetch_page ret[PREFETCH_MAX];
	const uint64_t first[] = {chain[0], chain[1]};

	/* 0 -> 1 is trusted; then each fault on 0 is followed by one on 2: 1 -> 2. */
	for (uint32_t i = 0; i < 2; i++)
		for (unsigned k = 0; k < ARRAY_SIZE(first); k++)
			assert_int_equal(fault(p, TID + i, first[k], ret), 0);
	for (uint32_t i = 2; i < 4; i++) {
		expect_pages(ret, fault(p, TID + i, chain[0], ret), chain + 1, 1);
		assert_int_equal(fault(p, TID + i, chain[2], ret), 0);
	}
	expect_pages(ret, fault(p, TID + 4, chain[0], ret), chain + 1, 2);
}

static void wrong_link_is_unlearned(void **state)
{
	_cleanup_free_ struct prefetch *p = new_table();
	struct prefetch_page ret[PREFETCH_MAX];
	uint32_t tid = 100;
	unsigned n = 0;

	for (unsigned i = 0; i < 2; i++, tid++) {
		fault(p, tid, chain[0], ret);
		fault(p, tid, chain[1], ret);
	}
	expect_pages(ret, fault(p, tid, chain[0], ret), chain + 1, 1);
	/* From now on it is another page that is wanted next; what was fetched does not fault. */
	for (unsigned i = 0; i < MANY; i++) {
		n = fault(p, ++tid, chain[0], ret);
		if (n == 0 || ret[n - 1].gpa != chain[2])
			fault(p, tid, chain[2], ret);
	}
	do /* it may be just this use that puts the link to the test */
		n = fault(p, ++tid, chain[0], ret);
	while (n == 0);
	expect_pages(ret, n, chain + 2, 1);
}

static void cycle_ends(void **state)
{
	_cleanup_free_ struct prefetch *p = new_table();
	struct prefetch_page ret[PREFETCH_MAX];
	const uint64_t round_trip[] = {chain[1], chain[2], chain[3], chain[0]};

	teach(p, chain, ARRAY_SIZE(chain), 2);
	/* The second return to the start closes the circle. */
	expect_pages(ret, fault(p, TID, chain[0], ret), chain + 1, 3);
	expect_pages(ret, fault(p, TID + 1, chain[0], ret), chain + 1, 3);
	/* And from outside. */
	for (uint32_t i = 0; i < 2; i++) {
		fault(p, 30 + i, PAGE(300), ret);
		fault(p, 30 + i, chain[1], ret);
	}
	expect_pages(ret, fault(p, 40, PAGE(300), ret), round_trip, ARRAY_SIZE(round_trip));
}

static void long_chain_is_cut(void **state)
{
	_cleanup_free_ struct prefetch *p = new_table();
	struct prefetch_page ret[PREFETCH_MAX];
	uint64_t pages[PREFETCH_CHAIN_MAX + 5];

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = PAGE(i * i); /* in no step */
	for (uint32_t i = 0; i < 2; i++)
		for (unsigned k = 0; k < ARRAY_SIZE(pages); k++)
			assert_int_equal(fault(p, TID + i, pages[k], ret), 0);
	expect_pages(ret, fault(p, TID + 2, pages[0], ret), pages + 1, PREFETCH_CHAIN_MAX);
	/* The rest when the thread gets there. */
	expect_pages(ret, fault(p, TID + 2, pages[PREFETCH_CHAIN_MAX + 1], ret),
		     pages + PREFETCH_CHAIN_MAX + 2, 3);
}

/* What a walk fetches, and what it was worth, is told (dsm/stream.h has the rules). */
static void walk_is_fetched_ahead(void **state)
{
	_cleanup_free_ struct prefetch *p = new_table();
	struct prefetch_page ret[PREFETCH_MAX];

	assert_int_equal(fault(p, TID, PAGE(40), ret), 0);
	assert_int_equal(fault(p, TID, PAGE(38), ret), 0);
	assert_int_equal(prefetch_fault(p, TID, PAGE(36) + 8, true, ret), 15);
	for (unsigned i = 0; i < 15; i++) {
		assert_int_equal(ret[i].gpa, PAGE(34 - 2 * i));
		assert_false(ret[i].write);
	}
	prefetch_asked(p, TID, 15, 9);
	assert_int_equal(p->stats.streams.asked, 9);
	prefetch_joined(p, TID, PAGE(32));
	assert_int_equal(p->stats.streams.right, 2);
	/* It is of no concern to another thread, nor what that one is asked for. */
	prefetch_joined(p, TID + 1, PAGE(30));
	assert_int_equal(p->stats.streams.right, 2);
	assert_int_equal(p->stats.chained, 0);
}

static void chained_pages_are_counted(void **state)
{
	_cleanup_free_ struct prefetch *p = new_table();
	struct prefetch_page ret[PREFETCH_MAX];

	teach(p, chain, ARRAY_SIZE(chain), 1);
	for (unsigned i = 0; i < ARRAY_SIZE(chain); i++)
		assert_int_equal(fault(p, TID + 1, chain[i], ret), 0);
	assert_int_equal(fault(p, TID + 2, chain[0], ret), 3);
	prefetch_asked(p, TID + 2, 3, 2);
	assert_int_equal(p->stats.chained, 2);
	assert_int_equal(p->stats.streams.asked, 0);
}

static void threads_do_not_mix(void **state)
{
	_cleanup_free_ struct prefetch *p = new_table();
	struct prefetch_page ret[PREFETCH_MAX];

	static const uint32_t turn[] = {20, 21, 22, 20, 20, 21, 22, 21, 22};

	/* In turn they fault on neighbours, and in an order that is nobody's own. */
	for (unsigned round = 0; round < 4; round++)
		for (unsigned i = 0; i < ARRAY_SIZE(chain); i++)
			assert_int_equal(fault(p, TID + i, chain[i], ret), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(turn); i++)
		assert_int_equal(fault(p, turn[i], PAGE(100 + i), ret), 0);
	/* Nor do those that share a place of the table. */
	assert_int_equal(fault(p, TID, PAGE(2), ret), 0);
	assert_int_equal(fault(p, TID, PAGE(3), ret), 0);
	assert_int_equal(fault(p, TID + PREFETCH_THREADS, PAGE(4), ret), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chain_is_trusted_after_two_observations),
		cmocka_unit_test(chain_goes_on_at_its_tail),
		cmocka_unit_test(wrong_link_is_unlearned),
		cmocka_unit_test(cycle_ends),
		cmocka_unit_test(long_chain_is_cut),
		cmocka_unit_test(walk_is_fetched_ahead),
		cmocka_unit_test(chained_pages_are_counted),
		cmocka_unit_test(threads_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
