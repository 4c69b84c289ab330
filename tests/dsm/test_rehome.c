/* SPDX-License-Identifier: Apache-2.0 */
/* Which regions are named to live elsewhere, where, and when. */
#include "dsm/rehome.h"
#include "tests/check.h"

#define REGIONS 200
#define SELF	1
#define NOBODY	-1
#define FIRST	SELF /* where all regions were at home first, if nothing else is said */
#define LEAD	8
#define REST	NSEC_PER_SEC
#define AT(n)	((uint64_t)(n)*REGION_BYTES)

static void open_rehome(struct rehome *r, unsigned lead)
{
	assert_int_equal(rehome_init(r, AT(REGIONS), SELF, lead, REST), 0);
	assert_int_equal(rehome_deadline(r), UINT64_MAX);
}

static void ask_for(struct rehome *r, unsigned region, const struct rehome_request *request,
		    unsigned times, uint64_t now)
{
	for (unsigned i = 0; i < times; i++)
		rehome_asked(r, AT(region) + i % REGION_PAGES * PAGE_BYTES, request, now);
}

static void ask(struct rehome *r, unsigned region, unsigned node, unsigned times, uint64_t now)
{
	ask_for(r, region, &(struct rehome_request){node, NOBODY, FIRST}, times, now);
}

static bool is_named(const struct rehome *r)
{
	return rehome_deadline(r) != UINT64_MAX;
}

static void expect(struct rehome *r, unsigned region, unsigned node, uint64_t now)
{
	uint64_t gpa = 0;
	unsigned to = 0;

	assert_true(rehome_candidate(r, now, &gpa, &to));
	assert_int_equal(gpa, AT(region));
	assert_int_equal(to, node);
}

static void who_leads_by_enough_gets_it(void **state)
{
	struct rehome r;

	open_rehome(&r, LEAD);
	ask(&r, 7, 2, LEAD - 1, 1);
	assert_false(is_named(&r));
	ask(&r, 7, 0, 3, 1);
	ask(&r, 7, 2, 3, 1);
	assert_false(is_named(&r));
	ask(&r, 7, 2, 1, 1);
	assert_true(is_named(&r));
	expect(&r, 7, 2, 1);
	rehome_free(&r);
}

static void equal_use_moves_nothing(void **state)
{
	struct rehome r;

	open_rehome(&r, LEAD);
	for (unsigned i = 0; i < 1000; i++) {
		ask(&r, 7, 0, LEAD - 1, 1);
		ask(&r, 7, 2, LEAD - 1, 1);
	}
	assert_false(is_named(&r));
	rehome_free(&r);
}

static void the_home_counts_as_any_node(void **state)
{
	struct rehome r;

	open_rehome(&r, LEAD);
	ask(&r, 7, SELF, 1000, 1); /* not for ever */
	assert_false(is_named(&r));
	ask(&r, 7, 2, 2 * LEAD - 1, 1);
	assert_false(is_named(&r));
	ask(&r, 7, 2, 1, 1);
	expect(&r, 7, 2, 1);
	rehome_free(&r);
}

/* Named, but the home itself, or a third, has asked for it since. */
static void a_lead_that_is_gone_is_not_named(void **state)
{
	uint64_t gpa;
	unsigned to;
	struct rehome r;

	for (unsigned by = 0; by < 2; by++) {
		open_rehome(&r, LEAD);
		ask(&r, 7, 2, LEAD, 1);
		ask(&r, 7, by, LEAD / 2 - 1, 1);
		expect(&r, 7, 2, 1);
		rehome_tried(&r, false, 1);
		ask(&r, 7, by, 1, 1);
		assert_false(rehome_candidate(&r, 1 + REHOME_PAUSE_NS, &gpa, &to));
		assert_false(is_named(&r));
		ask(&r, 7, 2, LEAD / 2, 1); /* and leads again */
		expect(&r, 7, 2, 1 + REHOME_PAUSE_NS);
		rehome_free(&r);
	}
}

static void it_rests_after_a_move_and_when_it_came(void **state)
{
	struct rehome r;

	open_rehome(&r, LEAD);
	ask(&r, 7, 2, LEAD, 1);
	expect(&r, 7, 2, 1);
	rehome_tried(&r, true, 1);
	ask(&r, 7, 2, 1000, REST);
	assert_false(is_named(&r));
	ask(&r, 7, 0, LEAD, 1 + REST);
	expect(&r, 7, 0, 1 + REST);
	rehome_tried(&r, true, 1 + REST);

	rehome_came(&r, AT(7) + 5 * PAGE_BYTES, 5 * REST);
	ask(&r, 7, 2, 1000, 6 * REST - 1);
	assert_false(is_named(&r));
	ask(&r, 7, 2, LEAD, 6 * REST);
	assert_true(is_named(&r));
	rehome_free(&r);
}

static void a_busy_region_is_tried_again_so_often(void **state)
{
	uint64_t gpa, now = 1;
	struct rehome r;
	unsigned to;

	open_rehome(&r, LEAD);
	ask(&r, 7, 2, LEAD, now);
	for (unsigned i = 0; i < REHOME_TRIES; i++, now += REHOME_PAUSE_NS) {
		expect(&r, 7, 2, now);
		assert_false(rehome_candidate(&r, now, &gpa, &to)); /* not at once */
		rehome_tried(&r, false, now);
	}
	assert_false(is_named(&r));
	now -= REHOME_PAUSE_NS;
	ask(&r, 7, 2, LEAD, now + REST - 1);
	assert_false(is_named(&r));
	ask(&r, 7, 2, LEAD, now + REST);
	assert_true(is_named(&r));
	rehome_free(&r);
}

