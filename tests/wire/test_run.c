/* SPDX-License-Identifier: Apache-2.0 */
/* Runs: what joins comes out again page by page, and what may not join does not. */
#include "tests/check.h"

#include "wire/run.h"

static const struct wire_hdr grant = {.type = WIRE_GRANT,
				      .flags = WIRE_GRANT_DATA | WIRE_GRANT_WRITE,
				      .len = PAGE_BYTES,
				      .from = 3,
				      .epoch = 9,
				      .node = 4,
				      .acks = 5,
				      .addr = 7 * REGION_BYTES};

static void a_run_has_as_many_pages_as_it_may(void **state)
{
	struct wire_hdr run = grant, next = grant;

	for (unsigned i = 1; i < WIRE_RUN_PAGES; i++) {
		next.addr += PAGE_BYTES;
		assert_true(wire_run_join(&run, &next));
		assert_int_equal(wire_run_pages(&run), i + 1);
		assert_int_equal(run.len, (i + 1) * PAGE_BYTES);
		assert_int_equal(wire_check(&run, WIRE_CLASS_PAGE), 0);
	}
	next.addr += PAGE_BYTES;
	assert_false(wire_run_join(&run, &next));
	next = grant;
	for (unsigned i = 0; i < WIRE_RUN_PAGES; i++, next.addr += PAGE_BYTES) {
		struct wire_hdr part = wire_run_part(&run, i, 1);

		assert_memory_equal(&part, &next, sizeof(part));
	}
}

static void a_run_is_cut_anywhere(void **state)
{
	struct wire_hdr run = grant, part;

	run.more = 9;
	run.len = 10 * PAGE_BYTES;
	part = wire_run_part(&run, 0, 10);
	assert_memory_equal(&part, &run, sizeof(run));
	part = wire_run_part(&run, 3, 5);
	assert_int_equal(part.addr, run.addr + 3 * PAGE_BYTES);
	assert_int_equal(part.more, 4);
	assert_int_equal(part.len, 5 * PAGE_BYTES);
	assert_int_equal(part.node, run.node);
	run.flags = 0;
	run.len = 0;
	part = wire_run_part(&run, 9, 1);
	assert_int_equal(part.more, 0);
	assert_int_equal(part.len, 0);
}

/* What is no run stays whole, whatever its length. */
static void a_part_of_the_directory_is_itself(void **state)
{
	const struct wire_hdr h = {
		.type = WIRE_HOME, .len = sizeof(struct wire_home), .addr = REGION_BYTES};
	struct wire_hdr part = wire_run_part(&h, 0, 1);

	assert_memory_equal(&part, &h, sizeof(h));
}

static void a_run_ends_with_its_region(void **state)
{
	struct wire_hdr run = grant, next = grant;

	run.addr = 8 * REGION_BYTES - 2 * PAGE_BYTES;
	next.addr = run.addr + PAGE_BYTES;
	assert_true(wire_run_join(&run, &next));
	next.addr += PAGE_BYTES;
	assert_false(wire_run_join(&run, &next));
	assert_int_equal(run.more, 1);
}

/* Each field, and neighbours in the wrong order. */
static void only_the_same_of_the_next_page_joins(void **state)
{
	struct wire_hdr h[14];

	for (size_t i = 0; i < ARRAY_SIZE(h); i++) {
		h[i] = grant;
		h[i].addr += PAGE_BYTES;
	}
	h[0].type = WIRE_INV_ACK;
	h[1].flags = WIRE_GRANT_DATA;
	h[2].len = 0;
	h[3].from++;
	h[4].epoch++;
	h[5].node++;
	h[6].acks++;
	h[7].ticket++;
	h[8].ticket_node++;
	h[9].stamp++;
	h[10].addr = grant.addr;
	h[11].addr += PAGE_BYTES;
	h[12].addr -= 2 * PAGE_BYTES;
	h[13].more = 1;
	for (size_t i = 0; i < ARRAY_SIZE(h); i++) {
		struct wire_hdr run = grant;

		assert_false(wire_run_join(&run, &h[i]));
		assert_memory_equal(&run, &grant, sizeof(run));
	}
}

static void other_types_do_not_join(void **state)
{
	for (unsigned type = 0; type < 256; type++) {
		struct wire_hdr run = {.type = (uint8_t)type}, next = run;

		next.addr = PAGE_BYTES;
		assert_int_equal(wire_run_join(&run, &next), wire_may_run((uint8_t)type));
	}
	assert_true(wire_may_run(WIRE_GETS) && wire_may_run(WIRE_GRANT));
	assert_false(wire_may_run(WIRE_URGE) || wire_may_run(WIRE_HOME) || wire_may_run(WIRE_PING));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_has_as_many_pages_as_it_may),
		cmocka_unit_test(a_run_is_cut_anywhere),
		cmocka_unit_test(a_part_of_the_directory_is_itself),
		cmocka_unit_test(a_run_ends_with_its_region),
		cmocka_unit_test(only_the_same_of_the_next_page_joins),
		cmocka_unit_test(other_types_do_not_join),
	};

	return cmocka_run_group_tests_name("wire-run", tests, NULL, NULL);
}
