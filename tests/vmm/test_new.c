/* SPDX-License-Identifier: Apache-2.0 */
/* A node that cannot be made says why, and leaves nothing behind (memory: the sanitized build). */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/base.h"
#include "vmm/node.h"
#include "tests/open_files.h"

static unsigned calls, fails; /* what node_new() has asked for, and which of it fails; 0: nothing */

static bool fails_now(int error)
{
	if (++calls != fails)
		return false;
	errno = error;
	return true;
}

/* By the linker. Files of the library call these in place of the real ones. */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags);
int __real_close(int fd);
int __wrap_close(int fd);

void *__wrap_malloc(size_t size)
{
	return fails_now(ENOMEM) ? NULL : __real_malloc(size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails_now(ENOMEM) ? NULL : __real_aligned_alloc(alignment, size);
}

int __wrap_eventfd(unsigned count, int flags)
{
	return fails_now(EMFILE) ? -1 : __real_eventfd(count, flags);
}

/* Whatever it does to errno, the reason stays the first one. */
int __wrap_close(int fd)
{
	int r = __real_close(fd);

	errno = EIO;
	return r;
}

static void a_node_that_cannot_be_made_leaves_nothing(void **state)
{
	static const int reasons[] = {-ENOMEM, -EMFILE, -EMFILE, -ENOMEM, 0};
	static const struct node_port port = {.commands = -1, .console = -1};
	struct cluster_config *cfg;
	struct err err;

	assert_int_equal(cluster_default(CLUSTER_LOCAL, 2, 64 * MIB, 1, &cfg, &err), 0);
	const struct node_options options = {.cfg = cfg};
	const unsigned before = open_files();

	/* The last time there is nothing left that could fail. */
	for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++) {
		struct node *n = NULL;

		calls = 0;
		fails = i + 1;
		int r = node_new(&options, &port, &n);
		fails = 0;
		assert_int_equal(r, reasons[i]);
		if (r < 0)
			assert_null(n);
		node_free(n);
		assert_int_equal(open_files(), before);
	}
	cluster_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_that_cannot_be_made_leaves_nothing),
	};

	return cmocka_run_group_tests_name("new", tests, NULL, NULL);
}
