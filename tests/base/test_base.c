/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "base/hist.h"
#include "base/size.h"

static void sizes_are_parsed(void **state)
{
	uint64_t n;

	assert_int_equal(size_parse("4096", &n), 0);
	assert_int_equal(n, 4096);
	assert_int_equal(size_parse("512M", &n), 0);
	assert_int_equal(n, 512 * MIB);
	assert_int_equal(size_parse("2 GiB", &n), 0);
	assert_int_equal(n, 2 * GIB);
	assert_int_equal(size_parse("64Kx", &n), -EINVAL);
	assert_int_equal(size_parse("", &n), -EINVAL);
	assert_int_equal(size_parse("-1", &n), -EINVAL);
	assert_int_equal(size_parse("12Q", &n), -EINVAL);
	assert_int_equal(size_parse("99999999999T", &n), -ERANGE);
	assert_int_equal(size_parse("99999999999999999999999", &n), -ERANGE);
}

static void sizes_are_formatted(void **state)
{
	char buf[32];

	assert_string_equal(size_format(512 * MIB, buf, sizeof(buf)), "512 MiB");
	assert_string_equal(size_format(4097, buf, sizeof(buf)), "4097 B");
	assert_string_equal(size_format(0, buf, sizeof(buf)), "0 B");
}

static void percentiles_are_right_to_seven_percent(void **state)
{
	struct hist *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	assert_int_equal(hist_percentile(h, 500), 0);
	for (uint64_t v = 1; v <= 100000; v++)
		hist_add(h, v);
	assert_int_equal(h->count, 100000);
	assert_in_range(hist_percentile(h, 500), 50000, 53500);
	assert_in_range(hist_percentile(h, 990), 99000, 100000);
	hist_add(h, UINT64_MAX);
	assert_int_equal(hist_percentile(h, 1000), UINT64_MAX);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_parsed),
		cmocka_unit_test(sizes_are_formatted),
		cmocka_unit_test(percentiles_are_right_to_seven_percent),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
