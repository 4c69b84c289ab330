/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a vCPU is: a node and a generation, in one atomic word.
 *
 * THEORY. Every move of a vCPU has a number, its generation; it starts at 0. Each node keeps the
 * newest place of every vCPU that it has heard of. A message for a vCPU goes to the node that the
 * sender believes in, with the generation of that belief. Who receives it and has the vCPU takes
 * it; who had it passes it on with a belief of its own. That one is newer: a node that is not the
 * place any more knows a later move. So the generation of a message grows at each hop, it
 * never goes in a circle, and it arrives after at most as many hops as there were moves. A message
 * whose generation would not grow was sent by somebody who breaks the rules.
 *
 * This needs one order: what says that a vCPU is at a node reaches nobody before that node
 * knows it itself. The vCPU's state goes first, on the connection that everything for it takes
 * afterwards; other nodes are told by the node that has it.
 *
 * Pure but for the atomic word. Threads: any.
 */
#ifndef SSIHV_IRQ_PLACE_H
#define SSIHV_IRQ_PLACE_H

#include <stdatomic.h>

#include "base/base.h"

#define PLACE_GENERATION_MAX UINT32_MAX

struct place {
	_Atomic uint64_t word; /* generation, then node: newer is larger */
};

struct where {
	uint32_t node, generation;
};

static inline uint64_t place_word(struct where w)
{
	return (uint64_t)w.generation << 32 | w.node;
}

static inline struct where place_get(const struct place *p)
{
	uint64_t word = atomic_load_explicit(&p->word, memory_order_acquire);

	return (struct where){.node = (uint32_t)word, .generation = (uint32_t)(word >> 32)};
}

/** place_start() - before any other thread knows @p. */
static inline void place_start(struct place *p, unsigned node)
{
	atomic_store(&p->word, node);
}

/**
 * place_learn() - the vCPU is, or was, at @w
 *
 * Return: 1 when that is news, 0 when @p knew it or a newer one; -EPROTO: another node had this
 * generation.
 */
static inline int place_learn(struct place *p, struct where w)
{
	uint64_t had = atomic_load(&p->word), word = place_word(w);

	do {
		if (had >> 32 == w.generation && had != word)
			return -EPROTO;
		if (had >= word)
			return 0;
	} while (!atomic_compare_exchange_weak(&p->word, &had, word));
	return 1;
}

/**
 * place_may_pass_on() - here is node @self, which believes in @here; a peer that believed in
 * generation @theirs sent a message. May it, whoever has the vCPU now?
 */
static inline bool place_may_pass_on(struct where here, unsigned self, uint32_t theirs)
{
	return here.generation > theirs || (here.generation == theirs && here.node == self);
}

#endif
