/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of a run: signals, terminal, time limit and the cluster's own events. The run itself is
 * cluster/cluster_run.h; this is its first user.
 */
#include "cli/session.h"

#include <poll.h>
#include <sys/random.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/address.h"
#include "cli/cli.h"
#include "cli/lab_hosts.h"
#include "cli/marks.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/rundir.h"
#include "cli/signals.h"
#include "cli/terminal.h"

#define TICK_MS	 100 /* of the status line */
#define DRAIN_NS (2 * NSEC_PER_SEC)

struct session {
	const struct run_options *opts;
	struct cluster_config *cfg;
	int signal_fd;
	char *program;
	char lab_tool[4096];
	struct rundir dir;
	struct lab_hosts lab;
	struct progress progress;
	struct terminal terminal;
	struct proof proof;
	struct marks marks;
	struct cluster_run *run;
	char typed[CLUSTER_INPUT_MAX]; /* for the guest, not yet passed on */
	size_t typed_len;
	bool logs_matter; /* something was started */
	bool insisted;	  /* the user wants it over, whatever is lost */
	uint64_t drain_until;
	/* Ctrl-A p. */
	bool paused;
	uint32_t asked; /* the command under way; 0: none */
};

/* ---- what the run says ---- */

static void on_phase(void *ctx, unsigned node, const char *text)
{
	struct session *s = ctx;

	progress_step(&s->progress, "%s: %s", s->cfg->nodes[node].name, text);
}

static void on_warning(void *ctx, unsigned node, const char *text)
{
	struct session *s = ctx;

	progress_warn(&s->progress, "%s: %s", s->cfg->nodes[node].name, text);
}

static void on_console(void *ctx, const char *data, size_t len)
{
	struct session *s = ctx;

	proof_add(&s->proof, data, len);
	progress_console(&s->progress, data, len);
	terminal_print(&s->terminal, data, len);
	cluster_run_hold(s->run, s->terminal.pending_len > 0);
}

static void on_reply(void *ctx, unsigned node, uint32_t id, const char *text, const json_t *body)
{
	struct session *s = ctx;
	const char *mark;

	if (marks_reply(&s->marks, node, id, body, &mark)) {
		if (mark)
			progress_step(&s->progress, "mark: %s", mark);
		return;
	}
	if (id != s->asked)
		return;
	s->asked = 0;
	if (text) {
		progress_answer(&s->progress, "ssihv: the guest was not %s: %s",
				s->paused ? "resumed" : "paused", text);
		return;
	}
	s->paused = !s->paused;
	progress_answer(&s->progress, "ssihv: %s",
			s->paused ? "the guest is paused; Ctrl-A p resumes it"
				  : "the guest goes on");
}

static void on_mark(void *ctx, const char *name)
{
	struct session *s = ctx;

	marks_add(&s->marks, s->run, s->cfg->nodes_count, name);
}

static void on_end(void *ctx, enum cluster_result result, const char *reason)
{
	struct session *s = ctx;

	if (result != CLUSTER_POWEROFF)
		progress_answer(&s->progress, "ssihv: %s", reason);
}

static const struct cluster_run_ops run_ops = {
	.phase = on_phase,
	.warning = on_warning,
	.console = on_console,
	.reply = on_reply,
	.ends = on_end,
};

/* ---- what the user does ---- */

static void pause_or_resume(struct session *s)
{
	int r = -EAGAIN;

	if (!s->asked)
		r = cluster_run_command(s->run, 0, s->paused ? "resume" : "pause", &s->asked);
	if (r < 0)
		progress_answer(&s->progress, "ssihv: the guest was not %s: %s",
				s->paused ? "resumed" : "paused",
				r == -EAGAIN ? "the last command is still under way"
					     : "its first node has ended");
	else
		progress_answer(&s->progress, "ssihv: %s the guest",
				s->paused ? "resuming" : "pausing");
}

static void on_key(void *ctx, char c)
{
	struct session *s = ctx;

	if (c == 'x')
		cluster_run_end(s->run, CLUSTER_INTERRUPTED, "ended by Ctrl-A x");
	else if (c == 'p')
		pause_or_resume(s);
	else
		progress_answer(&s->progress,
				"ssihv: Ctrl-A x ends the run, Ctrl-A p pauses or resumes the "
				"guest, Ctrl-A Ctrl-A is a Ctrl-A for it");
}

/* A command that was typed with it may have taken the room: then it waits for its turn. */
static void pass_input(struct session *s)
{
	/* A node that is gone needs no input. */
	if (cluster_run_input(s->run, s->typed, s->typed_len) != -EAGAIN)
		s->typed_len = 0;
}

static void take_input(struct session *s)
{
	s->typed_len = terminal_read(&s->terminal, s->typed, sizeof(s->typed), on_key, s);
	pass_input(s);
}

