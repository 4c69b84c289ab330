/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/waits.h"

/* Multiplicative: the numbers of threads lie close together. The place from which @tid is sought.
 */
static unsigned place_of(uint32_t tid)
{
	return tid * UINT32_C(2654435769) >> (32 - __builtin_ctz(WAITS_THREADS));
}

/* Its record; with @add a new one. NULL: there is none. */
static struct waits_thread *find(struct waits *w, uint32_t tid, bool add)
{
	for (unsigned i = 0; tid && i < WAITS_THREADS; i++) {
		struct waits_thread *t = &w->thread[(place_of(tid) + i) % WAITS_THREADS];
		uint32_t found = atomic_load_explicit(&t->tid, memory_order_relaxed);

		if (found == tid)
			return t;
		if (found)
			continue;
		if (!add)
			return NULL;
		atomic_store_explicit(&t->tid, tid, memory_order_relaxed);
		return t;
	}
	return NULL;
}

static void add(struct waits_thread *t, uint64_t now)
{
	uint64_t had = atomic_load_explicit(&t->ns, memory_order_relaxed);

	atomic_store_explicit(&t->ns, had + (now - t->since), memory_order_relaxed);
	t->since = 0;
}

void waits_begin(struct waits *w, uint32_t tid, uint64_t gpa, bool write, uint64_t now)
{
	struct waits_thread *t = find(w, tid, true);

	if (!t)
		return;
	t->write = write;
	if (t->since && t->gpa == gpa)
		return;
	if (t->since)
		add(t, now);
	else
		w->now[w->waiting++] = t;
	t->since = now;
	t->gpa = gpa;
}

void waits_end_all(struct waits *w, uint64_t gpa, bool writable, uint64_t now)
{
	for (unsigned i = w->waiting; i-- > 0;) {
		struct waits_thread *t = w->now[i];

		if (t->gpa != gpa || (t->write && !writable))
			continue;
		add(t, now);
		w->now[i] = w->now[--w->waiting];
	}
}

uint64_t waits_of(const struct waits *w, uint32_t tid)
{
	const struct waits_thread *t = find((struct waits *)w, tid, false);

	return t ? atomic_load_explicit(&t->ns, memory_order_relaxed) : 0;
}
