/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The poll loop of a run, and how a run ends.
 *
 * Once something has ended the run the nodes have some time to end by themselves: after a power-off
 * they still exchange their reports. Then their stdin is closed, which asks them to stop; 1 s later
 * follows SIGTERM, 2 s later SIGKILL: a lost node is over in less than 5 s. In slow motion all of
 * this is as much longer. A second Ctrl-C kills at once.
 */
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "cli/run.h"

#define STEP_MS 1000

static uint64_t patience(const struct run *run, unsigned ms)
{
	unsigned slow = run->cfg->placement == CLUSTER_LAB ? run->cfg->lab.slow_motion : 1;

	return (uint64_t)ms * slow * NSEC_PER_MSEC;
}

void run_end(struct run *run, enum run_result result, unsigned natural_ms, const char *fmt, ...)
{
	va_list args;

	if (run->result != RUN_GOES_ON)
		return;
	run->result = result;
	run->ended_ns = clock_now_ns();
	run->stop_at_ns = run->ended_ns + patience(run, natural_ms);
	va_start(args, fmt);
	vsnprintf(run->reason, sizeof(run->reason), fmt, args);
	va_end(args);
	progress_end(run);
}

static void kill_all(struct run *run, int signal)
{
	for (unsigned i = 0; i < run->cfg->nodes_count; i++) {
		struct node_run *n = &run->nodes[i];

		if (!n->child.pid)
			continue;
		kill(-n->child.pid, signal);
		n->stop_forced = true;
	}
}

void run_signal(struct run *run)
{
	struct signalfd_siginfo info;

	if (read(run->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (run->result == RUN_INTERRUPTED) {
		run->stop_step = STOP_KILL;
		if (run->nodes)
			kill_all(run, SIGKILL);
	}
	if (run->result != RUN_GOES_ON)
		run->stop_at_ns = 0;
	run_end(run, RUN_INTERRUPTED, 0, "ended by %s",
		info.ssi_signo == SIGINT ? "Ctrl-C" : strsignal((int)info.ssi_signo));
}

void run_check_time(struct run *run)
{
	const double limit = run->opts->timeout_s;

	if (limit > 0 && (double)(clock_now_ns() - run->started_ns) > limit * 1e9)
		run_end(run, RUN_TIMEOUT, 0, "the time limit of %g s has passed", limit);
}

/* Presses the nodes to stop, one step after the other. */
static void press(struct run *run)
{
	const uint64_t now = clock_now_ns();

	if (run->result == RUN_GOES_ON || now < run->stop_at_ns)
		return;
	switch (run->stop_step) {
	case STOP_NONE:
		for (unsigned i = 0; i < run->cfg->nodes_count; i++) {
			closep(&run->nodes[i].child.in);
			run->nodes[i].child.in = -1;
		}
		run->stop_step = STOP_STDIN_CLOSED;
		break;
	case STOP_STDIN_CLOSED:
		kill_all(run, SIGTERM);
		run->stop_step = STOP_TERM;
		break;
	case STOP_TERM:
	case STOP_KILL:
		kill_all(run, SIGKILL);
		run->stop_step = STOP_KILL;
		break;
	}
	run->stop_at_ns = now + patience(run, STEP_MS);
}

/* Everything there is to read of a node's events. */
static void read_events(struct node_run *n)
{
	char data[8192];
	ssize_t got;

	while (n->child.err >= 0 && (got = read(n->child.err, data, sizeof(data))) >= 0) {
		lines_add(&n->events, data, (size_t)got, node_line, n);
		if (got == 0) {
			close(n->child.err);
			n->child.err = -1;
		}
	}
}

static void reap(struct node_run *n)
{
	read_events(n);
	lines_end(&n->events, node_line, n);
	/* Read first: until here its id is not used again. */
	kill(-n->child.pid, SIGKILL);
	waitpid(n->child.pid, &n->child.status, 0);
	n->child.pid = 0;
	n->ended = true;
	closep(&n->child.pidfd);
	closep(&n->child.in);
	closep(&n->child.err);
	n->child.pidfd = n->child.in = n->child.err = -1;
	node_ended(n);
}

static void read_output(struct run *run, struct node_run *n)
{
	char data[4096];
	ssize_t got = 1;

	if (n == run->nodes) {
		if (console_read(run, n->child.out))
			return;
		got = 0;
	} else {
		/* Nobody but the first node has a console. */
		got = read(n->child.out, data, sizeof(data));
	}
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		close(n->child.out);
		n->child.out = -1;
	}
}

enum { POLL_SIGNAL, POLL_STDIN, POLL_STDOUT, POLL_INPUT, POLL_FIXED, POLL_PER_NODE = 3 };

static void fill(struct run *run, struct pollfd *p)
{
	struct console *con = &run->console;
	const bool stuck = con->pending_len > 0;

	p[POLL_SIGNAL] = (struct pollfd){run->signal_fd, POLLIN};
	p[POLL_STDIN] = (struct pollfd){con->stdin_open && !con->input_len ? 0 : -1, POLLIN};
	p[POLL_STDOUT] = (struct pollfd){stuck ? 1 : -1, POLLOUT};
	p[POLL_INPUT] = (struct pollfd){con->input_len ? run->nodes[0].child.in : -1, POLLOUT};
	for (unsigned i = 0; i < run->cfg->nodes_count; i++) {
		const struct child *c = &run->nodes[i].child;
		struct pollfd *q = p + POLL_FIXED + (size_t)i * POLL_PER_NODE;

		q[0] = (struct pollfd){c->err, POLLIN};
		q[1] = (struct pollfd){i == 0 && stuck ? -1 : c->out, POLLIN};
		q[2] = (struct pollfd){c->pidfd, POLLIN};
	}
}

static void serve(struct run *run, const struct pollfd *p)
{
	if (p[POLL_SIGNAL].revents)
		run_signal(run);
	if (p[POLL_STDIN].revents)
		console_input(run);
	if (p[POLL_STDOUT].revents)
		console_write(run);
	if (p[POLL_INPUT].revents)
		console_feed(run);
	for (unsigned i = 0; i < run->cfg->nodes_count; i++) {
		const struct pollfd *q = p + POLL_FIXED + (size_t)i * POLL_PER_NODE;

		if (q[0].revents)
			read_events(&run->nodes[i]);
		if (q[1].revents)
			read_output(run, &run->nodes[i]);
		if (q[2].revents)
			reap(&run->nodes[i]);
	}
}

/* The first node's console may hold more than we have written when it ends: at most 2 s. */
static bool all_ended(struct run *run, uint64_t *drain_until)
{
	for (unsigned i = 0; i < run->cfg->nodes_count; i++)
		if (run->nodes[i].child.pid)
			return false;
	if (run->nodes[0].child.out < 0 && !run->console.pending_len)
		return true;
	if (!*drain_until)
		*drain_until = clock_now_ns() + 2 * NSEC_PER_SEC;
	return clock_now_ns() > *drain_until;
}

void supervise(struct run *run)
{
	const size_t count = POLL_FIXED + (size_t)run->cfg->nodes_count * POLL_PER_NODE;
	struct pollfd p[POLL_FIXED + MAX_NODES * POLL_PER_NODE];
	uint64_t drain_until = 0;

	while (!all_ended(run, &drain_until)) {
		fill(run, p);
		if (poll(p, count, 100) > 0)
			serve(run, p);
		run_check_time(run);
		press(run);
		progress_draw(run);
	}
	if (run->result == RUN_GOES_ON)
		run_end(run, RUN_FAILED, 0, "all nodes ended, and none said why");
	verdict(run);
}
