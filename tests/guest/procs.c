/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes across hosts: the fork/exec storm, and ping-pong by pipe and by futex.
 *
 * Storm: one process on each CPU keeps forking a child that moves to the next CPU and executes
 * this program anew with a payload of known bytes in its arguments. The new program, on the other
 * host, checks every byte, and its exit status carries a number back. Each round thus builds,
 * copies and tears down page tables, stacks and the page cache's mappings across hosts.
 *
 * Pipe: two processes on neighbouring parties pass a page-sized message back and forth; every byte
 * depends on the round.
 *
 * Futex: two threads on neighbouring parties take turns at one word by FUTEX_WAIT/WAKE. A wait that
 * times out although the word has changed is a lost wake-up.
 */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/guest/proof.h"

#define STORM_ROUNDS 40
#define PAYLOAD	     2000
#define PING_ROUNDS  1000
#define MESSAGE	     1024 /* 32-bit words: one page */
#define BUDGET_SHARE 0.8
#define WAIT_SECONDS 10

struct count {
	_Alignas(PAGE_BYTES) uint64_t done;
	uint64_t wrong, worst_ns, total_ns;
};

struct shared {
	struct barrier barrier;
	uint64_t deadline;
	_Alignas(PAGE_BYTES) _Atomic uint32_t turn;
	struct count count[PROOF_MAX_CPUS];
};

static char payload_byte(unsigned seed, unsigned i)
{
	return (char)('a' + (seed * 31 + i * 7 + i / 26) % 26);
}

/* The executed program: exit status seed % 251 for a good payload, 255 for a bad one. */
int storm_child(int argc, char **argv)
{
	unsigned seed = argc == 4 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;

	if (argc != 4 || strlen(argv[3]) != PAYLOAD)
		return 255;
	for (unsigned i = 0; i < PAYLOAD; i++)
		if (argv[3][i] != payload_byte(seed, i))
			return 255;
	return (int)(seed % 251);
}

static void storm_execute(struct check *c, unsigned slot, unsigned seed)
{
	char number[16], payload[PAYLOAD + 1];

	for (unsigned i = 0; i < PAYLOAD; i++)
		payload[i] = payload_byte(seed, i);
	payload[PAYLOAD] = 0;
	if (check_sabotaged(c) && seed % 8 == 0)
		payload[PAYLOAD / 2]++;
	snprintf(number, sizeof(number), "%u", seed);
	pin_to(c, (slot + 1) % c->topo->n_cpus);
	execl("/proc/self/exe", "proof", "--storm-child", number, payload, NULL);
	_exit(254);
}

static void storm_process(struct check *c, struct shared *s, unsigned slot)
{
	struct count *mine = &s->count[slot];

	pin_to(c, slot);
	while (goes_on(mine->done, check_rounds(c, STORM_ROUNDS), s->deadline)) {
		unsigned seed = (unsigned)mine->done * PROOF_MAX_CPUS + slot;
		pid_t pid = fork();
		int status = -1;

		if (!pid)
			storm_execute(c, slot, seed);
		mine->done++;
		if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != (int)(seed % 251))
			mine->wrong++;
	}
}

static void wait_for(pid_t pid, uint64_t *failed)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		++*failed;
}

void check_storm(struct check *c)
{
	struct shared *s = map_pages(sizeof(*s) / PAGE_BYTES);
	uint64_t done = 0, wrong = 0, dead = 0;
	pid_t pid[PROOF_MAX_CPUS];

	s->deadline = check_deadline(c, BUDGET_SHARE);
	for (unsigned i = 0; i < c->topo->n_cpus; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			storm_process(c, s, i);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < c->topo->n_cpus; i++) {
		wait_for(pid[i], &dead);
		done += s->count[i].done;
		wrong += s->count[i].wrong;
	}
	check_note(c, "%lu programs executed from %u CPUs, %lu wrong", done, c->topo->n_cpus,
		   wrong);
	if (wrong || dead || !done)
		check_fail(c, "%lu wrong, %lu forkers died", wrong, dead);
	check_json(c, "\"execs\": %lu, \"exec_errors\": %lu", done, wrong + dead);
}

static bool transfer(int fd, uint32_t *message, bool out)
{
	char *at = (char *)message;

	for (size_t left = MESSAGE * sizeof(*message); left;) {
		ssize_t n = out ? write(fd, at, left) : read(fd, at, left);

		if (n <= 0)
			return false;
		at += n;
		left -= (size_t)n;
	}
	return true;
}

static void fill(uint32_t *message, uint64_t round)
{
	for (uint32_t i = 0; i < MESSAGE; i++)
		message[i] = (uint32_t)round * 2654435761U + i;
}

static bool filled(const uint32_t *message, uint64_t round)
{
	uint32_t difference = 0;

	for (uint32_t i = 0; i < MESSAGE; i++)
		difference |= message[i] ^ ((uint32_t)round * 2654435761U + i);
	return !difference;
}

/* Returns each message with the next round's bytes; ends when the pipe is closed. */
static void pipe_echo(struct check *c, int in, int out, struct count *mine)
{
	uint32_t message[MESSAGE];

	for (uint64_t round = 0; transfer(in, message, false); round += 2) {
		mine->wrong += !filled(message, round);
		fill(message, round + 1);
		if (check_sabotaged(c) && round == 8)
			message[MESSAGE / 2] ^= 1;
		if (!transfer(out, message, true))
			break;
		mine->done++;
	}
}

