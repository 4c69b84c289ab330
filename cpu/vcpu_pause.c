/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pausing a vCPU.
 *
 * One word says how far it is: GOES, PAUSING (asked for), PARKED (the thread is in park()), ENDED
 * (there is no thread any more). Others move it from GOES to PAUSING and from PAUSING or PARKED
 * back to GOES; the thread alone moves it to PARKED and to ENDED. Each change wakes whoever waits
 * for one: the thread in park(), the others in vcpu_wait_parked().
 *
 * A STOP sets its bit before it looks at this word, the thread writes PARKED before it looks for a
 * STOP: one of the two sees the other.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include "cpu/vcpu_impl.h"

enum { GOES, PAUSING, PARKED, ENDED };

static void wait_while(struct vcpu *v, uint32_t value)
{
	syscall(SYS_futex, &v->inbox.pause, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake_all(struct vcpu *v)
{
	syscall(SYS_futex, &v->inbox.pause, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Return: was it @from? */
static bool change(struct vcpu *v, uint32_t from, uint32_t to)
{
	if (!atomic_compare_exchange_strong(&v->inbox.pause, &from, to))
		return false;
	wake_all(v);
	return true;
}

void vcpu_pause(struct vcpu *v)
{
	if (change(v, GOES, PAUSING))
		vcpu_signal(v, VCPU_EVENT_PAUSE, 0);
}

void vcpu_resume(struct vcpu *v)
{
	/* It may park between the two. */
	if (!change(v, PAUSING, GOES))
		change(v, PARKED, GOES);
}

bool vcpu_is_parked(const struct vcpu *v)
{
	return atomic_load(&v->inbox.pause) == PARKED;
}

int vcpu_wait_parked(struct vcpu *v)
{
	uint32_t now;

	while ((now = atomic_load(&v->inbox.pause)) == PAUSING)
		wait_while(v, PAUSING);
	return now == PARKED ? 0 : -ECANCELED;
}

bool vcpu_park(struct vcpu *v)
{
	if (atomic_load(&v->inbox.pause) != PAUSING)
		return false;
	vcpu_rest(&v->spent, VCPU_REST_PAUSED, true);
	v->ops->idle(v->ctx, v, true);
	if (change(v, PAUSING, PARKED)) {
		if (v->ops->parked)
			v->ops->parked(v->ctx, v);
		if (atomic_load(&v->inbox.events) & VCPU_EVENT_STOP)
			change(v, PARKED, GOES);
		while (atomic_load(&v->inbox.pause) == PARKED)
			wait_while(v, PARKED);
	}
	v->ops->idle(v->ctx, v, false);
	vcpu_rest(&v->spent, VCPU_REST_PAUSED, false);
	return true;
}

void vcpu_ended(struct vcpu *v)
{
	atomic_store(&v->inbox.pause, ENDED);
	wake_all(v);
}
