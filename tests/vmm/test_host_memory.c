/* SPDX-License-Identifier: Apache-2.0 */
/* What a host and its control groups leave to a process (vmm/host_memory.h). */
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/text.h"
#include "tests/check.h"
#include "vmm/host_memory.h"

static char root[] = "/tmp/ssihv-host.XXXXXX";

/* Writes a file below the root, and the directories above it. */
static void put(const char *path, const char *text)
{
	_cleanup_free_ char *whole = text_printf("%s/%s", root, path);

	assert_non_null(whole);
	for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		assert_true(mkdir(whole, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	FILE *f = fopen(whole, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static int make_host(void **state)
{
	strcpy(root, "/tmp/ssihv-host.XXXXXX");
	assert_non_null(mkdtemp(root));
	put("proc/meminfo", "MemTotal:  900 kB\nMemFree: 100 kB\nMemAvailable:     400 kB\n");
	return 0;
}

static int remove_host(void **state)
{
	return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void expect(uint64_t bytes)
{
	uint64_t found = 0;

	assert_int_equal(host_memory_free(root, &found), 0);
	assert_int_equal(found, bytes);
}

static void without_groups_it_is_what_is_available(void **state)
{
	expect(400 * KIB);
	put("proc/self/cgroup", "0::/\n");
	expect(400 * KIB);
}

static void a_group_above_may_bound_it(void **state)
{
	put("proc/self/cgroup", "0::/a.slice/b:c.scope\n");
	put("sys/fs/cgroup/a.slice/b:c.scope/memory.max", "max\n");
	put("sys/fs/cgroup/a.slice/b:c.scope/memory.current", "5000\n");
	expect(400 * KIB);
	put("sys/fs/cgroup/a.slice/memory.max", "20000\n");
	put("sys/fs/cgroup/a.slice/memory.current", "8000\n");
	expect(12000);
	put("sys/fs/cgroup/a.slice/b:c.scope/memory.max", "6000\n");
	expect(1000);
	put("sys/fs/cgroup/a.slice/b:c.scope/memory.max", "4000\n"); /* lowered under its use */
	expect(0);
}

static void the_first_version_too(void **state)
{
	put("proc/self/cgroup", "7:cpu,memory:/x/y\n3:memoryless:/z\n0::/\n");
	put("sys/fs/cgroup/memory/x/y/memory.limit_in_bytes", "9223372036854771712\n");
	put("sys/fs/cgroup/memory/x/y/memory.usage_in_bytes", "100\n");
	expect(400 * KIB);
	put("sys/fs/cgroup/memory/memory.limit_in_bytes", "3000\n");
	put("sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n");
	expect(2000);
}

static void what_is_no_number_bounds_nothing(void **state)
{
	put("proc/self/cgroup", "0\n::\n0::\nmemory\n9:memory:\n");
	put("sys/fs/cgroup/memory/memory.limit_in_bytes", "");
	put("sys/fs/cgroup/memory/memory.usage_in_bytes", "x");
	expect(400 * KIB);
}

static void a_host_that_does_not_tell_is_an_error(void **state)
{
	uint64_t found;

	put("proc/meminfo", "MemFree: 100 kB\n");
	assert_int_equal(host_memory_free(root, &found), -ENODATA);
	assert_int_equal(host_memory_free("/nonexistent", &found), -ENOENT);
	assert_int_equal(host_memory_free("", &found), 0);
	assert_true(found > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_groups_it_is_what_is_available, make_host,
						remove_host),
		cmocka_unit_test_setup_teardown(a_group_above_may_bound_it, make_host, remove_host),
		cmocka_unit_test_setup_teardown(the_first_version_too, make_host, remove_host),
		cmocka_unit_test_setup_teardown(what_is_no_number_bounds_nothing, make_host,
						remove_host),
		cmocka_unit_test_setup_teardown(a_host_that_does_not_tell_is_an_error, make_host,
						remove_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
