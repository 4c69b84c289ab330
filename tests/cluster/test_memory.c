/* SPDX-License-Identifier: Apache-2.0 */
/* A run when memory runs out, at each allocation in turn, and what it leaves behind: nothing. */
#include "tests/check.h"

#include <stdio.h>

#include "base/text.h"
#include "cluster/cluster_run.h"
#include "tests/open_files.h"
#include "tests/scarce.h"

struct world {
	struct cluster_config *cfg;
	char dir[64];
	char ends[300];
};

static void on_end(void *ctx, enum cluster_result result, const char *reason)
{
	struct world *w = ctx;

	assert_int_equal(result, CLUSTER_FAILED);
	snprintf(w->ends, sizeof(w->ends), "%s", reason);
}

static const struct cluster_run_ops ops = {.ends = on_end};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct err err;

	*state = w;
	strcpy(w->dir, "/tmp/ssihv-memory.XXXXXX");
	return mkdtemp(w->dir)
		       ? cluster_default(CLUSTER_LOCAL, 2, MIN_NODE_MEMORY, 1, &w->cfg, &err)
		       : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 2; i++) {
		_cleanup_free_ char *log = text_printf("%s/node-node%u.log", w->dir, i);
		unlink(log);
	}
	rmdir(w->dir);
	cluster_free(w->cfg);
	free(w);
	return 0;
}

static int new_run(struct world *w, struct cluster_run **ret, struct err *err)
{
	const struct cluster_run_setup setup = {.cfg = w->cfg,
						.dir = w->dir,
						.program = "/bin/false",
						.epoch = 7,
						.ops = &ops,
						.ctx = w};

	return cluster_run_new(&setup, ret, err);
}

static void a_run_that_cannot_be_made_leaves_nothing(void **state)
{
	const unsigned before = open_files();
	struct cluster_run *run;
	struct err err;

	/* The run, its members, the name of each one's log. */
	for (unsigned i = 1; i <= 4; i++) {
		run = NULL;
		scarce_begin(i);
		int r = new_run(*state, &run, &err);
		assert_int_equal(scarce_end(), i);
		assert_int_equal(r, -ENOMEM);
		assert_null(run);
		assert_string_equal(err.text, "out of memory");
		assert_int_equal(open_files(), before);
	}
	scarce_begin(5);
	assert_int_equal(new_run(*state, &run, &err), 0);
	assert_int_equal(scarce_end(), 4);
	cluster_run_free(run);
}

/* Each node has two paths. The one that is made first is freed when the other one cannot be. */
static void a_node_that_cannot_be_started_ends_the_run(void **state)
{
	struct world *w = *state;
	struct cluster_run *run;
	struct err err;

	for (unsigned i = 1; i <= 4; i++) {
		w->ends[0] = '\0';
		assert_int_equal(new_run(w, &run, &err), 0);
		scarce_begin(i);
		cluster_run_start(run);
		scarce_end();
		assert_string_equal(w->ends,
				    i <= 2 ? "node0: out of memory" : "node1: out of memory");
		assert_int_equal(cluster_run_alive(run), i > 2);
		cluster_run_free(run);
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_run_that_cannot_be_made_leaves_nothing),
		CASE(a_node_that_cannot_be_started_ends_the_run),
	};

	return cmocka_run_group_tests_name("cluster-memory", tests, NULL, NULL);
}
