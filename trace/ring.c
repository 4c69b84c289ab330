/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/ring.h"

#include <sys/mman.h>

int trace_ring_init(struct trace_ring *ring, uint64_t size, uint64_t (*clock)(void *ctx), void *ctx)
{
	struct trace_record *record = mmap(NULL, size * sizeof(*record), PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (record == MAP_FAILED)
		return -ENOMEM;
	*ring = (struct trace_ring){
		.record = record, .size = size, .limit = size, .clock = clock, .ctx = ctx};
	return 0;
}

void trace_ring_free(struct trace_ring *ring)
{
	if (ring->record)
		munmap(ring->record, ring->size * sizeof(*ring->record));
	ring->record = NULL;
}

/* Is there room for @count more? */
static bool has_room(struct trace_ring *ring, uint64_t count)
{
	if (ring->head + count <= ring->limit)
		return true;
	ring->limit = atomic_load_explicit(&ring->taken, memory_order_acquire) + ring->size;
	return ring->head + count <= ring->limit;
}

static void put(struct trace_ring *ring, const struct trace_record *r, uint64_t time)
{
	struct trace_record *to = &ring->record[ring->head++ & (ring->size - 1)];

	*to = *r;
	to->time = time;
}

void trace_ring_put(struct trace_ring *ring, const struct trace_record *r)
{
	uint64_t time = ring->clock(ring->ctx);

	if (!has_room(ring, ring->lost ? 2 : 1)) {
		ring->lost++;
		return;
	}
	if (ring->lost) {
		put(ring, &(struct trace_record){.kind = TRACE_GAP, .value = ring->lost}, time);
		ring->lost = 0;
	}
	put(ring, r, time);
	atomic_store_explicit(&ring->put, ring->head, memory_order_release);
}

uint64_t trace_ring_look(const struct trace_ring *ring, const struct trace_record **ret)
{
	uint64_t from = atomic_load_explicit(&ring->taken, memory_order_relaxed);
	uint64_t to = atomic_load_explicit(&ring->put, memory_order_acquire);
	uint64_t at = from & (ring->size - 1);

	*ret = &ring->record[at];
	return MIN(to - from, ring->size - at);
}

void trace_ring_took(struct trace_ring *ring, uint64_t count)
{
	atomic_fetch_add_explicit(&ring->taken, count, memory_order_release);
}
