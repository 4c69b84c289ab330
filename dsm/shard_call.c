/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to a shard, answered in its own thread between two rounds of events.
 *
 * The caller puts its question on a list that is one atomic word, nudges the thread and sleeps; so
 * the path of a fault sees no lock, only an eventfd that becomes readable. A thread that ends
 * closes the list (CLOSED): what is on it then is refused, as is everything later, so nobody sleeps
 * for ever.
 */
#include "dsm/shard_impl.h"

#include <semaphore.h>

struct shard_call {
	struct shard_call *next;
	pager_call_fn fn;
	void *arg;
	int result;
	sem_t done;
};

#define CLOSED ((struct shard_call *)1)

/* The caller's frame, which the call is on, may be gone after the post. */
static void end(struct shard_call *c, int result)
{
	c->result = result;
	sem_post(&c->done);
}

void shard_calls_open(struct shard *s)
{
	atomic_store(&s->calls, NULL);
}

void shard_calls_make(struct shard *s)
{
	struct shard_call *next;

	for (struct shard_call *c = atomic_exchange(&s->calls, NULL); c; c = next) {
		next = c->next;
		c->fn(s->proto, c->arg);
		end(c, 0);
	}
}

void shard_calls_close(struct shard *s)
{
	struct shard_call *next, *c = atomic_exchange(&s->calls, CLOSED);

	for (; c && c != CLOSED; c = next) {
		next = c->next;
		end(c, -ESHUTDOWN);
	}
}

int shard_call(struct shard *s, pager_call_fn fn, void *arg)
{
	struct shard_call call = {.fn = fn, .arg = arg}, *first = atomic_load(&s->calls);
	const uint64_t one = 1;

	sem_init(&call.done, 0, 0);
	do {
		if (first == CLOSED)
			return -ESHUTDOWN;
		call.next = first;
	} while (!atomic_compare_exchange_weak(&s->calls, &first, &call));
	/* An eventfd takes this write: the counter is far from full. */
	if (write(s->nudge, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN); /* then it is readable anyway */
	while (sem_wait(&call.done) < 0)
		;
	sem_destroy(&call.done);
	return call.result;
}
