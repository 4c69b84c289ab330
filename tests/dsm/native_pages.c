/* SPDX-License-Identifier: Apache-2.0 */
/* Who has a page, asked of the pager while it works, and when it does not any more. Three nodes. */
#include "tests/dsm/native_tests.h"

#include <sched.h>

#define QUESTIONS 2000

static struct dsm_page_info ask(struct native_node *n, unsigned region)
{
	struct dsm_page_info info;
	int r = pager_page(n->pager, region * REGION_BYTES, &info);

	NATIVE_CHECK(n, r == 0, "region %u: %d", region, r);
	return info;
}

static uint64_t *word(struct native_node *n, unsigned region)
{
	return native_at(n, 0, region * REGION_BYTES);
}

/* Until all nodes have asked enough. */
static void *hammer(void *arg)
{
	struct native_thread *t = arg;
	_Atomic uint64_t *asked = &t->node->shared->word[0];

	while (*asked < t->node->cfg->nodes) {
		__atomic_fetch_add(word(t->node, 2), 1, __ATOMIC_RELAXED);
		sched_yield();
	}
	return NULL;
}

static void ask_while_it_works(struct native_node *n)
{
	struct native_thread t = {.node = n};

	native_thread_start(&t, hammer);
	for (unsigned i = 0; i < QUESTIONS; i++)
		NATIVE_CHECK(n, ask(n, 2).sharers < 1u << n->cfg->nodes, "no such node");
	n->shared->word[0]++;
	pthread_join(t.id, NULL);
}

/* Node 1 writes to the page, then node 2 reads it. */
static void follow_a_page(struct native_node *n)
{
	struct dsm_page_info info;

	if (n->self == 0)
		NATIVE_CHECK(n, !ask(n, 1).tracked && ask(n, 1).owner == 0, "before");
	native_barrier(n);
	if (n->self == 1)
		*word(n, 1) = 1;
	native_barrier(n);
	info = ask(n, 1);
	NATIVE_CHECK(n, info.copy == (n->self == 1 ? DSM_OWNED : DSM_NONE), "%d", info.copy);
	if (n->self == 0)
		NATIVE_CHECK(n, info.tracked && info.owner == 1 && info.sharers == 2, "%d %#llx",
			     info.owner, (unsigned long long)info.sharers);
	native_barrier(n);
	if (n->self == 2)
		NATIVE_CHECK(n, *word(n, 1) == 1, "the value");
	native_barrier(n);
	info = ask(n, 1);
	if (n->self == 0)
		NATIVE_CHECK(n, info.owner == -1 && info.sharers == 6, "%d %#llx", info.owner,
			     (unsigned long long)info.sharers);
}

void pages_body(struct native_node *n)
{
	struct dsm_page_info info;
	uint64_t beyond = mem_end(&n->ram->layout);

	follow_a_page(n);
	NATIVE_CHECK(n, pager_page(n->pager, beyond, &info) == -EFAULT, "no RAM");
	NATIVE_CHECK(n, pager_call(n->pager, n->cfg->shards, NULL, NULL) == -EINVAL, "no shard");
	native_barrier(n);
	ask_while_it_works(n);
	native_barrier(n);
	pager_stop(n->pager);
	NATIVE_CHECK(n, pager_page(n->pager, 0, &info) == -ESHUTDOWN, "it has stopped");
}
