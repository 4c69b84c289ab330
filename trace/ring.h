/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records on their way from the one thread that makes them to the one that writes them out.
 *
 * The maker takes no lock, makes no system call, allocates nothing and never waits: a record that
 * finds no room is counted, and the next that does comes behind a TRACE_GAP that tells how many.
 * The memory was touched before, so that it does not fault either.
 */
#ifndef SSIHV_TRACE_RING_H
#define SSIHV_TRACE_RING_H

#include <stdatomic.h>

#include "trace/record.h"

struct trace_ring {
	/* The maker's. */
	_Alignas(64) struct trace_record *record;
	uint64_t size;	/* records; a power of two */
	uint64_t head;	/* records put so far */
	uint64_t limit; /* `head` may be below that, as far as the maker knows */
	uint64_t lost;	/* since the last that found room */
	uint64_t (*clock)(void *ctx);
	void *ctx;
	/* Shared. */
	_Alignas(64) _Atomic uint64_t put;
	_Alignas(64) _Atomic uint64_t taken;
};

/** trace_ring_init() - @size records, a power of two. Return: 0; -ENOMEM. */
int trace_ring_init(struct trace_ring *ring, uint64_t size, uint64_t (*clock)(void *ctx),
		    void *ctx);
void trace_ring_free(struct trace_ring *ring);

/** trace_ring_put() - add @r at the time that is now; its `time` is filled in. The maker. */
void trace_ring_put(struct trace_ring *ring, const struct trace_record *r);

/**
 * trace_ring_look() - the records that lie behind each other, from the oldest on
 *
 * They stay until trace_ring_took(). The other thread. Return: how many, 0 when there are none.
 */
uint64_t trace_ring_look(const struct trace_ring *ring, const struct trace_record **ret);
void trace_ring_took(struct trace_ring *ring, uint64_t count);

#endif
