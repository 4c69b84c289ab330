/* SPDX-License-Identifier: Apache-2.0 */
/* The emulated hosts of a run: `lab.py up` before the nodes, `lab.py down` after them. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/run.h"

struct step {
	struct run *run;
	bool silent;
	char last[300];
};

static void step_line(void *ctx, char *line, size_t len)
{
	struct step *s = ctx;
	const char *text = strncmp(line, "lab: ", 5) == 0 ? line + 5 : line;
	char doing[sizeof(s->last) + 8];

	if (!*text)
		return;
	text_clean(text, strlen(text), s->last, sizeof(s->last));
	if (s->silent)
		return;
	snprintf(doing, sizeof(doing), "lab: %s", s->last);
	progress_doing(s->run, doing);
	progress_say(s->run, "lab: %s", s->last);
}

static void step_read(struct step *s, struct lines *lines, int *fd)
{
	char data[4096];
	ssize_t n;

	while (*fd >= 0 && (n = read(*fd, data, sizeof(data))) >= 0) {
		lines_add(lines, data, (size_t)n, step_line, s);
		if (n == 0) {
			close(*fd);
			*fd = -1;
		}
	}
}

/* Asks the step to stop once, and ends it when it does not or the user insists. */
static void step_stop(struct run *run, const struct child *c, uint64_t *kill_at)
{
	if (!*kill_at) {
		kill(-c->pid, SIGTERM);
		*kill_at = clock_now_ns() + 20 * NSEC_PER_SEC;
	} else if (run->stop_step == STOP_KILL || clock_now_ns() > *kill_at) {
		kill(-c->pid, SIGKILL);
	}
}

/* Runs @argv to its end; its lines are progress. A signal or the time limit ends it. */
static int run_step(struct step *s, char *const *argv, bool stoppable, struct err *err)
{
	struct run *run = s->run;
	struct lines lines = {.max = 4096};
	uint64_t kill_at = 0;
	struct child c;
	int r = child_start(argv, false, &c, err);

	if (r < 0)
		return r;
	for (bool ended = false; !ended;) {
		struct pollfd p[] = {{c.pidfd, POLLIN},
				     {c.err, POLLIN},
				     {c.out, POLLIN},
				     {stoppable ? run->signal_fd : -1, POLLIN}};

		poll(p, ARRAY_SIZE(p), 200);
		ended = p[0].revents;
		step_read(s, &lines, &c.err);
		step_read(s, &lines, &c.out);
		if (p[3].revents)
			run_signal(run);
		if (!stoppable)
			continue;
		progress_draw(run);
		run_check_time(run);
		if (run->result != RUN_GOES_ON && !ended)
			step_stop(run, &c, &kill_at);
	}
	lines_end(&lines, step_line, s);
	waitpid(c.pid, &c.status, 0);
	r = c.status;
	child_close(&c);
	return r;
}

int lab_hosts_up(struct run *run, struct err *err)
{
	const struct cluster_config *cfg = run->cfg;
	char dir[sizeof(run->dir) + 8], hosts[16], memory[32], smp[16], slow[16], skew[16],
		owner[16];
	struct step step = {.run = run};
	uint64_t mib = cfg->lab.host_memory / MIB, guest = 0;
	unsigned vcpus = 1;
	int status;

	for (unsigned i = 0; i < cfg->nodes_count; i++) {
		guest += cfg->nodes[i].memory / MIB;
		vcpus = MAX(vcpus, cfg->nodes[i].vcpus);
	}
	/* A host may come to hold a copy of every page; the directory; its own kernel, programs. */
	if (!mib)
		mib = guest * 9 / 8 + 320;
	snprintf(dir, sizeof(dir), "%s/lab", run->dir);
	snprintf(hosts, sizeof(hosts), "%u", cfg->nodes_count);
	snprintf(memory, sizeof(memory), "%lluM", (unsigned long long)mib);
	/* One vCPU waits while its shard works; several want a CPU for the shard besides. */
	snprintf(smp, sizeof(smp), "%u", vcpus > 1 ? MIN(vcpus + 1, 16u) : 1);
	snprintf(slow, sizeof(slow), "%u", cfg->lab.slow_motion);
	snprintf(skew, sizeof(skew), "%u", cfg->lab.skew_ppm);
	snprintf(owner, sizeof(owner), "%d", getpid());
	char *const argv[] = {"python3",
			      run->lab_tool,
			      "up",
			      hosts,
			      "--dir",
			      dir,
			      "--share",
			      run->dir,
			      "--memory",
			      memory,
			      "--smp",
			      smp,
			      "--slow",
			      slow,
			      "--owner-pid",
			      owner,
			      "--skew",
			      skew,
			      cfg->lab.unlike_cpus ? "--unlike-cpus" : NULL,
			      NULL};
	run->lab_up = true;
	progress_doing(run, "lab: starting");
	status = run_step(&step, argv, true, err);
	progress_clear(run);
	progress_doing(run, "");
	if (status < 0)
		return status;
	if (run->result != RUN_GOES_ON)
		return -EINTR;
	if (status)
		return err_set(err, -EIO, "the lab did not start: %s",
			       step.last[0] ? step.last : "lab.py said nothing");
	return 0;
}

void lab_hosts_down(struct run *run)
{
	char dir[sizeof(run->dir) + 8];
	struct step step = {.run = run, .silent = true};
	struct err err;

	if (!run->lab_up)
		return;
	snprintf(dir, sizeof(dir), "%s/lab", run->dir);
	char *const argv[] = {"python3", run->lab_tool, "down", "--dir", dir, NULL};
	if (run_step(&step, argv, false, &err))
		fprintf(stderr, "ssihv: the lab in %s did not end: %s\n", dir, step.last);
}