static void take_signals(struct session *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (cluster_run_result(s->run) == CLUSTER_INTERRUPTED) {
			s->insisted = true;
			cluster_run_kill(s->run);
		}
		cluster_run_end(s->run, CLUSTER_INTERRUPTED, "ended by %s",
				info.ssi_signo == SIGINT ? "Ctrl-C"
							 : strsignal((int)info.ssi_signo));
	}
}

static uint64_t deadline(const struct session *s)
{
	return s->progress.started_ns + (uint64_t)(s->opts->timeout_s * 1e9);
}

static void check_time(struct session *s)
{
	if (s->opts->timeout_s > 0 && cluster_run_result(s->run) == CLUSTER_GOES_ON &&
	    clock_now_ns() >= deadline(s))
		cluster_run_end(s->run, CLUSTER_TIMEOUT, "the time limit of %g s has passed",
				s->opts->timeout_s);
}

static void draw(struct session *s)
{
	char line[512];
	size_t n = 0;

	if (!progress_wanted(&s->progress))
		return;
	for (unsigned i = 0; i < s->cfg->nodes_count && n < sizeof(line); i++) {
		const char *phase = cluster_run_phase(s->run, i);

		n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%s: %s", i ? "  " : "",
				      s->cfg->nodes[i].name, phase[0] ? phase : "starting");
	}
	progress_draw(&s->progress, line);
}

/* ---- the loop ---- */

static int wait_ms(const struct session *s)
{
	int ms = cluster_run_timeout(s->run);
	uint64_t now = clock_now_ns();

	if (progress_wanted(&s->progress) || s->drain_until)
		ms = ms < 0 ? TICK_MS : MIN(ms, TICK_MS);
	if (s->opts->timeout_s > 0 && cluster_run_result(s->run) == CLUSTER_GOES_ON) {
		uint64_t left = deadline(s) > now ? (deadline(s) - now) / NSEC_PER_MSEC + 1 : 0;

		ms = (int)MIN(left, ms < 0 ? (uint64_t)INT32_MAX : (uint64_t)ms);
	}
	return ms;
}

static void loop_once(struct session *s)
{
	pass_input(s);

	const bool can_type =
		s->terminal.stdin_open && !s->typed_len && cluster_run_input_room(s->run);
	struct pollfd p[] = {{s->signal_fd, POLLIN},
			     {can_type ? 0 : -1, POLLIN},
			     {s->terminal.pending_len ? s->terminal.out : -1, POLLOUT},
			     {cluster_run_fd(s->run), POLLIN},
			     {progress_waits(&s->progress) ? s->progress.fd : -1, POLLOUT}};

	poll(p, ARRAY_SIZE(p), wait_ms(s));
	if (p[0].revents)
		take_signals(s);
	if (p[1].revents)
		take_input(s);
	if (p[2].revents) {
		terminal_write(&s->terminal);
		cluster_run_hold(s->run, s->terminal.pending_len > 0);
	}
	if (p[4].revents)
		progress_flush(&s->progress);
	check_time(s);
	cluster_run_step(s->run);
	draw(s);
}

/* The guest may have printed more than was written when the last node ends: at most 2 s. */
static bool finished(struct session *s)
{
	if (cluster_run_alive(s->run))
		return false;
	if (cluster_run_over(s->run) && !s->terminal.pending_len)
		return true;
	if (!s->drain_until)
		s->drain_until = clock_now_ns() + DRAIN_NS;
	return clock_now_ns() > s->drain_until;
}

static void run_nodes(struct session *s)
{
	_cleanup_free_ char *log = text_printf("%s/console.log", s->dir.path);

	proof_open(&s->proof, log ?: "");
	s->proof.mark = on_mark;
	s->proof.ctx = s;
	terminal_open(&s->terminal);
	cluster_run_start(s->run);
	while (!finished(s))
		loop_once(s);
	progress_clear(&s->progress);
	terminal_close(&s->terminal);
	proof_end(&s->proof);
}

/* ---- the lab ---- */

static enum lab_wish ask_for_the_lab(void *ctx)
{
	struct session *s = ctx;

	take_signals(s);
	check_time(s);
	if (cluster_run_result(s->run) == CLUSTER_GOES_ON)
		return LAB_GO_ON;
	return s->insisted ? LAB_KILL : LAB_STOP;
}

static void on_lab_line(void *ctx, const char *text)
{
	struct session *s = ctx;
	char line[320];

	snprintf(line, sizeof(line), "lab: %s", text);
	progress_step(&s->progress, "%s", line);
	progress_draw(&s->progress, line);
}

static int start_lab(struct session *s, struct err *err)
{
	const struct lab_watch watch = {
		.fd = s->signal_fd, .ask = ask_for_the_lab, .line = on_lab_line, .ctx = s};

	s->lab = (struct lab_hosts){.tool = s->lab_tool, .dir = s->dir.path};
	return lab_hosts_up(&s->lab, s->cfg, &watch, err);
}

/* ---- from beginning to end ---- */

