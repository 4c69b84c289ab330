/* SPDX-License-Identifier: Apache-2.0 */
/* Which copies are given back at a limit (dsm/evict.h). */
#include <stdio.h>

#include "dsm/evict.h"
#include "tests/check.h"

#define LIMIT  1024
#define PAGES  (64 * LIMIT)
#define GPA(i) ((uint64_t)(i)*PAGE_BYTES)

/* A node with a limit, whose homes take what they are offered at once. */
struct node {
	struct evict *evict;
	bool here[PAGES];
	uint64_t accesses, misses, most;
};

static struct node *new_node(void)
{
	struct node *n = calloc(1, sizeof(*n));

	assert_non_null(n);
	assert_int_equal(evict_new(GPA(PAGES), LIMIT, &n->evict), 0);
	return n;
}

static void free_node(struct node *n)
{
	evict_free(n->evict);
	free(n);
}

static void drain(struct node *n)
{
	uint64_t gpa;

	while (evict_next(n->evict, 1, &gpa)) {
		assert_true(n->here[gpa / PAGE_BYTES]);
		n->here[gpa / PAGE_BYTES] = false;
		evict_left(n->evict, gpa);
	}
}

static void touch(struct node *n, unsigned page)
{
	n->accesses++;
	if (n->here[page])
		return;
	n->misses++;
	assert_true(evict_room(n->evict) > 0);
	n->here[page] = true;
	evict_came(n->evict, GPA(page));
	n->most = MAX(n->most, evict_stats(n->evict)->resident);
	drain(n);
}

/* The same accesses with a plain queue of arrivals. */
struct fifo {
	unsigned queue[LIMIT];
	bool here[PAGES];
	unsigned at, misses;
};

static void fifo_touch(struct fifo *f, unsigned page)
{
	unsigned *slot = &f->queue[f->at % LIMIT];

	if (f->here[page])
		return;
	f->misses++;
	if (f->at++ >= LIMIT)
		f->here[*slot] = false;
	*slot = page;
	f->here[page] = true;
}

static uint32_t random_below(uint64_t *seed, uint32_t n)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((*seed >> 33) % n);
}

static void nothing_is_offered_below_the_mark(void **state)
{
	struct node *n = new_node();
	uint64_t gpa;

	for (unsigned i = 0; i < LIMIT * 15 / 16; i++) {
		evict_came(n->evict, GPA(i));
		assert_false(evict_next(n->evict, 1, &gpa));
	}
	evict_came(n->evict, GPA(LIMIT));
	assert_true(evict_next(n->evict, 1, &gpa));
	assert_int_equal(gpa, GPA(0));
	free_node(n);
}

static void it_goes_on_to_the_lower_mark(void **state)
{
	struct node *n = new_node();

	for (unsigned i = 0; i < LIMIT * 15 / 16 + 1; i++) {
		n->here[i] = true;
		evict_came(n->evict, GPA(i));
	}
	drain(n);
	assert_int_equal(evict_stats(n->evict)->resident, LIMIT * 14 / 16);
	free_node(n);
}

static void a_page_that_its_home_passes_over_is_offered_again(void **state)
{
	struct node *n = new_node();
	unsigned first = 0, again = 0;
	uint64_t gpa, now = 1;

	for (unsigned i = 0; i < LIMIT; i++)
		evict_came(n->evict, GPA(i));
	assert_int_equal(evict_deadline(n->evict), UINT64_MAX);
	while (evict_next(n->evict, now, &gpa))
		assert_int_equal(gpa, GPA(first++));
	assert_int_equal(first, LIMIT / 8);
	/* The homes take nothing: there is no room for ever, unless the others are offered, too. */
	for (unsigned i = 0; i < LIMIT; i++) {
		assert_int_equal(evict_deadline(n->evict), now + EVICT_RETRY_NS);
		now = evict_deadline(n->evict);
		assert_true(evict_next(n->evict, now, &gpa));
		again += gpa == GPA(0);
	}
	assert_true(again > 0);
	while (evict_next(n->evict, now, &gpa))
		evict_left(n->evict, gpa);
	assert_int_equal(evict_stats(n->evict)->resident, LIMIT * 7 / 8);
	free_node(n);
}

