/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node 2 is stopped, so that nodes 0 and 1 have threads that wait for its pages for certain, and
 * then killed. Both must be told that it was node 2, and pager_stop() must release the waiters.
 *
 * Or a connection ends under two nodes that live on: each is told that it was the other.
 */
#include "tests/dsm/native_tests.h"

#include <signal.h>
#include <stdio.h>

#include "base/clock.h"

#define VICTIM	 2
#define PROMPT	 (1 * NSEC_PER_SEC)
#define PATIENCE (10 * NSEC_PER_SEC)

enum { WAITERS, KILLED_AT, TOLD }; /* words */

static void pause_briefly(void)
{
	nanosleep(&(struct timespec){.tv_nsec = (long)NSEC_PER_MSEC}, NULL);
}

static void await_word(struct native_node *n, unsigned word, uint64_t at_least)
{
	uint64_t end = clock_now_ns() + PATIENCE;

	while (n->shared->word[word] < at_least) {
		NATIVE_CHECK(n, clock_now_ns() < end, "word %u", word);
		pause_briefly();
	}
}

static void *toucher(void *arg)
{
	struct native_thread *t = arg;
	uint64_t *page = native_at(t->node, VICTIM, t->index * REGION_BYTES);

	__atomic_store_n(page, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* One fault that waits in the pager. */
static void await_waiter(struct native_node *n)
{
	uint64_t end = clock_now_ns() + PATIENCE;
	struct pager_stats s;

	do {
		NATIVE_CHECK(n, clock_now_ns() < end, "the fault was not read");
		pause_briefly();
		pager_stats(n->pager, &s);
	} while (s.dsm.faults_remote == 0);
	n->shared->word[WAITERS]++;
}

static void await_fatal(struct native_node *n)
{
	uint64_t end = clock_now_ns() + PATIENCE;

	while (!n->fatal_at) {
		NATIVE_CHECK(n, clock_now_ns() < end, "fatal was not called");
		pause_briefly();
	}
	NATIVE_CHECK(n, n->culprit == VICTIM, "node %d: %s", n->culprit, n->fatal_text);
	NATIVE_CHECK(n, strstr(n->fatal_text, "node 2"), "%s", n->fatal_text);
	NATIVE_CHECK(n, n->fatal_at - n->shared->word[KILLED_AT] < PROMPT, "late");
}

void loss_body(struct native_node *n)
{
	struct native_thread t = {.node = n, .index = n->self};

	if (n->self == VICTIM) {
		raise(SIGSTOP);
		native_die(n, "came back");
	}
	/* It is stopped once it does not answer: only then is a fault sure to wait. */
	nanosleep(&(struct timespec){.tv_nsec = (long)(50 * NSEC_PER_MSEC)}, NULL);
	native_thread_start(&t, toucher);
	await_waiter(n);
	await_word(n, WAITERS, VICTIM);
	if (n->self == 0) {
		n->shared->word[KILLED_AT] = clock_now_ns();
		kill(n->shared->pid[VICTIM], SIGKILL);
	}
	await_word(n, KILLED_AT, 1);
	await_fatal(n);
	NATIVE_CHECK(n, pthread_tryjoin_np(t.id, NULL) == EBUSY, "the page cannot have come");
	n->shared->word[TOLD]++;
	await_word(n, TOLD, VICTIM);
	pager_stop(n->pager);
	NATIVE_CHECK(n, pthread_join(t.id, NULL) == 0, "join");
}

/* Writes to the other node's pages, which it writes, too, until that does not go on. */
static void *writer(void *arg)
{
	struct native_thread *t = arg;
	struct native_node *n = t->node;

	for (uint64_t i = 0; !n->fatal_calls; i++) {
		uint64_t *word = native_at(n, i % 2, i % 64 * PAGE_BYTES);

		__atomic_add_fetch(word, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

void cut_body(struct native_node *n)
{
	struct native_thread t = {.node = n};
	uint64_t end = clock_now_ns() + PATIENCE;

	native_thread_start(&t, writer);
	while (!n->fatal_at) {
		NATIVE_CHECK(n, clock_now_ns() < end, "fatal was not called");
		pause_briefly();
	}
	NATIVE_CHECK(n, n->culprit == !n->self, "node %d: %s", n->culprit, n->fatal_text);
	pager_stop(n->pager);
	NATIVE_CHECK(n, pthread_join(t.id, NULL) == 0, "join");
}
