/* SPDX-License-Identifier: Apache-2.0 */
/* Which regions are named as unused by others, and when. */
#include "dsm/usage.h"
#include "tests/check.h"

#define REGIONS 200
#define QUIET	(2 * NSEC_PER_SEC)
#define AT(n)	((uint64_t)(n)*REGION_BYTES)

static void open_usage(struct usage *u, uint64_t quiet)
{
	assert_int_equal(usage_init(u, AT(REGIONS), quiet), 0);
	assert_int_equal(usage_deadline(u), UINT64_MAX);
}

/* Asks as the shard does: when it is due. Return: the time of the next candidate. */
static uint64_t next(struct usage *u, uint64_t until, uint64_t *gpa)
{
	uint64_t now;

	while ((now = usage_deadline(u)) <= until)
		if (usage_candidate(u, now, gpa))
			return now;
	return UINT64_MAX;
}

static void quiet_region_is_named(void **state)
{
	struct usage u;
	uint64_t gpa = 0, at;

	open_usage(&u, QUIET);
	usage_asked(&u, AT(7) + PAGE_BYTES, 1);
	assert_int_equal(usage_deadline(&u), 1 + QUIET);
	assert_false(usage_candidate(&u, QUIET, &gpa));
	usage_asked(&u, AT(7), NSEC_PER_SEC); /* it is not quiet yet */
	at = next(&u, 10 * QUIET, &gpa);
	assert_in_range(at, NSEC_PER_SEC + QUIET, NSEC_PER_SEC + 2 * QUIET);
	assert_int_equal(gpa, AT(7));
	/* The core could not: the same again, but not at once. */
	assert_in_range(next(&u, 10 * QUIET, &gpa), at + QUIET, at + 2 * QUIET);
	assert_int_equal(gpa, AT(7));
	usage_forget(&u, AT(7) + 5);
	usage_forget(&u, AT(7));
	assert_int_equal(usage_deadline(&u), UINT64_MAX);
	assert_false(usage_candidate(&u, 100 * QUIET, &gpa));
	usage_free(&u);
}

/* All are named, each once in a while, and never many at once. */
static void many_regions_take_turns(void **state)
{
	unsigned named[REGIONS] = {0};
	uint64_t gpa = 0, last = 0, at;
	struct usage u;

	open_usage(&u, QUIET);
	for (unsigned i = 0; i < REGIONS; i++)
		usage_asked(&u, AT(i), 1);
	for (unsigned i = 0; i < REGIONS; i++) {
		at = next(&u, UINT64_MAX - 1, &gpa);
		assert_true(at >= last + (last ? USAGE_PAUSE_NS : 0));
		last = at;
		named[gpa >> REGION_SHIFT]++;
		if (i % 2)
			usage_forget(&u, gpa);
	}
	assert_in_range(last, QUIET, 4 * QUIET);
	for (unsigned i = 0; i < REGIONS; i++)
		assert_in_range(named[i], 0, 2);
	assert_int_equal(u.count, REGIONS / 2);
	usage_free(&u);
}

static void without_a_time_nothing_is_named(void **state)
{
	struct usage u;

	open_usage(&u, 0);
	usage_asked(&u, AT(7), 1);
	assert_int_equal(usage_deadline(&u), UINT64_MAX);
	usage_free(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quiet_region_is_named),
		cmocka_unit_test(many_regions_take_turns),
		cmocka_unit_test(without_a_time_nothing_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
