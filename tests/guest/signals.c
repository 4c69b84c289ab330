/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals across hosts, each counted.
 *
 * Between processes: SIGRTMIN with a rising number is queued to a process on another host, which
 * takes it by sigtimedwait and answers likewise; a number out of order or a time-out is an error.
 *
 * Between threads: a thread spins in user mode, without any system call, on another host; it is
 * signalled by tgkill and its handler counts. Only an interrupt from the other host can make it
 * look. The sender waits for each count, so sent and handled must agree exactly.
 */
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/guest/proof.h"

#define ROUNDS	     300
#define BUDGET_SHARE 0.4
#define WAIT_SECONDS 10
#define STOP	     (-1)

struct tally {
	_Alignas(PAGE_BYTES) uint64_t sent;
	uint64_t answered, wrong;
};

struct target {
	_Alignas(PAGE_BYTES) _Atomic uint64_t handled;
	_Atomic int thread; /* 0 until it spins */
	_Atomic bool stop;
	uint64_t deadline;
	uint64_t sent, wrong;
};

/* The number that the next SIGRTMIN carries, or STOP when none came in time. */
static int next_number(const sigset_t *set)
{
	const struct timespec patience = {.tv_sec = WAIT_SECONDS};
	siginfo_t info;

	while (sigtimedwait(set, &info, &patience) < 0)
		if (errno != EINTR)
			return STOP;
	return info.si_value.sival_int;
}

static void answer_process(struct tally *tally, const sigset_t *set)
{
	int number, expected = 0;

	while ((number = next_number(set)) != STOP) {
		tally->wrong += number != expected;
		expected = number + 1;
		tally->answered++;
		sigqueue(getppid(), SIGRTMIN, (union sigval){.sival_int = number});
	}
}

static void between_processes(struct check *c, const unsigned *pair, double share,
			      struct tally *tally)
{
	uint64_t deadline = check_deadline(c, share), rounds = check_rounds(c, ROUNDS);
	sigset_t set;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid = fork();
	if (!pid) {
		pin_to(c, pair[1]);
		answer_process(tally, &set);
		_exit(0);
	}
	pin_to(c, pair[0]);
	for (int i = 0; goes_on((uint64_t)i, rounds, deadline); i++) {
		if (sigqueue(pid, SIGRTMIN, (union sigval){.sival_int = i}))
			tally->wrong++;
		tally->sent++;
		if (next_number(&set) != i) {
			tally->wrong++;
			break;
		}
	}
	sigqueue(pid, SIGRTMIN, (union sigval){.sival_int = STOP});
	waitpid(pid, NULL, 0);
}

/* The handler finds its counter by the value that the signal carries. */
static void on_signal(int signal, siginfo_t *info, void *context)
{
	struct target *target = info->si_value.sival_ptr;

	atomic_fetch_add(&target->handled, 1);
}

static void await_handled(struct target *t)
{
	uint64_t patience = clock_now_ns() + WAIT_SECONDS * NSEC_PER_SEC;

	while (atomic_load(&t->handled) != t->sent) {
		cpu_pause();
		if (clock_now_ns() > patience) {
			t->wrong++;
			atomic_store(&t->handled, t->sent);
		}
	}
}

static void thread_worker(struct worker *w)
{
	struct target *t = w->shared;
	uint64_t rounds = check_rounds(w->c, ROUNDS);

	if (w->index) {
		atomic_store(&t->thread, (int)syscall(SYS_gettid));
		while (!atomic_load_explicit(&t->stop, memory_order_relaxed))
			cpu_pause();
		return;
	}
	while (!atomic_load(&t->thread))
		cpu_pause();
	for (uint64_t i = 0; goes_on(i, rounds, t->deadline) && !t->wrong; i++) {
		siginfo_t info = {.si_code = SI_QUEUE, .si_value.sival_ptr = t};

		t->sent++;
		if (syscall(SYS_rt_tgsigqueueinfo, getpid(), t->thread, SIGUSR1, &info))
			t->wrong++;
		else
			await_handled(t);
	}
	atomic_store(&t->stop, true);
}

static void between_threads(struct check *c, const unsigned *pair, double share,
			    struct tally *tally)
{
	struct target *t = map_pages(1);

	static_assert(sizeof(*t) == PAGE_BYTES, "one page holds a target");
	t->deadline = check_deadline(c, share);
	sigaction(SIGUSR1, &(struct sigaction){.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO},
		  NULL);
	run_workers(c, pair, 2, thread_worker, t);
	tally->sent += t->sent;
	tally->answered += t->handled;
	tally->wrong += t->wrong;
}

void check_signals(struct check *c)
{
	struct tally *process = map_pages(1), thread = {0};
	unsigned pair[PROOF_MAX_NODES][2], n;

	static_assert(sizeof(*process) == PAGE_BYTES, "one page holds a tally");
	if (!check_needs_cpus(c, 2))
		return;
	n = party_pairs(c->topo, pair);
	for (unsigned i = 0; i < n; i++) {
		between_processes(c, pair[i], BUDGET_SHARE / n, process);
		between_threads(c, pair[i], BUDGET_SHARE / n, &thread);
	}
	if (check_sabotaged(c))
		thread.answered--;
	check_note(c, "processes %lu of %lu, threads %lu of %lu, %lu wrong", process->answered,
		   process->sent, thread.answered, thread.sent, process->wrong + thread.wrong);
	if (process->answered != process->sent || thread.answered != thread.sent ||
	    process->wrong + thread.wrong || !process->sent || !thread.sent)
		check_fail(c, "signals lost or out of order");
	check_json(c, "\"signals_sent\": %lu, \"signals_received\": %lu",
		   process->sent + thread.sent, process->answered + thread.answered);
}
