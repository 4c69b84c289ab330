/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of a cluster as its other users have it: without terminal, two at a time, with commands.
 * The nodes are tests/cli/fake_node.py (the argument), which speaks a node's contract.
 */
#include "tests/check.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/text.h"
#include "cluster/cluster_run.h"
#include "tests/open_files.h"

static const char *fake;

/* A run and all that it has told. */
struct world {
	struct cluster_config *cfg;
	struct cluster_run *run;
	char dir[64];
	char console[80 * KIB]; /* more than a pipe holds */
	size_t console_len;
	char phases[1024], ends[1024], refusal[300];
	unsigned replies, refusals;
	uint32_t last_reply;
};

static void on_phase(void *ctx, unsigned node, const char *text)
{
	struct world *w = ctx;
	size_t len = strlen(w->phases);

	snprintf(w->phases + len, sizeof(w->phases) - len, "%u:%s;", node, text);
}

static void on_console(void *ctx, const char *data, size_t len)
{
	struct world *w = ctx;

	assert_true(len < sizeof(w->console) - w->console_len);
	memcpy(w->console + w->console_len, data, len);
	w->console_len += len;
}

static void on_reply(void *ctx, unsigned node, uint32_t id, const char *text, const json_t *body)
{
	struct world *w = ctx;

	assert_true(json_is_object(body));
	w->replies++;
	w->refusals += text != NULL;
	w->last_reply = id;
	if (text)
		snprintf(w->refusal, sizeof(w->refusal), "%s", text);
}

static void on_end(void *ctx, enum cluster_result result, const char *reason)
{
	static const char *const names[] = {"goes on", "poweroff", "reset",	 "failed",
					    "lost",    "timeout",  "interrupted"};
	struct world *w = ctx;
	size_t len = strlen(w->ends);

	snprintf(w->ends + len, sizeof(w->ends) - len, "%s:%s;", names[result], reason);
}

static const struct cluster_run_ops ops = {
	.phase = on_phase, .console = on_console, .reply = on_reply, .ends = on_end};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

/* Two nodes; what they do is told by their plans. */
static struct world *world_new(const char *plan0, const char *plan1)
{
	struct world *w = calloc(1, sizeof(*w));
	char path[sizeof(w->dir) + 16];
	struct err err;

