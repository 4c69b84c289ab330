/* SPDX-License-Identifier: Apache-2.0 */
/* The vCPU's thread: inbox, sleep, injection, entry. */
#include "cpu/vcpu_impl.h"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/*
 * The kvm_run of the vCPU that this thread is. A signal handler has no argument, so this cannot
 * live in a struct; it belongs to the thread, not to a VM.
 */
static __thread struct kvm_run *thread_run;

static void on_kick(int signal)
{
	if (thread_run)
		thread_run->immediate_exit = 1;
}

void vcpu_kick(struct vcpu *v)
{
	uint32_t asleep = VCPU_ASLEEP;

	switch (atomic_load(&v->inbox.mode)) {
	case VCPU_IN_GUEST:
		pthread_kill(v->thread, VCPU_KICK_SIGNAL);
		break;
	case VCPU_ASLEEP:
		if (atomic_compare_exchange_strong(&v->inbox.mode, &asleep, VCPU_OUTSIDE))
			syscall(SYS_futex, &v->inbox.mode, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		break;
	}
}

void vcpu_post(struct vcpu *v, uint8_t vector, bool level)
{
	uint64_t bit = UINT64_C(1) << (vector % 64);

	if (level)
		atomic_fetch_or(&v->inbox.level[vector / 64], bit);
	/* Posted already and not yet taken: that kick is still on its way. */
	if (atomic_fetch_or(&v->inbox.vector[vector / 64], bit) & bit)
		return;
	vcpu_signal(v, VCPU_EVENT_VECTOR, 0);
}

void vcpu_signal(struct vcpu *v, enum vcpu_event event, uint8_t vector)
{
	if (event == VCPU_EVENT_SIPI)
		atomic_store(&v->inbox.sipi, vector);
	atomic_fetch_or(&v->inbox.events, event);
	if (event == VCPU_EVENT_STOP)
		vcpu_resume(v);
	vcpu_kick(v);
}

uint64_t vcpu_take_vectors(struct vcpu *v, unsigned word, uint64_t *level)
{
	uint64_t bits = atomic_exchange(&v->inbox.vector[word], 0);

	*level = bits ? atomic_fetch_and(&v->inbox.level[word], ~bits) & bits : 0;
	return bits;
}

static void take_vectors(struct vcpu *v)
{
	for (unsigned word = 0; word < 4; word++) {
		uint64_t level, bits = vcpu_take_vectors(v, word, &level);

		for (; bits; bits &= bits - 1) {
			unsigned bit = (unsigned)__builtin_ctzll(bits);
			lapic_accept(&v->lapic, (uint8_t)(word * 64 + bit), level >> bit & 1);
		}
	}
}

static int act_on(struct vcpu *v, uint32_t events)
{
	if (events & VCPU_EVENT_INIT)
		vcpu_init_signal(v);
	if (events & VCPU_EVENT_VECTOR)
		take_vectors(v);
	if (events & VCPU_EVENT_NMI)
		v->nmi = true;
	if ((events & VCPU_EVENT_SIPI) && v->state == VCPU_WAIT_SIPI)
		return vcpu_reset_to_sipi(v, (uint8_t)atomic_load(&v->inbox.sipi));
	return 0;
}

int vcpu_collect(struct vcpu *v)
{
	const uint32_t mask =
		VCPU_EVENT_INIT | VCPU_EVENT_VECTOR | VCPU_EVENT_NMI | VCPU_EVENT_SIPI;

	return act_on(v, atomic_fetch_and(&v->inbox.events, ~mask) & mask);
}

/* Return: 0 to go on, -ECANCELED when told to stop, another error when KVM refuses a state. */
static int take_inbox(struct vcpu *v)
{
	uint32_t events = atomic_exchange(&v->inbox.events, 0);

	if (events & VCPU_EVENT_STOP)
		return -ECANCELED;
	if (events & (VCPU_EVENT_ARRIVE | VCPU_EVENT_RETURN))
		vcpu_come(v, events);
	if (v->state == VCPU_AWAY) {
		vcpu_pass_on(v, events);
		return 0;
	}
	return act_on(v, events);
}

/* Host time of the APIC timer's next deadline, 0 for none. */
static uint64_t timer_deadline(const struct vcpu *v)
{
	struct lapic_clock now = guest_clock_now(v->clock);
	uint64_t at, left = 0;

	switch (lapic_timer_next(&v->lapic, &at)) {
	case LAPIC_DEADLINE_NONE:
		return 0;
	case LAPIC_DEADLINE_NS:
		left = at > now.ns ? at - now.ns : 0;
		break;
	case LAPIC_DEADLINE_TSC:
		left = at > now.tsc ? guest_tsc_to_ns(v->clock, at - now.tsc) : 0;
		break;
	}
	return clock_now_ns() + MIN(left, 3600 * NSEC_PER_SEC);
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NSEC_PER_SEC),
				 .tv_nsec = (long)(ns % NSEC_PER_SEC)};
}

