/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/rendezvous.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

void rendezvous_init(struct rendezvous *r, struct guest_clock *clock)
{
	*r = (struct rendezvous){.clock = clock};
	pthread_mutex_init(&r->lock, NULL);
	list_init(&r->members);
}

void rendezvous_add(struct rendezvous *r, struct rendezvous_member *m)
{
	pthread_mutex_lock(&r->lock);
	list_add_tail(&r->members, &m->all);
	pthread_mutex_unlock(&r->lock);
}

void rendezvous_remove(struct rendezvous *r, struct rendezvous_member *m)
{
	pthread_mutex_lock(&r->lock);
	list_del(&m->all);
	pthread_mutex_unlock(&r->lock);
}

static bool nobody_inside(const struct rendezvous *r)
{
	list_for_each (it, &r->members)
		if (atomic_load(&container_of(it, struct rendezvous_member, all)->inside))
			return false;
	return true;
}

static void try_step(struct rendezvous *r)
{
	bool done;

	pthread_mutex_lock(&r->lock);
	done = rendezvous_is_pending(r) && nobody_inside(r);
	if (done) {
		guest_clock_move(r->clock, r->ticks);
		atomic_fetch_add_explicit(&r->steps, 1, memory_order_relaxed);
		atomic_store(&r->pending, 0);
	}
	pthread_mutex_unlock(&r->lock);
	if (done)
		syscall(SYS_futex, &r->pending, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void rendezvous_leave(struct rendezvous *r, struct rendezvous_member *m)
{
	atomic_store(&m->inside, false);
	if (rendezvous_is_pending(r))
		try_step(r);
}

void rendezvous_enter(struct rendezvous *r, struct rendezvous_member *m)
{
	for (;;) {
		atomic_store(&m->inside, true);
		if (!rendezvous_is_pending(r))
			return;
		rendezvous_leave(r, m);
		while (rendezvous_is_pending(r))
			syscall(SYS_futex, &r->pending, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	}
}

static void kick_all(struct rendezvous *r)
{
	pthread_mutex_lock(&r->lock);
	list_for_each (it, &r->members) {
		struct rendezvous_member *m = container_of(it, struct rendezvous_member, all);
		if (atomic_load(&m->inside))
			m->kick(m);
	}
	pthread_mutex_unlock(&r->lock);
}

int rendezvous_step(struct rendezvous *r, int64_t ticks)
{
	if (rendezvous_is_pending(r))
		return -EBUSY;
	r->ticks = ticks;
	atomic_store(&r->pending, 1);
	kick_all(r);
	try_step(r);
	return 0;
}
