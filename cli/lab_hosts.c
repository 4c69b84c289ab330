/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lab_hosts.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "cluster/child.h"
#include "cluster/lines.h"

/* One call of lab.py. */
struct step {
	const struct lab_watch *watch; /* NULL: nobody may stop it */
	char last[300];
	uint64_t kill_at; /* once it was asked to stop */
};

static void step_line(void *ctx, char *line, size_t len)
{
	struct step *s = ctx;
	const char *text = strncmp(line, "lab: ", 5) == 0 ? line + 5 : line;

	if (!*text)
		return;
	text_clean(text, strlen(text), s->last, sizeof(s->last));
	if (s->watch)
		s->watch->line(s->watch->ctx, s->last);
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
static void step_check(struct step *s, const struct child *c)
{
	enum lab_wish wish = s->watch->ask(s->watch->ctx);

	if (wish == LAB_GO_ON)
		return;
	if (!s->kill_at) {
		child_signal(c, SIGTERM);
		s->kill_at = clock_now_ns() + 20 * NSEC_PER_SEC;
	} else if (wish == LAB_KILL || clock_now_ns() > s->kill_at) {
		child_signal(c, SIGKILL);
	}
}

/* Runs @argv to its end. Return: its status as of waitpid(2), or negative errno with @err. */
static int run_step(struct step *s, char *const *argv, struct err *err)
{
	struct lines lines = {.max = 4096};
	struct child c;
	int r = child_start(argv, false, &c, err);

	if (r < 0)
		return r;
	for (bool ended = false; !ended;) {
		struct pollfd p[] = {{c.pidfd, POLLIN},
				     {c.err, POLLIN},
				     {c.out, POLLIN},
				     {s->watch ? s->watch->fd : -1, POLLIN}};

		poll(p, ARRAY_SIZE(p), 200);
		ended = p[0].revents;
		step_read(s, &lines, &c.err);
		step_read(s, &lines, &c.out);
		if (s->watch && !ended)
			step_check(s, &c);
	}
	lines_end(&lines, step_line, s);
	child_reap(&c);
	child_close(&c);
	return c.status;
}

/* MiB of each host. */
static uint64_t host_memory(const struct cluster_config *cfg)
{
	uint64_t guest = 0, most = 0;

	if (cfg->lab.host_memory)
		return cfg->lab.host_memory / MIB;
	for (unsigned i = 0; i < cfg->nodes_count; i++)
		guest += cfg->nodes[i].memory / MIB;
	for (unsigned i = 0; i < cfg->nodes_count; i++)
		most = MAX(most, cfg->nodes[i].limit ? cfg->nodes[i].limit / MIB : guest);
	/*
	 * A host may come to hold a copy of every page, unless its node has a limit; the directory;
	 * its own kernel, programs.
	 */
	return MIN(most, guest) * 9 / 8 + 320;
}

int lab_hosts_up(struct lab_hosts *lab, const struct cluster_config *cfg,
		 const struct lab_watch *watch, struct err *err)
{
	_cleanup_free_ char *dir = text_printf("%s/lab", lab->dir);
	const char *const unlike = cfg->lab.unlike_cpus ? "--unlike-cpus" : NULL;
	char hosts[16], memory[32], slow[16], skew[16], owner[16];
	struct step step = {.watch = watch};
	int status;

	if (!dir)
		return err_set(err, -ENOMEM, "out of memory");
	snprintf(hosts, sizeof(hosts), "%u", cfg->nodes_count);
	snprintf(memory, sizeof(memory), "%lluM", (unsigned long long)host_memory(cfg));
	snprintf(slow, sizeof(slow), "%u", cfg->lab.slow_motion);
	snprintf(skew, sizeof(skew), "%u", cfg->lab.skew_ppm);
	snprintf(owner, sizeof(owner), "%d", getpid());
	/* One CPU each, whatever its vCPUs: lab/README.md, "Limits". */
	const char *const argv[] = {"python3", lab->tool, "up", hosts, "--dir", dir, "--share",
				    lab->dir, "--memory", memory, "--slow", slow, "--skew", skew,
				    "--owner-pid", owner,
				    /* What may be missing is last. */
				    cfg->trace.dir ? "--share" : unlike, cfg->trace.dir,
				    cfg->trace.dir ? unlike : NULL, NULL};
	lab->up = true;
	status = run_step(&step, (char *const *)argv, err);
	if (status < 0)
		return status;
	if (step.kill_at || watch->ask(watch->ctx) != LAB_GO_ON)
		return -EINTR;
	if (status)
		return err_set(err, -EIO, "the lab did not start: %s",
			       step.last[0] ? step.last : "lab.py said nothing");
	return 0;
}

int lab_hosts_down(struct lab_hosts *lab, struct err *err)
{
	_cleanup_free_ char *dir = text_printf("%s/lab", lab->dir);
	struct step step = {NULL};

	if (!lab->up || !dir)
		return 0;
	lab->up = false;
	char *const argv[] = {"python3", (char *)lab->tool, "down", "--dir", dir, NULL};
	if (run_step(&step, argv, err))
		return err_set(err, -EIO, "the lab in %s did not end: %s", dir, step.last);
	return 0;
}