static uint64_t slice_of(struct vcpu *v)
{
	return v->ops->slice ? v->ops->slice(v->ctx, v) : 0;
}

/* Sets the POSIX timer, unless it is set for that time already and still has to fire. */
static void arm_timer(struct vcpu *v)
{
	uint64_t now = clock_now_ns(), deadline = timer_deadline(v), slice = slice_of(v);

	if (slice)
		deadline = deadline ? MIN(deadline, now + slice) : now + slice;
	uint64_t moved = deadline > v->armed_ns ? deadline - v->armed_ns : v->armed_ns - deadline;

	if (v->armed_ns > now ? moved < NSEC_PER_USEC : deadline == 0)
		return;
	struct itimerspec spec = {.it_value = timespec_of(deadline)};
	timer_settime(v->timer, TIMER_ABSTIME, &spec, NULL);
	v->armed_ns = deadline;
}

/*
 * A POSIX timer that was armed while it ran may still wake it: where that is for the deadline
 * itself, no slice having come before, there is no slack.
 */
static void sleep_until_event(struct vcpu *v)
{
	uint64_t deadline = v->state == VCPU_HALTED ? timer_deadline(v) : 0;

	if (deadline && v->ops->slack)
		deadline += v->ops->slack(v->ctx, v);
	struct timespec ts = timespec_of(deadline);
	enum vcpu_rest rest = v->state == VCPU_AWAY ? VCPU_REST_AWAY : VCPU_REST_ASLEEP;

	vcpu_rest(&v->spent, rest, true);
	v->ops->idle(v->ctx, v, true);
	atomic_store(&v->inbox.mode, VCPU_ASLEEP);
	if (!atomic_load(&v->inbox.events))
		syscall(SYS_futex, &v->inbox.mode, FUTEX_WAIT_BITSET_PRIVATE, VCPU_ASLEEP,
			deadline ? &ts : NULL, NULL, FUTEX_BITSET_MATCH_ANY);
	atomic_store(&v->inbox.mode, VCPU_OUTSIDE);
	v->ops->idle(v->ctx, v, false);
	vcpu_rest(&v->spent, rest, false);
}

static bool must_sleep(const struct vcpu *v)
{
	if (v->state == VCPU_WAIT_SIPI || v->state == VCPU_AWAY)
		return true;
	if (v->state != VCPU_HALTED || v->nmi)
		return false;
	return !(v->run->if_flag && lapic_pending(&v->lapic) >= 0);
}

/* Hands KVM what is pending, or asks for a window. */
static int inject(struct vcpu *v)
{
	v->run->request_interrupt_window = 0;
	if (v->nmi) {
		v->nmi = false;
		if (ioctl(v->fd, KVM_NMI) < 0)
			return -errno;
	}
	if (lapic_pending(&v->lapic) < 0)
		return 0;
	if (!v->run->ready_for_interrupt_injection || !v->run->if_flag) {
		v->run->request_interrupt_window = 1;
		return 0;
	}
	struct kvm_interrupt irq = {.irq = (uint32_t)lapic_ack(&v->lapic)};
	if (ioctl(v->fd, KVM_INTERRUPT, &irq) < 0)
		return -errno;
	/* One more behind it: come back as soon as the guest can take it. */
	v->run->request_interrupt_window = lapic_pending(&v->lapic) >= 0;
	return 0;
}

/* Runs the guest. Return: 1 after an exit that wants handling, 0 when there was none, or an error.
 */
static int run_guest(struct vcpu *v)
{
	int r;

	atomic_store(&v->inbox.mode, VCPU_IN_GUEST);
	if (vcpu_is_wanted(v))
		v->run->immediate_exit = 1;
	r = ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 1;
	atomic_store(&v->inbox.mode, VCPU_OUTSIDE);
	v->run->immediate_exit = 0;
	if (r == -EINTR || r == -EAGAIN) {
		vcpu_count_exit(v, VCPU_EXIT_KICK);
		return 0;
	}
	return r;
}

