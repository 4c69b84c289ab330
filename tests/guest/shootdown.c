/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLB shootdowns: after mprotect or munmap has returned, no CPU may read the page any more.
 *
 * The main thread (slot 0) goes round four states of one page, told in a phase word:
 *   phase % 4:  0 mapped, holding the phase;  1 changing;  2 revoked;  3 changing.
 * The readers, one on every other CPU, read the page without pause, so that its translation is in
 * their TLB when it goes. A reader looks at the phase, reads the page, looks again: if the phase
 * has stayed at
 *   mapped:  it must have got the phase's value; SIGSEGV or another value is a lost page;
 *   revoked: it must have got SIGSEGV; any value is a stale translation.
 * While the phase says "changing" everything is allowed. The main thread moves on when every
 * reader has reported an attempt that began and ended in the current phase.
 *
 * Two kinds of rounds: mprotect to PROT_NONE and back, and munmap followed by a new mapping at the
 * same address, which is another page frame. Nothing else maps memory meanwhile, so the hole stays
 * a hole.
 *
 * The read is one instruction with a fixup: the SIGSEGV handler moves the instruction pointer from
 * that instruction to the fixup, and lets a fault anywhere else be fatal.
 */
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/guest/proof.h"

#define ROUNDS	     400
#define BUDGET_SHARE 0.8
#define FIRST_PHASE  4 /* mapped, and no value is zero */

enum { MAPPED = 0, REVOKED = 2 };

struct reader {
	_Alignas(PAGE_BYTES) _Atomic uint64_t seen; /* last phase attempted from begin to end */
	uint64_t reads, faults, stale, lost;
};

struct storm {
	_Alignas(PAGE_BYTES) _Atomic uint64_t phase;
	_Atomic bool stop;
	uint64_t *page;
	uint64_t rounds;
	struct reader reader[PROOF_MAX_CPUS];
};

/* try_read(): 0 and the value, or 1 after a fault. The labels are for the signal handler. */
int try_read(const uint64_t *from, uint64_t *value);
extern const char try_read_access[], try_read_fault[];

__asm__(".text\n"
	".globl try_read, try_read_access, try_read_fault\n"
	".type try_read, @function\n"
	"try_read:\n\t"
	"xorl %eax, %eax\n"
	"try_read_access:\n\t"
	"movq (%rdi), %rdx\n\t"
	"movq %rdx, (%rsi)\n\t"
	"ret\n"
	"try_read_fault:\n\t"
	"movl $1, %eax\n\t"
	"ret\n"
	".size try_read, . - try_read\n");

static void on_fault(int signal, siginfo_t *info, void *context)
{
	ucontext_t *user = context;
	greg_t *ip = &user->uc_mcontext.gregs[REG_RIP];

	if (*ip == (greg_t)(uintptr_t)try_read_access)
		*ip = (greg_t)(uintptr_t)try_read_fault;
	else
		sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
}

static void judge(struct reader *me, uint64_t phase, bool faulted, uint64_t value)
{
	me->reads++;
	me->faults += faulted;
	if (phase % 4 == MAPPED)
		me->lost += faulted || value != phase;
	else if (phase % 4 == REVOKED)
		me->stale += !faulted;
	if (atomic_load_explicit(&me->seen, memory_order_relaxed) != phase)
		atomic_store(&me->seen, phase);
}

static void reader_loop(struct worker *w)
{
	struct storm *s = w->shared;
	struct reader *me = &s->reader[w->index];

	while (!atomic_load(&s->stop)) {
		uint64_t before = atomic_load(&s->phase), value = 0;
		bool faulted = try_read(s->page, &value);

		if (atomic_load(&s->phase) == before)
			judge(me, before, faulted, value);
	}
}

static void map_fresh(struct storm *s)
{
	if (mmap(s->page, PAGE_BYTES, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != s->page)
		abort();
}

static void revoke_page(struct worker *w, bool unmap)
{
	struct storm *s = w->shared;

	if (check_sabotaged(w->c) && !s->rounds)
		return;
	if (unmap ? munmap(s->page, PAGE_BYTES) : mprotect(s->page, PAGE_BYTES, PROT_NONE))
		abort();
}

static void restore_page(struct storm *s, bool unmap)
{
	if (unmap)
		map_fresh(s);
	else if (mprotect(s->page, PAGE_BYTES, PROT_READ | PROT_WRITE))
		abort();
}

static void wait_for_readers(struct worker *w, uint64_t phase)
{
	struct storm *s = w->shared;

	for (unsigned i = 1; i < w->n; i++)
		while (atomic_load(&s->reader[i].seen) != phase)
			cpu_pause();
}

static void main_loop(struct worker *w)
{
	struct storm *s = w->shared;
	bool unmap = !strcmp(w->c->name, "munmap");
	uint64_t deadline = check_deadline(w->c, BUDGET_SHARE);
	uint64_t rounds = check_rounds(w->c, ROUNDS), phase = FIRST_PHASE;

	for (; goes_on(s->rounds, rounds, deadline); s->rounds++) {
		wait_for_readers(w, phase);
		atomic_store(&s->phase, ++phase);
		revoke_page(w, unmap);
		atomic_store(&s->phase, ++phase);
		wait_for_readers(w, phase);
		atomic_store(&s->phase, ++phase);
		restore_page(s, unmap);
		*(volatile uint64_t *)s->page = phase + 1;
		atomic_store(&s->phase, ++phase);
	}
	wait_for_readers(w, phase);
	atomic_store(&s->stop, true);
}

static void shootdown_worker(struct worker *w)
{
	if (w->index)
		reader_loop(w);
	else
		main_loop(w);
}

/* Both kinds of storm: the check's name tells which. */
void check_shootdown(struct check *c)
{
	struct storm *s = map_pages(sizeof(*s) / PAGE_BYTES);
	struct reader sum = {0};

	if (!check_needs_cpus(c, 2))
		return;
	s->page =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->page == MAP_FAILED)
		abort();
	s->phase = *s->page = FIRST_PHASE;
	sigaction(SIGSEGV, &(struct sigaction){.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO},
		  NULL);
	run_everywhere(c, shootdown_worker, s);
	for (unsigned i = 1; i < c->topo->n_cpus; i++) {
		sum.reads += s->reader[i].reads;
		sum.faults += s->reader[i].faults;
		sum.stale += s->reader[i].stale;
		sum.lost += s->reader[i].lost;
	}
	check_note(c, "%lu rounds, %lu reads by %u readers, %lu faults, %lu stale, %lu lost",
		   s->rounds, sum.reads, c->topo->n_cpus - 1, sum.faults, sum.stale, sum.lost);
	if (sum.stale || sum.lost)
		check_fail(c, "stale translations or lost pages");
	if (!sum.faults || !s->rounds)
		check_fail(c, "no reader saw the page go");
	check_json(c, "\"%s\": {\"rounds\": %lu, \"reads\": %lu, \"stale\": %lu, \"lost\": %lu}",
		   c->name, s->rounds, sum.reads, sum.stale, sum.lost);
}
