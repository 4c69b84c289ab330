/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all nodes do together while the guest runs, step by step: pause and resume.
 *
 * THEORY. Node 0 drives. It tells all nodes a phase (WIRE_PHASE), itself included; each carries it
 * out and says so (WIRE_PHASE_DONE); when all have, comes the next. So no node begins a phase
 * before the last one has ended the one before it.
 *
 *   pause:  PAUSE   every vCPU parks, which may take one node much longer than another
 *           STAND   the clocks stand; they differ by what the message takes
 *   resume: TIME    the clocks go on, after a pause of the same length on all nodes
 *           RESUME  the vCPUs run
 *
 * A phase is carried out by steps of the main thread, which never waits: a vCPU parks only when it
 * has the page or the answer that it waits for, and that may need this node's main thread.
 *
 * While the guest stands still its nodes talk as ever: pings go on, a lost node is noticed, a stop
 * or a signal ends the VM in the middle of a phase as at any other time. Interrupts that come wait
 * in the vCPUs' inboxes, pages may travel. A phase that some node does not carry out within a
 * minute ends the VM: it can be neither completed nor undone.
 *
 * Threads: the main thread.
 */
#ifndef SSIHV_VMM_PHASE_H
#define SSIHV_VMM_PHASE_H

#include "vmm/commands.h"
#include "wire/msg.h"

#define PHASE_PATIENCE_S 60

struct node;

/* Commands of node 0, see vmm/commands.h. They take @c. */
void phase_pause(struct node *n, struct command *c);
void phase_resume(struct node *n, struct command *c);

/** phase_told() - a WIRE_PHASE came. Return: 0; -EPROTO for one that cannot come now. */
int phase_told(struct node *n, unsigned peer, const struct wire_hdr *h);

/** phase_done() - a WIRE_PHASE_DONE came. Return: 0; -EPROTO. */
int phase_done(struct node *n, unsigned peer, const struct wire_hdr *h);

/** phase_step() - go on with the phase that is under way, as far as it goes. @now: clock_now_ns().
 */
void phase_step(struct node *n, uint64_t now);

/** phase_end() - the node ends: answer whoever waits. */
void phase_end(struct node *n);

#endif
