/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/address.h"
#include "base/file.h"
#include "base/hist.h"
#include "base/size.h"
#include "base/text.h"

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

static void files_are_read_or_named(void **state)
{
	char path[] = "/tmp/ssihv-base-XXXXXX", fifo[64];
	struct file file = {0};
	struct err err;
	uint64_t size;
	int fd;

	assert_int_equal(file_read("kernel", "/nonexistent/vmlinuz", SIZE_MAX, &file, &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "kernel /nonexistent/vmlinuz"));
	assert_int_equal(file_read("initrd", "/", SIZE_MAX, &file, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is a directory"));
	fd = mkstemp(path);
	assert_true(fd >= 0);
	snprintf(fifo, sizeof(fifo), "%s.fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(file_read("initrd", fifo, SIZE_MAX, &file, &err), -EINVAL);
	unlink(fifo);
	assert_int_equal(file_read("initrd", path, SIZE_MAX, &file, &err), -EINVAL);
	assert_non_null(strstr(err.text, "empty"));
	assert_null(file.data);
	assert_int_equal(write(fd, "070701", 6), 6);
	assert_int_equal(file_read("initrd", path, 5, &file, &err), -E2BIG);
	assert_int_equal(file_size("initrd", path, &size, &err), 0);
	assert_int_equal(size, 6);
	assert_int_equal(file_read("initrd", path, SIZE_MAX, &file, &err), 0);
	assert_int_equal(file.len, 6);
	assert_string_equal(file.data, "070701");
	file_free(&file);
	file_free(&file);
	close(fd);
	unlink(path);
}

static void addresses_are_taken_apart(void **state)
{
	char host[128];
	uint16_t port;

	assert_int_equal(address_split("h-1.x:50051", host, sizeof(host), &port), 0);
	assert_string_equal(host, "h-1.x");
	assert_int_equal(port, 50051);
	assert_int_equal(address_split("[fe80::1%eth0]:1", host, sizeof(host), &port), 0);
	assert_string_equal(host, "fe80::1%eth0");
	assert_int_equal(address_split("h:0", host, sizeof(host), &port), 0);
	assert_int_equal(port, 0);
	assert_int_equal(address_split("four:1", host, 4, &port), -EINVAL);
	static const char *const bad[] = {"",
					  ":1",
					  "h",
					  "h:",
					  "h:65536",
					  "h:1x",
					  "[::1:1",
					  "[]:1",
					  "::1:1",
					  "h:-1",
					  "h :1",
					  "-h:1",
					  "h:99999999999999999999",
					  "a\nb:1",
					  "[fe80::1]1",
					  "h:000001",
					  "[:80"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(address_split(bad[i], host, sizeof(host), &port), -EINVAL);
}

static void foreign_text_becomes_one_printable_line(void **state)
{
	static const struct {
		const char *from, *want;
		size_t room;
	} cases[] = {
		{"plain", "plain", 64},
		{"a\033[2Jb\r\n\tc\177", "a?[2Jb???c?", 64},
		{"\303\244 \342\202\254 \360\237\220\247", "\303\244 \342\202\254 \360\237\220\247",
		 64},
		/* C1 controls, overlong, surrogate, too large, cut off. */
		{"\302\2335n", "??5n", 64},
		{"\300\257", "??", 64},
		{"\355\240\200", "???", 64},
		{"\364\220\200\200", "????", 64},
		{"x\342\202", "x??", 64},
		/* A character that does not fit whole is left out. */
		{"abc\303\244", "abc", 5},
		{"abc", "", 1},
	};
	char got[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		text_clean(cases[i].from, strlen(cases[i].from), got, cases[i].room);
		assert_string_equal(got, cases[i].want);
	}
	text_clean("ab\0cd", 5, got, sizeof(got));
	assert_string_equal(got, "ab");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_parsed),
		cmocka_unit_test(sizes_are_formatted),
		cmocka_unit_test(percentiles_are_right_to_seven_percent),
		cmocka_unit_test(files_are_read_or_named),
		cmocka_unit_test(addresses_are_taken_apart),
		cmocka_unit_test(foreign_text_becomes_one_printable_line),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
