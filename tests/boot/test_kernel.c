/* SPDX-License-Identifier: Apache-2.0 */
/* A distribution's kernel, named by SSIHV_TEST_KERNEL, is loaded where it wants to be. */
#include "tests/check.h"

#include <stdio.h>

#include "base/file.h"
#include "boot/bzimage.h"

static void a_real_kernel_is_loaded(void **state)
{
	const uint64_t size[] = {512 * MIB, 512 * MIB};
	const char *path = getenv("SSIHV_TEST_KERNEL");
	_cleanup_(file_free) struct file file = {0};
	_cleanup_(ram_freep) struct ram *ram = NULL;
	struct bzimage kernel;
	struct boot_source source = {.kernel = &kernel, .cmdline = "quiet"};
	struct mem_layout layout;
	struct boot_entry entry;
	struct err err;

	assert_int_equal(mem_layout_init(size, 2, &layout, &err), 0);
	assert_int_equal(ram_new(&layout, &ram, &err), 0);
	assert_int_equal(file_read("kernel", path, SIZE_MAX, &file, &err), 0);
	assert_int_equal(bzimage_parse(file.data, file.len, path, &kernel, &err), 0);
	assert_true(kernel.code_len > 1 * MIB);
	assert_true(kernel.room > kernel.code_len);
	assert_int_equal(boot_load(ram, &source, &entry, &err), 0);
	assert_int_equal(entry.rip, kernel.header.pref_address + BOOT_ENTRY_OFFSET);
	assert_memory_equal(ram_ptr(ram, entry.rip, PAGE_BYTES), kernel.code + BOOT_ENTRY_OFFSET,
			    PAGE_BYTES);
	/* Cut off anywhere, it is refused. */
	for (size_t len = 0; len < file.len - 16; len += 65521)
		assert_true(bzimage_parse(file.data, len, path, &kernel, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_real_kernel_is_loaded),
	};

	if (!getenv("SSIHV_TEST_KERNEL")) {
		puts("1..0 # SKIP SSIHV_TEST_KERNEL does not name a kernel");
		return 0;
	}
	return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
