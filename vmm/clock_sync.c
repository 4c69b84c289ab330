/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/clock_sync.h"

#define BACK_STEP_NS 500

void clock_sync_init(struct clock_sync *s, struct guest_clock *clock)
{
	*s = (struct clock_sync){
		.clock = clock, .best_rtt = UINT64_MAX, .shortest_rtt = UINT64_MAX};
}

void clock_sync_start_reference(struct clock_sync *s)
{
	guest_clock_set(s->clock, -(int64_t)guest_clock_at(s->clock, __rdtsc()));
}

int clock_sync_ping(struct conn *to)
{
	const struct wire_hdr h = {
		.type = WIRE_PING, .from = to->self, .epoch = to->epoch, .addr = __rdtsc()};

	return conn_send(to, &h, NULL);
}

int clock_sync_answer(const struct clock_sync *s, struct conn *to, const struct wire_hdr *h)
{
	const struct wire_pong pong = {.reference = guest_clock_running(s->clock) + s->paused};
	const struct wire_hdr answer = {
		.type = WIRE_PONG,
		.from = to->self,
		.epoch = to->epoch,
		.len = sizeof(pong),
		.addr = h->addr,
	};

	return conn_send(to, &answer, &pong);
}

static void correct(struct clock_sync *s)
{
	int64_t error = s->best_offset - (int64_t)s->paused - atomic_load(&s->clock->offset);
	int64_t uncertain = (int64_t)(s->shortest_rtt / 2);
	int64_t back = -(int64_t)(BACK_STEP_NS * s->clock->tsc_khz / 1000000);

	/* Within what can be measured the clock is right: leave it alone. */
	if (error >= -uncertain && error <= uncertain)
		return;
	guest_clock_move(s->clock, MAX(error, back));
	s->corrections++;
}

static void take(struct clock_sync *s, const struct wire_hdr *h, const void *payload)
{
	uint64_t now = __rdtsc(), rtt = now - h->addr;
	struct wire_pong pong;

	memcpy(&pong, payload, sizeof(pong));
	s->samples++;
	if (rtt >= s->best_rtt)
		return;
	s->best_rtt = rtt;
	s->best_offset = (int64_t)(pong.reference + rtt / 2 - now);
	s->shortest_rtt = MIN(s->shortest_rtt, rtt);
}

void clock_sync_sample(struct clock_sync *s, const struct wire_hdr *h, const void *payload)
{
	take(s, h, payload);
	if (!s->settled || s->samples < CLOCK_SYNC_WINDOW)
		return;
	correct(s);
	s->samples = 0;
	s->best_rtt = UINT64_MAX;
}

int clock_sync_settle(struct clock_sync *s)
{
	if (s->best_rtt == UINT64_MAX)
		return -ENODATA;
	guest_clock_set(s->clock, s->best_offset);
	s->settled = true;
	s->samples = 0;
	s->best_rtt = UINT64_MAX;
	return 0;
}

int clock_sync_shift(struct clock_sync *s, uint64_t ticks)
{
	uint64_t stood = guest_clock_stood(s->clock);

	if (!stood || (ticks > stood && ticks - stood >= GUEST_CLOCK_AHEAD_MS * s->clock->tsc_khz))
		return -EPROTO;
	s->paused += ticks;
	guest_clock_go(s->clock, ticks);
	return 0;
}
