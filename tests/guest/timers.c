/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers on every CPU: they fire, and never early.
 *
 * On each CPU in turn a process of its own uses nanosleep, a one-shot and a periodic timerfd, and
 * setitimer (whose signal it takes by sigtimedwait). All CPUs run at the same time. Early means
 * that CLOCK_MONOTONIC, on the same CPU, has moved less than was asked for; a periodic timer must
 * not have counted more periods than have passed. A timer that has not fired after WAIT_SECONDS is
 * dead. How late they are is printed, and not judged: it depends on the load of the hosts.
 */
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "tests/guest/proof.h"

#define ROUNDS	     20
#define BUDGET_SHARE 0.8
#define WAIT_SECONDS 10
#define PERIODS	     5

struct timers {
	_Alignas(PAGE_BYTES) uint64_t fired;
	uint64_t early, dead, worst_late_ns;
};

static void judge(struct timers *t, bool fired, uint64_t asked, uint64_t start)
{
	uint64_t passed = clock_now_ns() - start;

	if (!fired) {
		t->dead++;
		return;
	}
	t->fired++;
	t->early += passed < asked;
	t->worst_late_ns = MAX(t->worst_late_ns, passed < asked ? 0 : passed - asked);
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NSEC_PER_SEC),
				 .tv_nsec = (long)(ns % NSEC_PER_SEC)};
}

static void use_nanosleep(struct timers *t, uint64_t ns)
{
	struct timespec ask = timespec_of(ns);
	uint64_t start = clock_now_ns();

	judge(t, !nanosleep(&ask, NULL), ns, start);
}

static uint64_t timerfd_expirations(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	uint64_t count = 0;

	if (poll(&pollfd, 1, WAIT_SECONDS * 1000) != 1 ||
	    read(fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

static void use_timerfd(struct timers *t, uint64_t ns)
{
	_cleanup_close_ int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct itimerspec once = {.it_value = timespec_of(ns)};
	struct itimerspec periodic = {.it_value = timespec_of(ns), .it_interval = timespec_of(ns)};
	uint64_t start = clock_now_ns(), count = 0, got = 1;

	timerfd_settime(fd, 0, &once, NULL);
	judge(t, timerfd_expirations(fd) == 1, ns, start);
	start = clock_now_ns();
	timerfd_settime(fd, 0, &periodic, NULL);
	while (count < PERIODS && got) {
		got = timerfd_expirations(fd);
		count += got;
	}
	judge(t, got, count * ns, start);
}

static void use_setitimer(struct timers *t, uint64_t ns)
{
	struct itimerval ask = {.it_value.tv_usec = (suseconds_t)(ns / NSEC_PER_USEC)};
	const struct timespec patience = {.tv_sec = WAIT_SECONDS};
	uint64_t start = clock_now_ns();
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	setitimer(ITIMER_REAL, &ask, NULL);
	judge(t, sigtimedwait(&set, NULL, &patience) == SIGALRM, ns, start);
}

static void timers_process(struct check *c, unsigned slot, struct timers *t)
{
	uint64_t deadline = check_deadline(c, BUDGET_SHARE), rounds = check_rounds(c, ROUNDS);
	sigset_t set;

	pin_to(c, slot);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (uint64_t i = 0; goes_on(i, rounds, deadline) && !t->dead; i++) {
		uint64_t ns = (1 + i % 5) * NSEC_PER_MSEC;

		use_nanosleep(t, ns);
		use_timerfd(t, ns);
		use_setitimer(t, ns);
		if (check_sabotaged(c) && !i)
			judge(t, true, NSEC_PER_SEC, clock_now_ns());
	}
}

void check_timers(struct check *c)
{
	struct timers *t = map_pages(PROOF_MAX_CPUS), sum = {0};
	pid_t pid[PROOF_MAX_CPUS];

	static_assert(sizeof(*t) == PAGE_BYTES, "a page for each CPU");
	for (unsigned i = 0; i < c->topo->n_cpus; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			timers_process(c, i, &t[i]);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < c->topo->n_cpus; i++) {
		int status;

		if (waitpid(pid[i], &status, 0) != pid[i] || status || !t[i].fired)
			check_fail(c, "CPU %u: nothing fired", c->topo->cpu[i].id);
		sum.fired += t[i].fired;
		sum.early += t[i].early;
		sum.dead += t[i].dead;
		sum.worst_late_ns = MAX(sum.worst_late_ns, t[i].worst_late_ns);
	}
	check_note(c, "%lu fired on %u CPUs, %lu early, %lu dead, at most %lu us late", sum.fired,
		   c->topo->n_cpus, sum.early, sum.dead, sum.worst_late_ns / NSEC_PER_USEC);
	if (sum.early || sum.dead)
		check_fail(c, "early or dead timers");
	check_json(c, "\"timers_fired\": %lu, \"timers_early\": %lu, \"timers_worst_late_us\": %lu",
		   sum.fired, sum.early, sum.worst_late_ns / NSEC_PER_USEC);
}