static int open_signals(struct session *s, struct err *err)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signals_that_end(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return err_set(err, -errno, "signalfd: %s", strerror(errno));
	return 0;
}

static int find_programs(struct session *s, struct err *err)
{
	char own[4096];
	int r = own_path(own, sizeof(own));

	if (r < 0)
		return err_set(err, r, "/proc/self/exe: %s", strerror(-r));
	s->program = strdup(s->opts->node_program ?: own);
	if (!s->program)
		return err_set(err, -ENOMEM, "out of memory");
	if (s->cfg->placement == CLUSTER_LAB && lab_tool_path(s->lab_tool, sizeof(s->lab_tool)) < 0)
		return err_set(err, -ENOENT,
			       "the lab is not installed: run the ssihv of a "
			       "source tree's build directory");
	return 0;
}

static int new_run(struct session *s, struct err *err)
{
	struct cluster_run_setup setup = {
		.cfg = s->cfg,
		.dir = s->dir.path,
		.program = s->program,
		.remote_program = s->opts->node_program ?: "ssihv",
		.lab_tool = s->lab_tool[0] ? s->lab_tool : NULL,
		.ops = &run_ops,
		.ctx = s,
	};

	while (!setup.epoch)
		if (getrandom(&setup.epoch, sizeof(setup.epoch), 0) < 0)
			return err_set(err, -errno, "getrandom: %s", strerror(errno));
	return cluster_run_new(&setup, &s->run, err);
}

/* Everything that can fail before a host or node is started. */
static int prepare(struct session *s, struct err *err)
{
	/* Names are looked up while Ctrl-C still ends us: it can last. */
	return find_programs(s, err) ?: addresses_fill(s->cfg, err) ?: open_signals(s, err)
		?: rundir_make(&s->dir, s->cfg, &s->program, err) ?: new_run(s, err);
}

static void carry_out(struct session *s)
{
	struct err err;
	int r = 0;

	s->logs_matter = true;
	if (s->lab_tool[0])
		r = start_lab(s, &err);
	if (r == 0)
		run_nodes(s);
	else if (r != -EINTR)
		cluster_run_end(s->run, CLUSTER_FAILED, "%s", err.text);
	progress_clear(&s->progress);
}

static int exit_status(enum cluster_result result)
{
	switch (result) {
	case CLUSTER_POWEROFF:
		return STATUS_OK;
	case CLUSTER_TIMEOUT:
		return STATUS_TIMEOUT;
	case CLUSTER_INTERRUPTED:
		return STATUS_INTERRUPTED;
	default:
		return STATUS_FAILED;
	}
}

/* The report in all the forms that were asked for; in *@json, if that is to be printed. */
static int tell(struct session *s, json_t **json)
{
	const struct report_source from = {s->cfg, s->run, &s->proof, s->marks.all,
					   s->progress.started_ns};
	json_t *report = report_make(&from);
	int status = exit_status(cluster_run_result(s->run));
	struct err err;

	if (s->opts->report && report_save(report, s->opts->report, &err) < 0) {
		progress_answer(&s->progress, "ssihv: %s", err.text);
		status = status ?: STATUS_FAILED;
	}
	if (s->opts->json)
		*json = json_incref(report);
	else if (!s->opts->quiet && cluster_run_running_ns(s->run))
		report_table(report, s->progress.file);
	json_decref(report);
	return status;
}

/* Whoever is to read it may take his time: nothing else is left to be done, and Ctrl-C ends us. */
static void print(struct session *s, json_t *report)
{
	struct signalfd_siginfo info;
	sigset_t set;

	if (!report)
		return;
	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
		; /* those were for the run */
	signals_that_end(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	json_dumpf(report, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	putchar('\n');
	fflush(stdout);
	json_decref(report);
}

int session_run(struct cluster_config *cfg, const struct run_options *opts)
{
	struct session s = {.opts = opts, .cfg = cfg, .signal_fd = -1};
	enum cluster_result result = CLUSTER_GOES_ON;
	json_t *json = NULL;
	struct err err;
	int status;

	progress_open(&s.progress, opts->quiet, opts->verbose);
	if (prepare(&s, &err) < 0) {
		progress_answer(&s.progress, "ssihv: %s", err.text);
		status = STATUS_FAILED;
	} else {
		carry_out(&s);
		if (lab_hosts_down(&s.lab, &err) < 0)
			progress_answer(&s.progress, "ssihv: %s", err.text);
		status = tell(&s, &json);
		result = cluster_run_result(s.run);
	}
	cluster_run_free(s.run);
	rundir_end(&s.dir, opts->keep_logs,
		   s.logs_matter && result != CLUSTER_POWEROFF && result != CLUSTER_INTERRUPTED,
		   s.progress.file);
	progress_close(&s.progress);
	print(&s, json);
	proof_free(&s.proof);
	marks_free(&s.marks);
	free(s.program);
	closep(&s.signal_fd);
	return status;
}
