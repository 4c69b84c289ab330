/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/phase.h"

#include "vmm/component.h"
#include "vmm/machine.h"

/* Node 0: all nodes carry out @phase. @ticks: of the pause, for TIME. */
static void begin(struct node *n, enum wire_phase phase, uint64_t ticks)
{
	n->phase.now = phase;
	n->phase.own = false;
	n->phase.missing = node_peers(n);
	n->phase.end = 0;
	for (unsigned i = 1; i < n->nodes; i++)
		control_send(n, i,
			     (struct wire_hdr){
				     .type = WIRE_PHASE, .flags = (uint8_t)phase, .addr = ticks},
			     NULL, 0);
	if (phase == WIRE_PHASE_TIME)
		clock_sync_shift(&n->sync, ticks);
}

void phase_pause(struct node *n, struct command *c)
{
	if (n->self != 0)
		command_failed(c, "only the first node can pause the guest");
	else if (!n->run_ns || node_stopping(n))
		command_failed(c, "the guest does not run");
	else if (n->phase.now)
		command_failed(c, "the guest is being paused or resumed");
	else if (n->phase.last == WIRE_PHASE_STAND)
		command_failed(c, "the guest is paused");
	else {
		n->phase.asked = c;
		begin(n, WIRE_PHASE_PAUSE, 0);
	}
}

void phase_resume(struct node *n, struct command *c)
{
	if (n->self != 0)
		command_failed(c, "only the first node can resume the guest");
	else if (n->phase.now)
		command_failed(c, "the guest is being paused or resumed");
	else if (n->phase.last != WIRE_PHASE_STAND || node_stopping(n))
		command_failed(c, "the guest is not paused");
	else {
		n->phase.asked = c;
		begin(n, WIRE_PHASE_TIME, guest_clock_stood(&n->clock));
	}
}

/* May @phase follow what was last? */
static bool is_next(const struct node *n, enum wire_phase phase)
{
	switch (phase) {
	case WIRE_PHASE_PAUSE:
		return !n->phase.last || n->phase.last == WIRE_PHASE_RESUME;
	case WIRE_PHASE_STAND:
		return n->phase.last == WIRE_PHASE_PAUSE;
	case WIRE_PHASE_TIME:
		return n->phase.last == WIRE_PHASE_STAND;
	case WIRE_PHASE_RESUME:
		return n->phase.last == WIRE_PHASE_TIME;
	}
	return false;
}

int phase_told(struct node *n, unsigned peer, const struct wire_hdr *h)
{
	enum wire_phase phase = h->flags;

	if (peer != 0 || !n->run_ns || n->phase.now || !is_next(n, phase) ||
	    (h->addr && phase != WIRE_PHASE_TIME))
		return -EPROTO;
	if (phase == WIRE_PHASE_TIME && clock_sync_shift(&n->sync, h->addr) < 0)
		return -EPROTO;
	n->phase.now = phase;
	n->phase.own = false;
	return 0;
}

int phase_done(struct node *n, unsigned peer, const struct wire_hdr *h)
{
	uint64_t bit = UINT64_C(1) << peer;

	if (n->self != 0 || !n->phase.now || n->phase.now != h->flags || !(n->phase.missing & bit))
		return -EPROTO;
	n->phase.missing &= ~bit;
	return 0;
}

/* Return: has this node carried it out? */
static bool carry_out(struct node *n)
{
	switch (n->phase.now) {
	case WIRE_PHASE_PAUSE:
		return components_pause(n) == 0;
	case WIRE_PHASE_STAND:
		guest_clock_stop(&n->clock);
		guest_survey(n);
		return true;
	case WIRE_PHASE_TIME: /* when it began */
		return true;
	case WIRE_PHASE_RESUME:
		components_resume(n);
		return true;
	}
	return false;
}

/* Node 0: all nodes have. */
static void go_on(struct node *n)
{
	enum wire_phase ended = n->phase.now;

	n->phase.now = 0;
	if (ended == WIRE_PHASE_PAUSE || ended == WIRE_PHASE_TIME) {
		begin(n, ended == WIRE_PHASE_PAUSE ? WIRE_PHASE_STAND : WIRE_PHASE_RESUME, 0);
		return;
	}
	if (ended == WIRE_PHASE_STAND)
		n->phase.count++;
	command_done(TAKE_PTR(n->phase.asked),
		     json_pack("{s:I}", "pauses", (json_int_t)n->phase.count));
}

/* Return: has it gone on, so that there may be more to do? */
static bool step(struct node *n)
{
	struct phases *p = &n->phase;

	if (!p->now)
		return false;
	if (!p->own) {
		if (!carry_out(n))
			return false;
		p->own = true;
		p->last = p->now;
	}
	if (n->self != 0) {
		/* Nothing of it may be left when the others learn that it ended. */
		p->now = 0;
		control_send(n, 0,
			     (struct wire_hdr){.type = WIRE_PHASE_DONE, .flags = (uint8_t)p->last},
			     NULL, 0);
		return false;
	}
	if (p->missing)
		return false;
	go_on(n);
	return true;
}

/* Node 0: what is under way for too long never ends. */
static void check_patience(struct node *n, uint64_t now)
{
	struct phases *p = &n->phase;

	if (n->self != 0 || !p->now)
		return;
	if (!p->end)
		p->end = now + PHASE_PATIENCE_S * NSEC_PER_SEC;
	if (now <= p->end)
		return;
	unsigned who = p->own ? (unsigned)__builtin_ctzll(p->missing) : 0;
	node_stop(n, WIRE_STOP_FAILED, -1, "node %s did not %s the guest within %d s",
		  n->cfg->nodes[who].name,
		  p->now == WIRE_PHASE_PAUSE || p->now == WIRE_PHASE_STAND ? "pause" : "resume",
		  PHASE_PATIENCE_S);
}

void phase_step(struct node *n, uint64_t now)
{
	while (!node_stopping(n) && step(n))
		;
	if (!node_stopping(n))
		check_patience(n, now);
}

void phase_end(struct node *n)
{
	if (n->phase.asked)
		command_failed(TAKE_PTR(n->phase.asked), "the node has ended");
}
