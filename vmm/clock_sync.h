/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TSC for the cluster: node 0's guest TSC is the reference, every other node finds the offset
 * of its own TSC to it and keeps it right.
 *
 * MEASURING. A ping carries our TSC; the pong brings it back with the reference's guest TSC. The
 * answer was made between t0 and t1 of our clock, most likely in the middle; the error is at most
 * half the round trip. Of a window of samples the one with the shortest round trip counts.
 *
 * WHY THAT IS ENOUGH. A vCPU learns another one's time through memory, that is, through a page that
 * travels from host to host. That takes at least one way; the clock's error is at most half of the
 * shortest round trip. So nobody sees time go back.
 *
 * DRIFT. TSCs of different hosts differ by some ppm. A correction forward is applied at once. One
 * backward is cut into steps of at most BACK_STEP_NS: a vCPU takes the new offset only on its way
 * into the guest, and an exit with an entry takes longer than such a step, so no vCPU sees its own
 * TSC go back.
 *
 * Threads: the main thread.
 */
#ifndef SSIHV_VMM_CLOCK_SYNC_H
#define SSIHV_VMM_CLOCK_SYNC_H

#include "cpu/guest_clock.h"
#include "transport/transport.h"

#define CLOCK_SYNC_FIRST    64 /* pings before the guest starts */
#define CLOCK_SYNC_WINDOW   16
#define CLOCK_SYNC_EVERY_MS 250

struct clock_sync {
	struct guest_clock *clock;
	unsigned samples; /* in the window */
	bool settled;
	uint64_t best_rtt;
	int64_t best_offset;
	uint64_t shortest_rtt; /* ever, ticks */
	uint64_t corrections;
	uint64_t paused; /* ticks of all pauses of the guest */
};

void clock_sync_init(struct clock_sync *s, struct guest_clock *clock);

/** clock_sync_start_reference() - node 0: guest TSC 0 is now. */
void clock_sync_start_reference(struct clock_sync *s);

/** clock_sync_ping() - send a ping to node 0 on its control connection. */
int clock_sync_ping(struct conn *to);

/** clock_sync_answer() - node 0: answer the ping @h. */
int clock_sync_answer(const struct clock_sync *s, struct conn *to, const struct wire_hdr *h);

/**
 * clock_sync_sample() - a pong arrived
 *
 * Before clock_sync_settle() samples are only collected; afterwards each window ends in a
 * correction.
 */
void clock_sync_sample(struct clock_sync *s, const struct wire_hdr *h, const void *payload);

/**
 * clock_sync_shift() - the pause of the guest ends: all clocks go on where they stood
 * @ticks: how long it was, by node 0's guest_clock_stood(); the same on all nodes
 *
 * In a phase of its own: after guest_clock_stop() on every node, before any vCPU runs again on any.
 * Pings may be on their way meanwhile: the reference clock that nodes compare does not stop.
 *
 * Return: 0; -EPROTO when this node's pause was shorter by GUEST_CLOCK_AHEAD_MS or more, or when
 * its clock was not stopped.
 */
int clock_sync_shift(struct clock_sync *s, uint64_t ticks);

/** clock_sync_settle() - end of the first pings: take the best sample as it is. */
int clock_sync_settle(struct clock_sync *s);

#endif
