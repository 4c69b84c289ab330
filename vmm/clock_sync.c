/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/clock_sync.h"

void clock_sync_init(struct clock_sync *s, struct guest_clock *clock, struct rendezvous *rendezvous,
		     uint64_t host_khz)
{
	*s = (struct clock_sync){.clock = clock, .rendezvous = rendezvous};
	servo_init(&s->servo, clock->ratio ? clock->tsc_khz : host_khz, clock->tsc_khz);
}

void clock_sync_start_reference(struct clock_sync *s)
{
	guest_clock_set(s->clock, -(int64_t)guest_clock_at(s->clock, __rdtsc()));
}

int clock_sync_ping(struct conn *to)
{
	const struct wire_hdr h = {.type = WIRE_PING,
				   .from = (uint8_t)to->self,
				   .epoch = to->epoch,
				   .addr = __rdtsc()};

	return conn_send(to, &h, NULL);
}

int clock_sync_answer(const struct clock_sync *s, struct conn *to, const struct wire_hdr *h)
{
	const struct wire_pong pong = {.reference = guest_clock_running(s->clock) + s->paused};
	const struct wire_hdr answer = {
		.type = WIRE_PONG,
		.from = (uint8_t)to->self,
		.epoch = to->epoch,
		.len = sizeof(pong),
		.addr = h->addr,
	};

	return conn_send(to, &answer, &pong);
}

/* The own TSC as the servo knows it. */
static uint64_t own(const struct clock_sync *s, uint64_t host)
{
	return guest_clock_scale(s->clock->ratio, s->clock->frac_bits, host);
}

/* The offset as the servo knows it. */
static int64_t applied(const struct clock_sync *s)
{
	return atomic_load(&s->clock->offset) + (int64_t)s->paused;
}

int clock_sync_sample(struct clock_sync *s, const struct wire_hdr *h, const void *payload)
{
	uint64_t now = __rdtsc();
	struct wire_pong pong;

	/* Longer than the silence after which a peer is lost: it cannot be an answer. */
	if (h->addr > now || now - h->addr > (uint64_t)s->servo.hz * 60)
		return -EPROTO;
	memcpy(&pong, payload, sizeof(pong));
	const struct servo_sample sample = {own(s, h->addr), own(s, now), pong.reference};
	servo_take(&s->servo, &sample);
	s->samples++;
	return 0;
}

int clock_sync_settle(struct clock_sync *s, bool follow)
{
	if (!servo_is_ready(&s->servo))
		return -ENODATA;
	guest_clock_set(s->clock, servo_offset(&s->servo, own(s, __rdtsc())) - (int64_t)s->paused);
	s->follows = follow;
	return 0;
}

void clock_sync_tick(struct clock_sync *s)
{
	if (!s->follows || rendezvous_is_pending(s->rendezvous))
		return;
	int64_t step = servo_step(&s->servo, own(s, __rdtsc()), applied(s));
	if (step && rendezvous_step(s->rendezvous, step) == 0)
		s->worst_ticks = MAX(s->worst_ticks, (uint64_t)llabs(step));
}

int clock_sync_wait_ms(const struct clock_sync *s)
{
	if (!s->follows)
		return INT32_MAX;
	double ticks = (double)servo_due(&s->servo, own(s, __rdtsc()), applied(s));

	/* Late by a part of a millisecond is half a microsecond at most; a busy loop is not better.
	 */
	return (int)(ticks * 1000 / s->servo.hz) + 1;
}

int clock_sync_shift(struct clock_sync *s, uint64_t ticks)
{
	uint64_t stood = guest_clock_stood(s->clock);

	if (!stood || (ticks > stood && ticks - stood >= GUEST_CLOCK_PAUSES_MS * s->clock->tsc_khz))
		return -EPROTO;
	s->paused += ticks;
	guest_clock_go(s->clock, ticks);
	return 0;
}
