/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TSC for the cluster: node 0's guest TSC is the reference, every other node follows it.
 *
 * MEASURING. A ping carries our TSC; the pong brings it back with the reference. The servo
 * (vmm/servo.h) makes a line of them: how far this host's TSC is off and how fast that changes.
 *
 * FOLLOWING. clock_sync_tick() moves the guest's clock along the line by steps below a quarter of
 * the shortest way, each at a moment at which no vCPU of this node is in the guest
 * (cpu/rendezvous.h). When the next is due follows from the slope: equal crystals need none, and at
 * 10 ppm and a round trip of 30 us there are three a second.
 *
 * WHAT IT IS FOR. Accuracy: the clocks agree within less than a message takes. That no vCPU ever
 * sees time go back does not hang on it: see the stamps of wire/msg.h.
 *
 * PAUSES. The reference that is measured counts the pauses of the guest in, so that they disturb
 * neither the line nor a ping that is under way; the guest's clock is the reference less `paused`.
 *
 * Threads: the main thread.
 */
#ifndef SSIHV_VMM_CLOCK_SYNC_H
#define SSIHV_VMM_CLOCK_SYNC_H

#include "cpu/rendezvous.h"
#include "transport/transport.h"
#include "vmm/servo.h"

struct clock_sync {
	struct guest_clock *clock;
	struct rendezvous *rendezvous;
	struct servo servo;
	unsigned samples;
	bool follows;	      /* the guest's clock has started, and is kept right */
	uint64_t paused;      /* ticks of all pauses of the guest */
	uint64_t worst_ticks; /* the largest step */
};

/** clock_sync_init() - @clock: its frequency and scale are known. @host_khz: of this host's TSC. */
void clock_sync_init(struct clock_sync *s, struct guest_clock *clock, struct rendezvous *rendezvous,
		     uint64_t host_khz);

/** clock_sync_start_reference() - node 0: guest TSC 0 is now. */
void clock_sync_start_reference(struct clock_sync *s);

/** clock_sync_ping() - send a ping to node 0 on its control connection. */
int clock_sync_ping(struct conn *to);

/** clock_sync_answer() - node 0: answer the ping @h. */
int clock_sync_answer(const struct clock_sync *s, struct conn *to, const struct wire_hdr *h);

/** clock_sync_sample() - a pong arrived. Return: 0; -EPROTO for an answer to no ping of ours. */
int clock_sync_sample(struct clock_sync *s, const struct wire_hdr *h, const void *payload);

/** clock_sync_settle() - set the clock; nobody has read it yet. @follow: and keep it right. */
int clock_sync_settle(struct clock_sync *s, bool follow);

/** clock_sync_tick() - make the step that is due, if any. */
void clock_sync_tick(struct clock_sync *s);

/** clock_sync_wait_ms() - how long clock_sync_tick() need not be called. */
int clock_sync_wait_ms(const struct clock_sync *s);

/**
 * clock_sync_shift() - the pause of the guest ends: all clocks go on where they stood
 * @ticks: how long it was, by node 0's guest_clock_stood(); the same on all nodes
 *
 * In a phase of its own: after guest_clock_stop() on every node, before any vCPU runs again on any.
 *
 * Return: 0; -EPROTO when this node's pause was shorter by GUEST_CLOCK_PAUSES_MS or more, or when
 * its clock was not stopped.
 */
int clock_sync_shift(struct clock_sync *s, uint64_t ticks);

#endif