/* Return: as run_guest(). */
static int enter(struct vcpu *v)
{
	if (v->rendezvous)
		rendezvous_enter(v->rendezvous, &v->member);
	int r = vcpu_sync_tsc(v);
	if (r == 0)
		r = inject(v);
	if (r == 0) {
		arm_timer(v);
		uint64_t cr8 = lapic_cr8_read(&v->lapic);
		v->run->cr8 = cr8;
		r = run_guest(v);
		/* Only if the guest wrote it: that clears the lower half of the TPR. */
		if (v->run->cr8 != cr8)
			lapic_cr8_write(&v->lapic, v->run->cr8);
	}
	if (v->rendezvous)
		rendezvous_leave(v->rendezvous, &v->member);
	return r;
}

/* Does KVM finish the instruction of this exit at the next KVM_RUN only? */
static bool is_unfinished(const struct vcpu *v)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
	case KVM_EXIT_MMIO:
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		return true;
	default:
		return false;
	}
}

static void block_kicks(bool on)
{
	sigset_t kicks;

	sigemptyset(&kicks);
	sigaddset(&kicks, VCPU_KICK_SIGNAL);
	pthread_sigmask(on ? SIG_BLOCK : SIG_UNBLOCK, &kicks, NULL);
}

/*
 * Lets KVM finish the instruction, without entering the guest. On a CPU without NRIPS it reads the
 * guest's page tables and code to find the instruction's end; a page of these may be on another
 * node. With a signal pending, Linux waits for such a page by faulting on it again and again, as
 * fast as it can, so no kick may come meanwhile.
 *
 * Return: 1 when the instruction has another exit, 0 when it is done, negative errno.
 */
static int finish(struct vcpu *v)
{
	int r;

	block_kicks(true);
	v->run->cr8 = lapic_cr8_read(&v->lapic);
	v->run->immediate_exit = 1;
	r = ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 1;
	v->run->immediate_exit = 0;
	block_kicks(false); /* one that came makes the next KVM_RUN return at once */
	return r == -EINTR ? 0 : r;
}

static int handle_exit(struct vcpu *v)
{
	int r;

	do {
		r = vcpu_handle_exit(v);
		if (r == 0 && is_unfinished(v))
			r = finish(v);
	} while (r > 0);
	return r;
}

/* Not while it waits for an interrupt: it does nothing that could tell where it is best. */
static void look(struct vcpu *v)
{
	int to = v->ops->look && v->state == VCPU_RUNNING ? v->ops->look(v->ctx, v) : -1;

	if (to >= 0)
		vcpu_leave(v, to);
}

static int run(struct vcpu *v)
{
	for (;;) {
		int r = take_inbox(v);
		if (r < 0)
			return r;
		if (vcpu_park(v))
			continue; /* who knows what has come meanwhile */
		if (v->state != VCPU_AWAY)
			lapic_timer_expire(&v->lapic, guest_clock_now(v->clock));
		if (must_sleep(v)) {
			sleep_until_event(v);
			continue;
		}
		v->state = VCPU_RUNNING;
		r = enter(v);
		if (r > 0)
			r = handle_exit(v);
		if (r < 0)
			return r;
		look(v);
		if (slice_of(v))
			sched_yield();
	}
}

static void pin(const struct vcpu *v)
{
	cpu_set_t set;

	if (v->host_cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)v->host_cpu, &set);
	/* A CPU that has gone offline costs speed, nothing else. */
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static int make_timer(struct vcpu *v)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = VCPU_KICK_SIGNAL,
		._sigev_un._tid = (pid_t)syscall(SYS_gettid),
	};

	return timer_create(CLOCK_MONOTONIC, &event, &v->timer) < 0 ? -errno : 0;
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;
	char text[160];
	int r;

	vcpu_times_begin(&v->spent);
	r = make_timer(v);
	if (r == 0) {
		pin(v);
		thread_run = v->run;
		r = run(v);
		thread_run = NULL;
		timer_delete(v->timer);
	}
	vcpu_ended(v);
	vcpu_times_end(&v->spent);
	if (r < 0 && r != -ECANCELED) {
		snprintf(text, sizeof(text), "vCPU %u cannot run: %s", v->index, strerror(-r));
		v->ops->failed(v->ctx, v, text);
	}
	return NULL;
}

int vcpu_start(struct vcpu *v)
{
	struct sigaction action = {.sa_handler = on_kick};
	char name[16];
	int r;

	sigemptyset(&action.sa_mask);
	if (sigaction(VCPU_KICK_SIGNAL, &action, NULL) < 0)
		return -errno;
	r = pthread_create(&v->thread, NULL, vcpu_main, v);
	if (r)
		return -r;
	v->started = true;
	snprintf(name, sizeof(name), "vcpu-%u", v->index);
	pthread_setname_np(v->thread, name);
	return 0;
}

void vcpu_join(struct vcpu *v)
{
	if (v->started)
		pthread_join(v->thread, NULL);
	v->started = false;
}
