/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of neighbouring pages travels as one: three nodes read and write a memory from its
 * beginning to its end, one after the other, and need few messages for its pages, of all kinds.
 */
#include "tests/dsm/native_tests.h"

#define PAGES (NATIVE_REGIONS * REGION_PAGES)
#define FEW   6 /* pages for a message of a node in a phase, of all kinds together */

/* A page in eight is all zero: also of those that have content. */
static uint64_t word(unsigned phase, uint64_t page)
{
	return page % 64 < 8 ? 0 : (page + 1) << 8 | phase;
}

static void write_all(const struct native_node *n, unsigned phase)
{
	for (uint64_t i = 0; i < PAGES; i++)
		*(volatile uint64_t *)native_at(n, 0, i * PAGE_BYTES + 8 * phase) = word(phase, i);
}

static void read_all(const struct native_node *n, unsigned phase)
{
	for (uint64_t i = 0; i < PAGES; i++) {
		volatile uint64_t *at = native_at(n, 0, i * PAGE_BYTES + 8 * phase);

		NATIVE_CHECK(n, *at == word(phase, i), "page %llu", (unsigned long long)i);
	}
}

struct count {
	const struct native_node *node;
	uint64_t messages;
};

/* In the shard's thread, whose connections they are. */
static void count(const struct dsm_proto *proto, void *arg)
{
	struct count *c = arg;

	for (unsigned i = 0; i < c->node->cfg->nodes; i++)
		if (i != c->node->self)
			c->messages += c->node->mesh.page[i]->sent_messages;
}

static uint64_t sent(const struct native_node *n)
{
	struct count c = {.node = n};

	NATIVE_CHECK(n, pager_call(n->pager, 0, count, &c) == 0, "call");
	return c.messages;
}

void runs_populate(struct native_node *n)
{
	if (n->self == 0)
		write_all(n, 0);
}

void runs_body(struct native_node *n)
{
	/* A page comes; as a copy of a copy; others give theirs up; the owner is asked for it. */
	static const struct {
		unsigned node;
		bool writes;
	} phases[] = {{1, false}, {2, false}, {1, true}, {0, false}, {2, true}, {1, false}};
	unsigned written = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(phases); i++) {
		uint64_t before = sent(n), messages;

		written += phases[i].writes;
		native_barrier(n);
		if (n->self == phases[i].node && phases[i].writes)
			write_all(n, written);
		else if (n->self == phases[i].node)
			read_all(n, written);
		native_barrier(n);
		messages = sent(n) - before;
		NATIVE_CHECK(n, messages * FEW <= PAGES, "%llu messages in phase %u",
			     (unsigned long long)messages, i);
	}
}
