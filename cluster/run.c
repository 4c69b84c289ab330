/* SPDX-License-Identifier: Apache-2.0 */
/* The events of a run's children, and what is done to children that should end. */
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/text.h"
#include "cluster/member.h"

#define PRESS_MS  1000
#define EVENT_MAX MIB /* of one line */

/* What of a member an event is about; its tag is 4 times the member's number above it. */
enum what { ERR, OUT, PROCESS };

static void watch(struct member *m, enum what what, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = m->index * 4 + what};

	if (fd >= 0)
		epoll_ctl(m->run->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int member_init(struct cluster_run *run, unsigned index, struct err *err)
{
	struct member *m = &run->member[index];
	_cleanup_free_ char *path = NULL;

	*m = (struct member){
		.run = run,
		.cfg = &run->setup.cfg->nodes[index],
		.index = index,
		.child = CHILD_NONE,
		.events.max = EVENT_MAX,
	};
	run->count = index + 1;
	path = text_printf("%s/node-%s.log", run->setup.dir, m->cfg->name);
	if (!path)
		return err_set(err, -ENOMEM, "out of memory");
	m->log = fopen(path, "we");
	if (!m->log)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

int cluster_run_new(const struct cluster_run_setup *setup, struct cluster_run **ret,
		    struct err *err)
{
	_cleanup_(cluster_run_freep) struct cluster_run *run = calloc(1, sizeof(*run));
	int r = 0;

	if (!run)
		return err_set(err, -ENOMEM, "out of memory");
	run->setup = *setup;
	run->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (run->epoll < 0)
		return err_set(err, -errno, "epoll: %s", strerror(errno));
	run->member = calloc(setup->cfg->nodes_count, sizeof(*run->member));
	if (!run->member)
		return err_set(err, -ENOMEM, "out of memory");
	for (unsigned i = 0; r == 0 && i < setup->cfg->nodes_count; i++)
		r = member_init(run, i, err);
	if (r == 0)
		*ret = TAKE_PTR(run);
	return r;
}

void cluster_run_free(struct cluster_run *run)
{
	if (!run)
		return;
	for (unsigned i = 0; i < run->count; i++) {
		struct member *m = &run->member[i];

		child_signal(&m->child, SIGKILL);
		child_reap(&m->child);
		child_close(&m->child);
		free(m->events.buf);
		json_decref(m->report);
		if (m->log)
			fclose(m->log);
	}
	free(run->member);
	closep(&run->epoll);
	free(run);
}

void cluster_run_start(struct cluster_run *run)
{
	struct err err;

	for (unsigned i = 0; i < run->count && run->verdict.result == CLUSTER_GOES_ON; i++) {
		struct member *m = &run->member[i];

		if (member_start(m, &err) < 0) {
			verdict_end(run, CLUSTER_FAILED, 0, "%s: %s", m->cfg->name, err.text);
			break;
		}
		m->pid = m->child.pid;
		watch(m, ERR, m->child.err);
		watch(m, OUT, m->child.out);
		watch(m, PROCESS, m->child.pidfd);
	}
}

/* ---- what children write ---- */

/* Return: is there more? */
static bool read_events(struct member *m)
{
	char data[8192];
	ssize_t n;

	if (m->child.err < 0)
		return false;
	n = read(m->child.err, data, sizeof(data));
	if (n < 0)
		return errno == EINTR;
	lines_add(&m->events, data, (size_t)n, member_line, m);
	if (n == 0) {
		closep(&m->child.err);
		m->child.err = -1;
	}
	return n > 0;
}

static void read_console(struct member *m)
{
	const struct cluster_run_setup *setup = &m->run->setup;
	char data[4096];
	ssize_t n;

	if (m->child.out < 0 || (m->index == 0 && m->run->hold))
		return;
	n = read(m->child.out, data, sizeof(data));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		closep(&m->child.out);
		m->child.out = -1;
	} else if (m->index == 0 && setup->ops->console) {
		/* Nobody but the first node has a console. */
		setup->ops->console(setup->ctx, data, (size_t)n);
	}
}

static void reap(struct member *m)
{
	child_reap(&m->child);
	/* A pipe holds 1 MiB at most: what comes after that is not the node's. */
	for (unsigned i = 0; i < 128 && read_events(m); i++)
		;
	lines_end(&m->events, member_line, m);
	closep(&m->child.pidfd);
	closep(&m->child.in);
	closep(&m->child.err);
	m->child.pidfd = m->child.in = m->child.err = -1;
	verdict_reaped(m);
}

void cluster_run_hold(struct cluster_run *run, bool hold)
{
	struct member *m = &run->member[0];

	if (hold == run->hold)
		return;
	run->hold = hold;
	/* Taken out, not masked: the end of a pipe is told whatever the mask is. */
	if (m->child.out < 0)
		return;
	if (hold)
		epoll_ctl(run->epoll, EPOLL_CTL_DEL, m->child.out, NULL);
	else
		watch(m, OUT, m->child.out);
}

/* ---- the end ---- */

static void signal_all(struct cluster_run *run, int number)
{
	for (unsigned i = 0; i < run->count; i++) {
		struct member *m = &run->member[i];

		m->stop_forced |= m->child.pid != 0;
		child_signal(&m->child, number);
	}
}

static void close_inputs(struct cluster_run *run)
{
	for (unsigned i = 0; i < run->count; i++) {
		closep(&run->member[i].child.in);
		run->member[i].child.in = -1;
		run->member[i].queue_len = 0;
	}
}

/* Presses the nodes to stop, one step after the other. */
static void press(struct cluster_run *run)
{
	const uint64_t now = clock_now_ns();

	if (run->verdict.result == CLUSTER_GOES_ON || now < run->press_at_ns)
		return;
	if (run->press != PRESS_KILL)
		run->press++;
	if (run->press == PRESS_STDIN_CLOSED)
		close_inputs(run);
	else
		signal_all(run, run->press == PRESS_TERM ? SIGTERM : SIGKILL);
	run->press_at_ns = now + run_patience(run, PRESS_MS);
}

void cluster_run_end(struct cluster_run *run, enum cluster_result result, const char *fmt, ...)
{
	char text[sizeof(run->verdict.reason)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (run->verdict.result != CLUSTER_GOES_ON)
		run->press_at_ns = 0;
	verdict_end(run, result, 0, "%s", text);
}

void cluster_run_kill(struct cluster_run *run)
{
	run->press = PRESS_KILL;
	signal_all(run, SIGKILL);
}

/* ---- for the user's loop ---- */

int cluster_run_fd(const struct cluster_run *run)
{
	return run->epoll;
}

int cluster_run_timeout(const struct cluster_run *run)
{
	const uint64_t now = clock_now_ns();

	if (run->verdict.result == CLUSTER_GOES_ON || !cluster_run_alive(run))
		return -1;
	return now < run->press_at_ns ? (int)((run->press_at_ns - now) / NSEC_PER_MSEC) + 1 : 0;
}

void cluster_run_step(struct cluster_run *run)
{
	struct epoll_event ready[3 * MAX_NODES];
	int n = epoll_wait(run->epoll, ready, ARRAY_SIZE(ready), 0);

	/* Of a node that has ended, its last words come before its end. */
	for (int i = 0; i < n; i++) {
		struct member *m = &run->member[ready[i].data.u32 / 4 % run->count];

		if (ready[i].data.u32 == UINT32_MAX)
			continue;
		if (ready[i].data.u32 % 4 == ERR)
			read_events(m);
		else if (ready[i].data.u32 % 4 == OUT)
			read_console(m);
		else if (m->child.pid)
			reap(m);
	}
	for (unsigned i = 0; i < run->count; i++)
		member_flush(&run->member[i]);
	press(run);
	if (run->member[0].pid && !cluster_run_alive(run))
		verdict_final(run);
}

bool cluster_run_alive(const struct cluster_run *run)
{
	for (unsigned i = 0; i < run->count; i++)
		if (run->member[i].child.pid)
			return true;
	return false;
}

bool cluster_run_over(const struct cluster_run *run)
{
	return !cluster_run_alive(run) && run->member[0].child.out < 0;
}

enum cluster_result cluster_run_result(const struct cluster_run *run)
{
	return run->verdict.result;
}

const char *cluster_run_reason(const struct cluster_run *run)
{
	return run->verdict.reason;
}

uint64_t cluster_run_running_ns(const struct cluster_run *run)
{
	return run->running_ns;
}

const char *cluster_run_phase(const struct cluster_run *run, unsigned node)
{
	return run->member[node].phase;
}

const json_t *cluster_run_report(const struct cluster_run *run, unsigned node)
{
	return run->member[node].report;
}
