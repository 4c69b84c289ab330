/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

static void child_exec(char *const *argv, int in, int out, int err)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(127);
	execvp(argv[0], argv);
	dprintf(2, "%s: cannot be started: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void close_pair(int fd[2])
{
	closep(&fd[0]);
	closep(&fd[1]);
}

int child_start(char *const *argv, bool with_in, struct child *ret, struct err *err)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, errs[2] = {-1, -1}, pidfd = -1;
	pid_t pid = -1;

	if (with_in ? pipe2(in, O_CLOEXEC) == 0
		    : (in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		if (pipe2(out, O_CLOEXEC) == 0 && pipe2(errs, O_CLOEXEC) == 0)
			pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		child_exec(argv, in[0], out[1], errs[1]);
	}
	if (pid > 0) {
		/* Here too: whoever comes first, the group exists before it is signalled. */
		setpgid(pid, pid);
		pidfd = pidfd_open(pid, 0);
	}
	if (pidfd < 0) {
		int r = err_set(err, -errno, "%s: cannot be started: %s", argv[0], strerror(errno));

		if (pid > 0) {
			kill(-pid, SIGKILL);
			while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
				;
		}
		close_pair(in);
		close_pair(out);
		close_pair(errs);
		return r;
	}
	closep(&in[0]);
	closep(&out[1]);
	closep(&errs[1]);
	for (size_t i = 0; i < 3; i++) {
		int fd = i == 0 ? in[1] : i == 1 ? out[0] : errs[0];

		if (fd >= 0)
			fcntl(fd, F_SETFL, O_NONBLOCK);
	}
	*ret = (struct child){
		.pid = pid, .pidfd = pidfd, .in = in[1], .out = out[0], .err = errs[0]};
	return 0;
}

void child_signal(const struct child *c, int number)
{
	if (c->pid)
		kill(-c->pid, number);
}

void child_reap(struct child *c)
{
	siginfo_t info;

	if (!c->pid)
		return;
	/* Its end first, but not yet its id: until it is reaped, that is the group's for certain.
	 */
	while (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
	kill(-c->pid, SIGKILL);
	while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
}

void child_close(struct child *c)
{
	int *const fds[] = {&c->pidfd, &c->in, &c->out, &c->err};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		closep(fds[i]);
		*fds[i] = -1;
	}
}