	strcpy(w->dir, "/tmp/ssihv-cluster.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(cluster_default(CLUSTER_LOCAL, 2, MIN_NODE_MEMORY, 1, &w->cfg, &err), 0);
	w->cfg->kernel = strdup("/dev/null");
	w->cfg->append = strdup(plan0);
	snprintf(path, sizeof(path), "%s/cluster.yaml", w->dir);
	assert_int_equal(cluster_save(w->cfg, path, &err), 0);
	setenv("FAKE_PLAN_node1", plan1, 1);
	setenv("FAKE_PIDS", w->dir, 1);

	const struct cluster_run_setup setup = {
		.cfg = w->cfg,
		.dir = w->dir,
		.program = fake,
		.epoch = 7,
		.ops = &ops,
		.ctx = w,
	};
	if (cluster_run_new(&setup, &w->run, &err) < 0)
		fail_msg("%s", err.text);
	return w;
}

static void world_free(struct world *w)
{
	cluster_run_free(w->run);
	cluster_free(w->cfg);
	nftw(w->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(w);
}

/* One turn of a loop that may have other things to wait for. */
static void turn(struct world *w)
{
	struct pollfd p = {cluster_run_fd(w->run), POLLIN};
	int ms = cluster_run_timeout(w->run);

	assert_in_range(poll(&p, 1, ms < 0 ? 30000 : ms), 0, 1);
	if (ms < 0 && !p.revents)
		fail_msg("nothing happens: %s", w->phases);
	cluster_run_step(w->run);
}

static void until_phase(struct world *w, const char *text)
{
	while (!strstr(w->phases, text)) {
		assert_false(cluster_run_over(w->run));
		turn(w);
	}
}

static void until_over(struct world *w)
{
	while (!cluster_run_over(w->run))
		turn(w);
}

static void a_run_to_its_end(void **state)
{
	const unsigned before = open_files();
	struct world *w = world_new("run print=hello report stop=poweroff:off", "peers");

	assert_false(cluster_run_alive(w->run));
	assert_int_equal(cluster_run_running_ns(w->run), 0);
	cluster_run_start(w->run);
	assert_true(cluster_run_alive(w->run));
	until_over(w);
	assert_int_equal(cluster_run_result(w->run), CLUSTER_POWEROFF);
	assert_string_equal(cluster_run_reason(w->run), "node0: off");
	assert_true(cluster_run_running_ns(w->run) > 0);
	assert_string_equal(cluster_run_phase(w->run, 1), "stopped");
	assert_non_null(strstr(w->phases, "0:connecting;"));
	assert_non_null(strstr(w->phases, "0:running;"));
	assert_int_equal(w->console_len, 7);
	assert_memory_equal(w->console, "hello\r\n", 7);
	assert_int_equal(
		json_integer_value(json_object_get(cluster_run_report(w->run, 0), "faults_remote")),
		5);
	assert_null(cluster_run_report(w->run, 1));
	assert_int_equal(cluster_run_command(w->run, 0, "stats", &(uint32_t){0}), -EPIPE);
	assert_int_equal(cluster_run_input(w->run, "x", 1), -EPIPE);
	world_free(w);
	assert_int_equal(open_files(), before);
}

static void two_runs_in_one_process(void **state)
{
	struct world *a = world_new("run wait", "run wait"), *b;

	cluster_run_start(a->run);
	until_phase(a, "1:running;");
	b = world_new("run stop=failed:no~memory", "wait");
	cluster_run_start(b->run);
	until_over(b);
	assert_int_equal(cluster_run_result(b->run), CLUSTER_FAILED);
	assert_true(cluster_run_alive(a->run));
	assert_string_equal(a->ends, "");
	cluster_run_end(a->run, CLUSTER_INTERRUPTED, "%s", "enough");
	until_over(a);
	assert_int_equal(cluster_run_result(a->run), CLUSTER_INTERRUPTED);
	assert_string_equal(a->ends, "interrupted:enough;");
	world_free(a);
	world_free(b);
}

static void commands_are_answered(void **state)
{
	struct world *w = world_new("run echo stop=poweroff:off", "peers");
	uint32_t first, second;

	cluster_run_start(w->run);
	until_phase(w, "0:running;");
	assert_int_equal(cluster_run_command(w->run, 2, "pause", &first), -EINVAL);
	assert_int_equal(cluster_run_command(w->run, 0, "pause", &first), 0);
	while (!w->replies)
		turn(w);
	assert_int_equal(w->refusals, 0);
	assert_int_equal(w->last_reply, first);
	assert_int_equal(cluster_run_command(w->run, 0, "pause", &second), 0);
	assert_true(second != first);
	while (w->replies < 2)
		turn(w);
	assert_int_equal(w->refusals, 1);
	assert_string_equal(w->refusal, "it is so already");
	assert_true(cluster_run_input_room(w->run));
	assert_int_equal(cluster_run_input(w->run, "\"\\\0\377\n", 5), 0);
	until_over(w);
	assert_int_equal(w->console_len, 11);
	assert_memory_equal(w->console, "heard \"\\\0\377\n", 11);
	world_free(w);
}

/* A node that reads nothing costs a bounded queue, and nothing waits for it. */
static void a_deaf_node_is_bounded_and_killed(void **state)
{
	struct world *w = world_new("deaf", "run wait");
	char keys[CLUSTER_INPUT_MAX];
	uint32_t id;
	int r = 0;

	cluster_run_start(w->run);
	until_phase(w, "0:deaf;");
	memset(keys, 'k', sizeof(keys));
	for (unsigned i = 0; r == 0 && i < 100000; i++)
		r = cluster_run_command(w->run, 0, "stats", &id);
	assert_int_equal(r, -EAGAIN);
	assert_false(cluster_run_input_room(w->run));
	assert_int_equal(cluster_run_input(w->run, keys, sizeof(keys)), -EAGAIN);
	cluster_run_kill(w->run);
	until_over(w);
	assert_int_equal(cluster_run_result(w->run), CLUSTER_FAILED);
	world_free(w);
}

static void the_console_can_be_held(void **state)
{
	struct world *w = world_new("run fill stop=poweroff:off", "peers");

	cluster_run_start(w->run);
	cluster_run_hold(w->run, true);
	until_phase(w, "0:console is full;");
	while (cluster_run_alive(w->run))
		turn(w);
	/* All is over, but for what the pipe holds: a page at least. */
	assert_false(cluster_run_over(w->run));
	assert_int_equal(w->console_len, 0);
	cluster_run_hold(w->run, false);
	while (!cluster_run_over(w->run))
		cluster_run_step(w->run);
	assert_in_range(w->console_len, 4096, sizeof(w->console) - 1);
	world_free(w);
}

static pid_t pid_of(const struct world *w, const char *node)
{
	_cleanup_free_ char *path = text_printf("%s/%s", w->dir, node);
	FILE *f = fopen(path, "r");
	int pid = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return pid;
}

static void a_run_that_is_freed_leaves_nothing(void **state)
{
	struct world *w = world_new("deaf", "deaf");
	pid_t pid[2];

	cluster_run_start(w->run);
	until_phase(w, "0:deaf;");
	until_phase(w, "1:deaf;");
	pid[0] = pid_of(w, "node0");
	pid[1] = pid_of(w, "node1");
	world_free(w);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(kill(pid[i], 0), -1);
		assert_int_equal(errno, ESRCH);
	}
}

/* Lets a node go on that awaits @what. */
static void tell_fakes(const struct world *w, const char *what)
{
	_cleanup_free_ char *path = text_printf("%s/%s", w->dir, what);

	closep(&(int){open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)});
	assert_int_equal(access(path, F_OK), 0);
}

