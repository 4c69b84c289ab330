/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/guest_clock.h"

static uint64_t adjust_khz(uint32_t khz, int64_t ppm)
{
	return (uint64_t)((int64_t)khz * (1000000 + ppm)) / 1000000;
}

uint64_t guest_clock_ratio(uint32_t guest_khz, uint32_t host_khz, uint32_t tolerance_ppm,
			   unsigned frac_bits)
{
	if (guest_khz >= adjust_khz(host_khz, -(int64_t)tolerance_ppm) &&
	    guest_khz <= adjust_khz(host_khz, tolerance_ppm))
		return 0;
	return (uint64_t)(((unsigned __int128)guest_khz << frac_bits) / host_khz);
}

struct reading {
	uint32_t version;
	uint64_t running, stands;
};

/* All of one version, made at one moment at which that version was the valid one. */
static struct reading take_reading(const struct guest_clock *c)
{
	for (;;) {
		uint32_t version = atomic_load(&c->version);
		uint64_t floor = atomic_load(&c->floor), stands = atomic_load(&c->stands);
		uint64_t at = guest_clock_at(c, guest_clock_host_tsc());

		if (!(version & 1) && atomic_load(&c->version) == version)
			return (struct reading){version, MAX(at, floor), stands};
		_mm_pause();
	}
}

uint64_t guest_clock_running(const struct guest_clock *c)
{
	return take_reading(c).running;
}

uint64_t guest_clock_tsc(const struct guest_clock *c)
{
	struct reading now = take_reading(c);

	return now.stands ? now.stands : now.running;
}

/*
 * From here to end_change() nobody makes a reading. Those that were made are not above the one that
 * is returned: the odd version is visible before the TSC is read.
 */
static uint64_t begin_change(struct guest_clock *c)
{
	atomic_fetch_add(&c->version, 1);
	return MAX(guest_clock_at(c, guest_clock_host_tsc()), atomic_load(&c->floor));
}

static void end_change(struct guest_clock *c)
{
	atomic_fetch_add(&c->version, 1);
}

void guest_clock_set(struct guest_clock *c, int64_t offset)
{
	begin_change(c);
	atomic_store(&c->offset, offset);
	atomic_store(&c->floor, 0);
	end_change(c);
}

void guest_clock_move(struct guest_clock *c, int64_t ticks)
{
	uint64_t now = begin_change(c);

	if (ticks < 0)
		atomic_store(&c->floor, now);
	atomic_fetch_add(&c->offset, ticks);
	end_change(c);
}

void guest_clock_stop(struct guest_clock *c)
{
	uint64_t now = begin_change(c);

	if (!atomic_load(&c->stands)) {
		atomic_store(&c->reached, 0);
		atomic_store(&c->stands, MAX(now, 1u));
	}
	end_change(c);
}

uint64_t guest_clock_stood(const struct guest_clock *c)
{
	struct reading now = take_reading(c);

	return now.stands ? now.running - now.stands : 0;
}

void guest_clock_go(struct guest_clock *c, uint64_t ticks)
{
	begin_change(c);
	uint64_t stands = atomic_load(&c->stands);
	if (stands) {
		atomic_store(&c->floor, MAX(stands, atomic_load(&c->reached)));
		atomic_store(&c->resumed, stands + c->tsc_khz * GUEST_CLOCK_PAUSES_MS);
		atomic_store(&c->stands, 0);
		atomic_fetch_sub(&c->offset, (int64_t)ticks);
	}
	end_change(c);
}

/* What has been reached while the clock stands must hold when it goes on. */
static bool note_reached(struct guest_clock *c, const struct reading *now, uint64_t stamp)
{
	uint64_t had = atomic_load(&c->reached);

	if (!now->stands || stamp <= now->stands)
		return true;
	while (had < stamp && !atomic_compare_exchange_weak(&c->reached, &had, stamp))
		;
	return atomic_load(&c->version) == now->version;
}

void guest_clock_end(struct guest_clock *c)
{
	atomic_store(&c->ended, true);
}

/* Is a stamp sound that is @wait ticks ahead of the clock, which does not stand? */
static bool may_be_ahead(struct guest_clock *c, unsigned peer, uint64_t stamp, uint64_t wait)
{
	uint64_t host = guest_clock_scale(c->ratio, c->frac_bits, __rdtsc());

	if (stamp < atomic_load(&c->resumed))
		return true;
	return wait < c->tsc_khz * GUEST_CLOCK_AHEAD_MS &&
	       (c->free || patience_take(&c->patience[peer], host, wait, c->tsc_khz));
}

int guest_clock_reach(struct guest_clock *c, unsigned peer, uint64_t stamp)
{
	struct reading now = take_reading(c);
	uint64_t start = now.running;

	if (stamp > start && !may_be_ahead(c, peer, stamp, stamp - start))
		return -EPROTO;
	if (now.stands && stamp > now.stands &&
	    stamp - now.stands >= c->tsc_khz * GUEST_CLOCK_PAUSES_MS)
		return -EPROTO;
	while (now.running < stamp || !note_reached(c, &now, stamp)) {
		if (atomic_load(&c->ended))
			return -ECANCELED;
		_mm_pause();
		now = take_reading(c);
	}
	if (stamp > start) {
		atomic_fetch_add_explicit(&c->waits, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&c->waited, stamp - start, memory_order_relaxed);
	}
	return 0;
}