static void at_the_limit_there_is_no_room(void **state)
{
	struct node *n = new_node();

	for (unsigned i = 0; i < LIMIT; i++)
		evict_came(n->evict, GPA(i));
	assert_int_equal(evict_room(n->evict), 0);
	evict_came(n->evict, GPA(LIMIT)); /* one that was asked for before */
	assert_int_equal(evict_room(n->evict), 0);
	evict_left(n->evict, GPA(3));
	evict_left(n->evict, GPA(3)); /* twice is once */
	evict_left(n->evict, GPA(4));
	assert_int_equal(evict_room(n->evict), 1);
	free_node(n);
}

static void a_page_that_another_node_took_leaves_no_ghost(void **state)
{
	struct node *n = new_node();

	evict_came(n->evict, GPA(1));
	evict_left(n->evict, GPA(1));
	evict_came(n->evict, GPA(1));
	assert_int_equal(evict_stats(n->evict)->refaulted, 0);
	assert_int_equal(evict_stats(n->evict)->evicted, 0);
	free_node(n);
}

static void a_page_that_was_used_again_stays_longer(void **state)
{
	struct node *n = new_node();

	touch(n, 0);
	evict_used(n->evict, GPA(0));
	for (unsigned i = 1; i <= 2 * LIMIT; i++)
		touch(n, i);
	assert_true(n->here[0]);
	assert_false(n->here[1]);
	free_node(n);
}

/* A set that is used all the time, while a sweep goes by that is much larger than the limit. */
static void a_sweep_does_not_displace_what_is_used(void **state)
{
	struct node *n = new_node();
	struct fifo *f = calloc(1, sizeof(*f));
	unsigned hot = LIMIT / 2;
	uint64_t seed = 1;

	assert_non_null(f);
	for (unsigned i = 0; i < 40 * LIMIT; i++) {
		unsigned used = random_below(&seed, hot), swept = hot + i % (32 * LIMIT);

		touch(n, used);
		fifo_touch(f, used);
		touch(n, swept);
		fifo_touch(f, swept);
	}
	printf("# %llu accesses, missed %llu, with one queue %u\n", (unsigned long long)n->accesses,
	       (unsigned long long)n->misses, f->misses);
	/* What is swept is missed in any case: half of all. The rest is what the policy is for. */
	assert_true((n->misses - n->accesses / 2) * 2 < f->misses - n->accesses / 2);
	assert_true(n->most <= LIMIT);
	free(f);
	free_node(n);
}

static void random_accesses_are_no_worse_than_with_one_queue(void **state)
{
	struct node *n = new_node();
	struct fifo *f = calloc(1, sizeof(*f));
	uint64_t seed = 2;

	assert_non_null(f);
	for (unsigned i = 0; i < 100 * LIMIT; i++) {
		unsigned page = random_below(&seed, 2 * LIMIT);

		touch(n, page);
		fifo_touch(f, page);
	}
	printf("# %llu accesses, missed %llu, with one queue %u\n", (unsigned long long)n->accesses,
	       (unsigned long long)n->misses, f->misses);
	/* An eighth of the limit is kept free, which one queue does not do. */
	assert_true(n->misses < f->misses * 5 / 4);
	free(f);
	free_node(n);
}

static void the_limit_may_change(void **state)
{
	struct node *n = new_node();

	for (unsigned i = 0; i < LIMIT * 3 / 4; i++) {
		n->here[i] = true;
		evict_came(n->evict, GPA(i));
	}
	drain(n);
	assert_int_equal(evict_stats(n->evict)->resident, LIMIT * 3 / 4);
	assert_int_equal(evict_set_limit(n->evict, 2 * LIMIT), 0);
	assert_int_equal(evict_limit(n->evict), 2 * LIMIT);
	assert_int_equal(evict_room(n->evict), LIMIT * 5 / 4);
	/* More are here than may be: they go, in the background as ever. */
	assert_int_equal(evict_set_limit(n->evict, LIMIT / 2), 0);
	assert_int_equal(evict_room(n->evict), 0);
	drain(n);
	assert_int_equal(evict_stats(n->evict)->resident, LIMIT / 2 - 2 * 64);
	assert_int_equal(evict_room(n->evict), 2 * 64);
	assert_int_equal(evict_set_limit(n->evict, EVICT_LIMIT_MIN - 1), -EINVAL);
	assert_int_equal(evict_limit(n->evict), LIMIT / 2);
	assert_int_equal(evict_stats(n->evict)->limit, LIMIT / 2);
	free_node(n);
}