static void many_take_turns_and_the_rest_ask_again(void **state)
{
	unsigned named[REGIONS] = {0};
	uint64_t gpa, now = 1;
	struct rehome r;
	unsigned to;

	open_rehome(&r, LEAD);
	for (unsigned i = 0; i < REGIONS; i++)
		ask(&r, i, 0, 2 * LEAD, now);
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < REHOME_MAX; i++, now += REHOME_PAUSE_NS) {
			assert_true(rehome_candidate(&r, now, &gpa, &to));
			named[gpa >> REGION_SHIFT]++;
			rehome_tried(&r, round == 2, now);
		}
	assert_false(is_named(&r));
	for (unsigned i = 0; i < REGIONS; i++)
		assert_int_equal(named[i], i < REHOME_MAX ? 3 : 0);
	ask(&r, REGIONS - 1, 0, 1, now);
	expect(&r, REGIONS - 1, 0, now);
	rehome_free(&r);
}

/* A third reads what the leader owns: to both it is nearer at home there. */
static void what_the_leader_owns_counts_for_it(void **state)
{
	const struct rehome_request third = {.node = 0, .owner = 2, .first = FIRST};
	struct rehome r;

	open_rehome(&r, LEAD);
	ask_for(&r, 7, &third, LEAD - 1, 1); /* it leads itself: it has asked first */
	ask(&r, 7, 2, LEAD - 1, 1);
	assert_false(is_named(&r));
	ask(&r, 7, 2, 1, 1);
	ask_for(&r, 7, &third, LEAD - 2, 1);
	assert_false(is_named(&r));
	ask_for(&r, 7, &third, 1, 1);
	expect(&r, 7, 2, 1);
	rehome_free(&r);
}

/* Nor for itself what others own. */
static void what_the_home_asks_for_never_counts_for_others(void **state)
{
	struct rehome r;

	open_rehome(&r, LEAD);
	for (unsigned i = 0; i < 10 * LEAD; i++) {
		ask(&r, 7, 2, 1, 1);
		ask_for(&r, 7, &(struct rehome_request){SELF, 2, FIRST}, 1, 1);
	}
	assert_false(is_named(&r));
	ask(&r, 7, SELF, LEAD, 1);
	ask_for(&r, 7, &(struct rehome_request){2, SELF, FIRST}, 2 * LEAD, 1);
	expect(&r, 7, 2, 1);
	rehome_free(&r);
}

static void where_it_was_first_it_goes_sooner(void **state)
{
	const struct rehome_request first = {.node = 2, .owner = NOBODY, .first = 2};
	uint64_t gpa;
	unsigned to;
	struct rehome r;

	open_rehome(&r, LEAD);
	ask_for(&r, 7, &first, LEAD / 4 - 1, 1);
	assert_false(is_named(&r));
	ask_for(&r, 7, &first, LEAD, 1); /* it leads by no more */
	expect(&r, 7, 2, 1);
	rehome_tried(&r, false, 1);
	ask_for(&r, 7, &(struct rehome_request){SELF, NOBODY, 2}, 1, 1);
	assert_false(rehome_candidate(&r, 1 + REHOME_PAUSE_NS, &gpa, &to)); /* half of that */
	assert_false(is_named(&r));
	ask_for(&r, 7, &(struct rehome_request){0, NOBODY, 2}, LEAD, 1); /* all others as ever */
	assert_false(is_named(&r));
	ask_for(&r, 7, &(struct rehome_request){0, NOBODY, 2}, 1, 1);
	expect(&r, 7, 0, 1 + REHOME_PAUSE_NS);
	rehome_free(&r);

	open_rehome(&r, 1);
	ask_for(&r, 7, &first, 1, 1);
	expect(&r, 7, 2, 1);
	rehome_free(&r);
}

static void one_request_may_be_enough(void **state)
{
	struct rehome r;

	open_rehome(&r, 1);
	ask(&r, 7, SELF, 3, 1);
	ask(&r, 7, 2, 1, 1);
	assert_false(is_named(&r));
	ask(&r, 7, 2, 1, 1);
	expect(&r, 7, 2, 1);
	rehome_free(&r);
}

static void without_a_lead_nothing_is_named(void **state)
{
	struct rehome r;

	assert_int_equal(rehome_init(&r, AT(1), 0, MAX_HOMES_LEAD + 1, 0), -EINVAL);
	rehome_free(&r);
	open_rehome(&r, 0);
	ask(&r, 7, 2, 100000, 1);
	assert_false(is_named(&r));
	rehome_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_leads_by_enough_gets_it),
		cmocka_unit_test(equal_use_moves_nothing),
		cmocka_unit_test(the_home_counts_as_any_node),
		cmocka_unit_test(a_lead_that_is_gone_is_not_named),
		cmocka_unit_test(it_rests_after_a_move_and_when_it_came),
		cmocka_unit_test(a_busy_region_is_tried_again_so_often),
		cmocka_unit_test(many_take_turns_and_the_rest_ask_again),
		cmocka_unit_test(what_the_leader_owns_counts_for_it),
		cmocka_unit_test(what_the_home_asks_for_never_counts_for_others),
		cmocka_unit_test(where_it_was_first_it_goes_sooner),
		cmocka_unit_test(one_request_may_be_enough),
		cmocka_unit_test(without_a_lead_nothing_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
