/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local APIC timer: one-shot, periodic and TSC-deadline (SDM vol 3, 10.5.4).
 *
 * Theory of operation. Nothing ticks: a running count-down is the moment at which it stood at its
 * initial count, and every reading is computed from the time that comes with the access. The caller
 * keeps one host timer at lapic_timer_next() and calls lapic_timer_expire(). Whatever changes the
 * timer first lets it expire under the old settings, so that an interrupt that was due is not lost.
 *
 * A mask does not stop the timer, it only keeps the interrupt from being raised; a masked timer has
 * no deadline, as nobody would notice it.
 */
#include "irq/lapic_impl.h"

static uint32_t mode(const struct lapic *l)
{
	return l->lvt[LAPIC_LVT_TIMER] & LVT_TIMER_MODE;
}

/* Bits 3, 1 and 0 of the register: 000 is 2, 001 is 4 ... 110 is 128, 111 is 1 (figure 10-10). */
static uint64_t ns_per_count(uint32_t divide)
{
	static_assert(LAPIC_TIMER_HZ == NSEC_PER_SEC, "an undivided count lasts one nanosecond");
	unsigned log = ((divide & 3) | (divide >> 1 & 4)) + 1;

	return UINT64_C(1) << (log & 7);
}

/* Counts since the start. A clock that stands before the start (a vCPU just moved) counts as 0. */
static uint64_t counts_elapsed(const struct lapic *l, uint64_t now_ns)
{
	int64_t elapsed = (int64_t)(now_ns - l->timer_start_ns);

	return elapsed <= 0 ? 0 : (uint64_t)elapsed / ns_per_count(l->timer_divide);
}

uint32_t lapic_timer_current(const struct lapic *l, uint64_t now_ns)
{
	uint64_t elapsed = counts_elapsed(l, now_ns);

	if (!l->timer_counting)
		return 0;
	if (mode(l) == TIMER_PERIODIC)
		return l->timer_initial - (uint32_t)(elapsed % l->timer_initial);
	return elapsed >= l->timer_initial ? 0 : l->timer_initial - (uint32_t)elapsed;
}

void lapic_timer_set_initial(struct lapic *l, uint32_t initial, uint64_t now_ns)
{
	if (mode(l) != TIMER_ONESHOT && mode(l) != TIMER_PERIODIC)
		return; /* "writes to the initial-count register are ignored" (10.5.4.1) */
	l->timer_initial = initial;
	l->timer_counting = initial != 0;
	l->timer_start_ns = now_ns;
}

void lapic_timer_set_divide(struct lapic *l, uint32_t divide, uint64_t now_ns)
{
	uint64_t done = l->timer_initial - lapic_timer_current(l, now_ns);

	/* The count goes on from where it is, at the new speed. The start may wrap below zero. */
	l->timer_divide = divide;
	l->timer_start_ns = now_ns - done * ns_per_count(divide);
}

void lapic_timer_disarm(struct lapic *l)
{
	l->timer_initial = 0;
	l->timer_counting = 0;
	l->tsc_deadline = 0;
}

uint64_t lapic_tsc_deadline_read(const struct lapic *l)
{
	return l->tsc_deadline;
}

void lapic_tsc_deadline_write(struct lapic *l, uint64_t tsc, struct lapic_clock now)
{
	if (mode(l) != TIMER_DEADLINE)
		return;
	lapic_timer_expire(l, now);
	l->tsc_deadline = tsc;
}

enum lapic_deadline lapic_timer_next(const struct lapic *l, uint64_t *ret)
{
	uint64_t period = l->timer_initial * ns_per_count(l->timer_divide);

	if (l->lvt[LAPIC_LVT_TIMER] & LVT_MASKED)
		return LAPIC_DEADLINE_NONE;
	if (l->tsc_deadline) {
		*ret = l->tsc_deadline;
		return LAPIC_DEADLINE_TSC;
	}
	if (!l->timer_counting)
		return LAPIC_DEADLINE_NONE;
	if (mode(l) == TIMER_PERIODIC)
		period = MAX(period, LAPIC_PERIOD_MIN_NS);
	*ret = l->timer_start_ns + period;
	return LAPIC_DEADLINE_NS;
}

bool lapic_timer_expire(struct lapic *l, struct lapic_clock now)
{
	if (l->tsc_deadline) {
		if (now.tsc < l->tsc_deadline)
			return false;
		l->tsc_deadline = 0;
		return lapic_lvt_raise(l, LAPIC_LVT_TIMER);
	}
	if (!l->timer_counting || counts_elapsed(l, now.ns) < l->timer_initial)
		return false;
	if (mode(l) == TIMER_PERIODIC) {
		uint64_t periods = counts_elapsed(l, now.ns) / l->timer_initial;

		l->timer_start_ns += periods * l->timer_initial * ns_per_count(l->timer_divide);
	} else {
		l->timer_counting = 0;
	}
	return lapic_lvt_raise(l, LAPIC_LVT_TIMER);
}