static void what_is_at_home_is_no_copy(void **state)
{
	struct node *n = new_node();
	uint64_t gpa;

	for (unsigned i = 0; i < LIMIT; i++)
		evict_came(n->evict, GPA(i));
	while (evict_next(n->evict, 1, &gpa))
		;
	/* Half of those that were offered, and as many of those that were not. */
	for (unsigned i = LIMIT / 16; i < LIMIT * 3 / 16; i++) {
		assert_true(evict_here(n->evict, GPA(i)));
		evict_settled(n->evict, GPA(i));
		evict_settled(n->evict, GPA(i));
		evict_used(n->evict, GPA(i));
		assert_false(evict_here(n->evict, GPA(i)));
	}
	assert_int_equal(evict_stats(n->evict)->resident, LIMIT * 14 / 16);
	assert_int_equal(evict_room(n->evict), LIMIT * 2 / 16);
	for (unsigned i = LIMIT; i < LIMIT * 17 / 16; i++)
		evict_came(n->evict, GPA(i));
	/* What was settled is not offered any more, nor does it count as evicted. */
	for (uint64_t now = 1; now < 2 * LIMIT * EVICT_RETRY_NS; now += EVICT_RETRY_NS)
		while (evict_next(n->evict, now, &gpa))
			assert_false(gpa >= GPA(LIMIT / 16) && gpa < GPA(LIMIT * 3 / 16));
	assert_int_equal(evict_stats(n->evict)->evicted, 0);
	evict_left(n->evict, GPA(LIMIT / 16));
	assert_int_equal(evict_stats(n->evict)->resident, LIMIT * 15 / 16);
	free_node(n);
}

/* Pages come, are used, settle, are taken by others, offered and passed over, at random. */
static void its_counts_hold_whatever_happens(void **state)
{
	struct node *n = new_node();
	uint64_t seed = 3, gpa, here = 0, limit = LIMIT;

	for (unsigned i = 0; i < 500 * LIMIT; i++) {
		unsigned page = random_below(&seed, 8 * LIMIT);

		if (random_below(&seed, 256) == 0) {
			limit = EVICT_LIMIT_MIN + random_below(&seed, LIMIT);
			assert_int_equal(evict_set_limit(n->evict, limit), 0);
		}
		assert_int_equal(evict_room(n->evict), limit > here ? limit - here : 0);
		assert_int_equal(evict_here(n->evict, GPA(page)), n->here[page]);
		switch (random_below(&seed, 5)) {
		case 4:
			here -= n->here[page];
			n->here[page] = false;
			evict_settled(n->evict, GPA(page));
			break;
		case 0:
			evict_used(n->evict, GPA(page));
			break;
		case 1:
			here -= n->here[page];
			n->here[page] = false;
			evict_left(n->evict, GPA(page));
			break;
		default:
			if (evict_room(n->evict)) {
				here += !n->here[page];
				n->here[page] = true;
				evict_came(n->evict, GPA(page));
			}
		}
		if (evict_next(n->evict, 1, &gpa)) {
			assert_true(n->here[gpa / PAGE_BYTES]);
			if (random_below(&seed, 2)) {
				here--;
				n->here[gpa / PAGE_BYTES] = false;
				evict_left(n->evict, gpa);
			}
		}
		assert_int_equal(evict_stats(n->evict)->resident, here);
	}
	free_node(n);
}

static void what_cannot_be_is_refused(void **state)
{
	struct evict *e;

	assert_int_equal(evict_new(GPA(PAGES), EVICT_LIMIT_MIN - 1, &e), -EINVAL);
	assert_int_equal(evict_new(GPA(PAGES), UINT64_C(1) << 32, &e), -EINVAL);
	assert_int_equal(evict_new(0, LIMIT, &e), -EINVAL);
	assert_int_equal(evict_new(UINT64_C(1) << 46, LIMIT, &e), -EINVAL);
	evict_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_offered_below_the_mark),
		cmocka_unit_test(it_goes_on_to_the_lower_mark),
		cmocka_unit_test(a_page_that_its_home_passes_over_is_offered_again),
		cmocka_unit_test(at_the_limit_there_is_no_room),
		cmocka_unit_test(a_page_that_another_node_took_leaves_no_ghost),
		cmocka_unit_test(a_page_that_was_used_again_stays_longer),
		cmocka_unit_test(a_sweep_does_not_displace_what_is_used),
		cmocka_unit_test(random_accesses_are_no_worse_than_with_one_queue),
		cmocka_unit_test(the_limit_may_change),
		cmocka_unit_test(what_is_at_home_is_no_copy),
		cmocka_unit_test(its_counts_hold_whatever_happens),
		cmocka_unit_test(what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
