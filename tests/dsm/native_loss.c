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

#define VICTIM 2

enum { WAITERS, KILLED, TOLD }; /* words */

/* All waits here are for what must happen; the cluster's deadline is for what does not. */
static void pause_briefly(void)
{
	nanosleep(&(struct timespec){.tv_nsec = (long)NSEC_PER_MSEC}, NULL);
}

static void await_word(struct native_node *n, unsigned word, uint64_t at_least)
{
	while (n->shared->word[word] < at_least)
		pause_briefly();
}

/* A node that is stopped answers nothing: only then is a fault sure to wait. */
static bool is_stopped(struct native_node *n)
{
	char path[64], line[512] = "", *name_end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", n->shared->pid[VICTIM]);
	f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f) || !(name_end = strrchr(line, ')')))
		native_die(n, "%s cannot be read", path);
	fclose(f);
	return name_end[1] == ' ' && name_end[2] == 'T';
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
	struct pager_stats s;

	do {
		pause_briefly();
		pager_stats(n->pager, &s);
	} while (s.dsm.faults_remote == 0);
	n->shared->word[WAITERS]++;
}

static void await_fatal(struct native_node *n)
{
	while (!n->told)
		pause_briefly();
	NATIVE_CHECK(n, n->culprit == VICTIM, "node %d: %s", n->culprit, n->fatal_text);
	NATIVE_CHECK(n, strstr(n->fatal_text, "node 2"), "%s", n->fatal_text);
}

void loss_body(struct native_node *n)
{
	struct native_thread t = {.node = n, .index = n->self};

	if (n->self == VICTIM) {
		raise(SIGSTOP);
		native_die(n, "came back");
	}
	while (!is_stopped(n))
		pause_briefly();
	native_thread_start(&t, toucher);
	await_waiter(n);
	await_word(n, WAITERS, VICTIM);
	if (n->self == 0) {
		n->shared->word[KILLED] = 1;
		kill(n->shared->pid[VICTIM], SIGKILL);
	}
	await_word(n, KILLED, 1);
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

	native_thread_start(&t, writer);
	while (!n->told)
		pause_briefly();
	NATIVE_CHECK(n, n->culprit == !n->self, "node %d: %s", n->culprit, n->fatal_text);
	pager_stop(n->pager);
	NATIVE_CHECK(n, pthread_join(t.id, NULL) == 0, "join");
}
