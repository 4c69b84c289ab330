/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster file when memory runs out, at each allocation in turn: that is the reason, and nothing
 * is left behind (the sanitized build looks).
 */
#include "tests/check.h"

#include <fcntl.h>
#include <stdio.h>

#include "config/cluster.h"
#include "tests/scarce.h"

/* Paths are relative to the file, which is in the current directory: its name is asked for. */
static const char *const name = "ssihv-memory.yaml";
static const char text[] = "cluster: {name: t}\n"
			   "placement: local\n"
			   "guest: {kernel: vmlinuz, initrd: a/initrd, append: quiet}\n"
			   "numa: {distances: [[10, 20], [20, 10]]}\n"
			   "nodes:\n"
			   "  - {name: a, memory: 64M, vcpus: 1, limit: 96M}\n"
			   "  - {name: b, memory: 64M, vcpus: 1}\n";

static void a_file_is_loaded_whole_or_not_at_all(void **state)
{
	char dir[] = "/tmp/ssihv-memory.XXXXXX";
	struct cluster_config *cfg;
	struct err err;
	unsigned failed = 0;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	_cleanup_close_ int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));

	for (;; failed++) {
		cfg = NULL;
		err.text[0] = '\0';
		scarce_begin(failed + 1);
		int r = cluster_load(name, &cfg, &err);
		if (scarce_end() <= failed) {
			assert_int_equal(r, 0);
			break;
		}
		assert_int_equal(r, -ENOMEM);
		assert_null(cfg);
		assert_non_null(strstr(err.text, name));
	}
	/* Of the configuration, the file, two paths that begin with the directory's name, the words
	 * for the kernel, and of the parser. */
	assert_true(failed > 7);
	assert_non_null(strstr(cfg->initrd, "/a/initrd"));
	assert_string_equal(cfg->append, "quiet");
	cluster_free(cfg);
	unlink(name);
	rmdir(dir);
}

static void defaults_need_memory(void **state)
{
	struct cluster_config *cfg;
	struct err err;

	scarce_begin(1);
	assert_int_equal(cluster_default(CLUSTER_LOCAL, 2, MIN_NODE_MEMORY, 1, &cfg, &err),
			 -ENOMEM);
	scarce_end();
	assert_string_equal(err.text, "out of memory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_loaded_whole_or_not_at_all),
		cmocka_unit_test(defaults_need_memory),
	};

	return cmocka_run_group_tests_name("config-memory", tests, NULL, NULL);
}
