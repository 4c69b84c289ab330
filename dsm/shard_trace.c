/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shard does, told to the trace (trace/record.h).
 *
 * All of it is seen at the edge of the core: messages before they go into it, actions as they come
 * out, faults and guesses on their way in. So the core is the same with a trace and without, and
 * so is what explorer and simulator prove of it. Actions are recorded when the core emits them,
 * though some are done a little later (dsm/batch.h): nobody can tell the difference, and a message
 * never leaves before what was emitted before it was done.
 *
 * Of a turn the core is asked (dsm_proto_turn()) whenever it may have changed. A turn that is over
 * because no CPU is awake goes on when one wakes in time: then it begins once more.
 */
#include "dsm/shard_impl.h"

#include "base/clock.h"

static_assert(TRACE_TURN_IDLE == TURN_IDLE - 1 && TRACE_TURN_RAN == TURN_RAN - 1 &&
		      TRACE_TURN_YIELDED == TURN_YIELDED - 1 &&
		      TRACE_TURN_RAN_OUT == TURN_RAN_OUT - 1 &&
		      TRACE_TURN_NEVER_RAN == TURN_NEVER_RAN - 1,
	      "the same reasons in the same order");

static void put(struct shard *s, struct trace_record r)
{
	trace_ring_put(s->trace.ring, &r);
}

void shard_trace_turn(struct shard *s)
{
	struct turn_info now = dsm_proto_turn(s->proto, s->now);
	uint8_t ticket = now.state == TURN_GOES_ON ? now.ticket : 0;

	if (ticket == s->trace.turn)
		return;
	if (s->trace.turn && s->trace.turn == now.ticket)
		put(s, (struct trace_record){.kind = TRACE_TURN_END,
					     .what = (uint8_t)(now.state - 1),
					     .ticket = now.ticket,
					     .value = now.ended - now.began});
	s->trace.turn = ticket;
	if (ticket)
		put(s, (struct trace_record){.kind = TRACE_TURN_BEGIN, .ticket = ticket});
}

void shard_trace_fault(struct shard *s, const struct shard_fault *fault)
{
	put(s, (struct trace_record){.kind = TRACE_FAULT,
				     .addr = ALIGN_DOWN(fault->gpa, PAGE_BYTES),
				     .flags = fault->write ? TRACE_WRITE : 0,
				     .value = fault->tid});
}

static void put_message(struct shard *s, enum trace_kind kind, unsigned peer,
			const struct wire_hdr *h)
{
	put(s, (struct trace_record){.kind = (uint8_t)kind,
				     .addr = h->addr,
				     .what = h->type,
				     .flags = h->flags,
				     .peer = (uint8_t)peer,
				     .node = h->node,
				     .acks = h->acks,
				     .ticket = h->ticket,
				     .ticket_node = h->ticket_node});
}

void shard_trace_received(struct shard *s, const struct wire_hdr *h)
{
	put_message(s, TRACE_RECEIVED, h->from, h);
}

/* How long the first thread has waited that goes on now. */
static uint64_t waited(const struct dsm_action *a)
{
	return a->since ? clock_now_ns() - a->since : 0;
}

void shard_trace_action(struct shard *s, const struct dsm_action *a)
{
	static const uint8_t kinds[] = {
		[DSM_MAP] = TRACE_MAP,	       [DSM_UNPROTECT] = TRACE_UNPROTECT,
		[DSM_PROTECT] = TRACE_PROTECT, [DSM_DROP] = TRACE_DROP,
		[DSM_WAKE] = TRACE_WAKE,       [DSM_UNTRACK] = TRACE_UNTRACK,
		[DSM_CAME] = TRACE_CAME,       [DSM_LEFT] = TRACE_LEFT,
	};
	struct trace_record r = {.addr = a->gpa};

	if (a->type == DSM_SEND || a->type == DSM_GIVE) {
		put_message(s, TRACE_SENT, a->send.to, &a->send.hdr);
		return;
	}
	if (a->type == DSM_TRACK) /* what it finds is told afterwards */
		return;
	r.kind = kinds[a->type];
	if (a->type == DSM_MAP)
		r.flags = (uint8_t)((a->map.writable ? TRACE_WRITE : 0) |
				    (a->map.data ? 0 : TRACE_ZERO));
	if (a->type == DSM_MAP || a->type == DSM_UNPROTECT)
		r.value = waited(a);
	put(s, r);
}

void shard_trace_tracked(struct shard *s, uint64_t gpa, const uint64_t *populated)
{
	for (unsigned i = 0; i < REGION_PAGES / 64; i++)
		put(s, (struct trace_record){.kind = TRACE_TRACK,
					     .addr = gpa + i * 64 * PAGE_BYTES,
					     .value = populated[i]});
}

void shard_trace_guess(struct shard *s, const struct prefetch_page *page, enum trace_guess why)
{
	put(s, (struct trace_record){.kind = TRACE_GUESS,
				     .addr = page->gpa,
				     .what = (uint8_t)why,
				     .flags = page->write ? TRACE_WRITE : 0});
}

void shard_trace_judged(struct shard *s, uint64_t gpa)
{
	const struct stream_stats now = s->prefetch.stats.streams, then = s->trace.judged;
	uint64_t right = now.right - then.right, wrong = now.wrong - then.wrong;

	s->trace.judged = now;
	if (right | wrong)
		put(s, (struct trace_record){.kind = TRACE_JUDGED,
					     .addr = ALIGN_DOWN(gpa, PAGE_BYTES),
					     .value = right | wrong << 32});
}