static void pipe_drive(struct check *c, int in, int out, struct count *mine, uint64_t deadline)
{
	uint64_t rounds = check_rounds(c, PING_ROUNDS), first = mine->done;
	uint32_t message[MESSAGE];

	for (uint64_t i = 0; goes_on(i, rounds, deadline); i++) {
		uint64_t start = clock_now_ns(), took;

		fill(message, 2 * i);
		if (!transfer(out, message, true) || !transfer(in, message, false))
			break;
		took = clock_now_ns() - start;
		mine->wrong += !filled(message, 2 * i + 1);
		mine->total_ns += took;
		mine->worst_ns = MAX(mine->worst_ns, took);
		mine->done++;
	}
	mine->wrong += mine->done == first;
}

static void pipe_pair(struct check *c, struct shared *s, const unsigned *pair, double share)
{
	uint64_t dead = 0;
	int there[2], back[2];
	pid_t pid;

	if (pipe(there) || pipe(back))
		abort();
	pid = fork();
	if (!pid) {
		close(there[1]);
		close(back[0]);
		pin_to(c, pair[1]);
		pipe_echo(c, there[0], back[1], &s->count[1]);
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	pin_to(c, pair[0]);
	pipe_drive(c, back[0], there[1], &s->count[0], check_deadline(c, share));
	close(there[1]);
	close(back[0]);
	wait_for(pid, &dead);
	s->count[0].wrong += dead;
}

static void ping_result(struct check *c, const struct shared *s)
{
	const struct count *one = &s->count[0], *other = &s->count[1];
	uint64_t wrong = one->wrong + other->wrong;

	check_note(c, "%lu round trips, mean %lu us, worst %lu us, %lu wrong", one->done,
		   one->done ? one->total_ns / one->done / NSEC_PER_USEC : 0,
		   one->worst_ns / NSEC_PER_USEC, wrong);
	if (wrong || one->done != other->done)
		check_fail(c, "%lu sent, %lu returned, %lu wrong", one->done, other->done, wrong);
	check_json(c, "\"%s\": {\"rounds\": %lu, \"mean_us\": %lu, \"wrong\": %lu}", c->name,
		   one->done, one->done ? one->total_ns / one->done / NSEC_PER_USEC : 0, wrong);
}

void check_pipe(struct check *c)
{
	struct shared *s = map_pages(sizeof(*s) / PAGE_BYTES);
	unsigned pair[PROOF_MAX_NODES][2], n;

	if (!check_needs_cpus(c, 2))
		return;
	n = party_pairs(c->topo, pair);
	for (unsigned i = 0; i < n; i++)
		pipe_pair(c, s, pair[i], BUDGET_SHARE / n);
	ping_result(c, s);
}

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

#define FUTEX_STOP UINT32_MAX

/* Sleeps until the word is no longer @old; a time-out with a changed word is a lost wake-up. */
static uint32_t futex_await(_Atomic uint32_t *word, uint32_t old, struct count *mine)
{
	const struct timespec patience = {.tv_sec = WAIT_SECONDS};
	uint32_t now;

	while ((now = atomic_load(word)) == old)
		if (futex(word, FUTEX_WAIT, old, &patience) && errno == ETIMEDOUT) {
			mine->wrong++;
			if (atomic_load(word) == old)
				return FUTEX_STOP;
		}
	return now;
}

/* The first thread makes odd numbers of even ones and decides when to stop, the second even. */
static void futex_worker(struct worker *w)
{
	struct shared *s = w->shared;
	struct count *mine = &s->count[w->index];
	uint64_t rounds = check_rounds(w->c, PING_ROUNDS), started = 0;
	uint32_t value = 0;

	if (w->index)
		value = futex_await(&s->turn, 0, mine);
	for (uint64_t i = 0; value != FUTEX_STOP; i++) {
		bool stop = !w->index && !goes_on(i, rounds, s->deadline);
		uint32_t next = stop ? FUTEX_STOP : value + 1;

		started = clock_now_ns();
		mine->wrong += value != 2 * i + w->index;
		if (check_sabotaged(w->c) && w->index && i == 8)
			mine->done--;
		atomic_store(&s->turn, next);
		futex(&s->turn, FUTEX_WAKE, 1, NULL);
		if (stop)
			break;
		value = futex_await(&s->turn, next, mine);
		if (value == FUTEX_STOP && !w->index)
			break;
		mine->total_ns += clock_now_ns() - started;
		mine->worst_ns = MAX(mine->worst_ns, clock_now_ns() - started);
		mine->done++;
	}
}

void check_futex(struct check *c)
{
	struct shared *s = map_pages(sizeof(*s) / PAGE_BYTES);
	unsigned pair[PROOF_MAX_NODES][2], n;

	if (!check_needs_cpus(c, 2))
		return;
	n = party_pairs(c->topo, pair);
	for (unsigned i = 0; i < n; i++) {
		s->turn = 0;
		s->deadline = check_deadline(c, BUDGET_SHARE / n);
		run_workers(c, pair[i], 2, futex_worker, s);
	}
	ping_result(c, s);
}