/* It has said all that it will ever say, and no more than that was heard of it yet. */
static void until_ended(const struct world *w, const char *node)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PID, (id_t)pid_of(w, node), &info, WEXITED | WNOWAIT), 0);
}

/*
 * What several nodes say at the same time is heard in any order, so that each goes on only when it
 * is told to: the one that only misses the other, and the one that failed by itself.
 */
static struct world *world_of_two_ends(void)
{
	struct world *w = world_new("run await=0 stop=failed:silent:node1",
				    "run await=1 stop=failed:no~disk");

	cluster_run_start(w->run);
	until_phase(w, "0:running;");
	until_phase(w, "1:running;");
	return w;
}

/* Who is heard first is told at once; a node that failed by itself explains who missed it. */
static void the_cause_is_told_last(void **state)
{
	struct world *w = world_of_two_ends();

	tell_fakes(w, "0");
	while (!w->ends[0])
		turn(w);
	/* However long that takes: nobody is pressed meanwhile. */
	tell_fakes(w, "1");
	until_ended(w, "node1");
	until_over(w);
	assert_int_equal(cluster_run_result(w->run), CLUSTER_FAILED);
	assert_string_equal(w->ends, "lost:node1 was lost: the guest cannot go on (node0: silent);"
				     "failed:node1: no disk;");
	world_free(w);
}

static void the_cause_that_is_told_first_stays(void **state)
{
	struct world *w = world_of_two_ends();

	tell_fakes(w, "1");
	while (!w->ends[0])
		turn(w);
	tell_fakes(w, "0");
	until_ended(w, "node0");
	until_over(w);
	assert_int_equal(cluster_run_result(w->run), CLUSTER_FAILED);
	assert_string_equal(w->ends, "failed:node1: no disk;");
	world_free(w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_to_its_end),
		cmocka_unit_test(two_runs_in_one_process),
		cmocka_unit_test(commands_are_answered),
		cmocka_unit_test(a_deaf_node_is_bounded_and_killed),
		cmocka_unit_test(the_console_can_be_held),
		cmocka_unit_test(a_run_that_is_freed_leaves_nothing),
		cmocka_unit_test(the_cause_is_told_last),
		cmocka_unit_test(the_cause_that_is_told_first_stays),
	};

	fake = argc > 1 ? argv[1] : "tests/cli/fake_node.py";
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cluster-run", tests, NULL, NULL);
}
