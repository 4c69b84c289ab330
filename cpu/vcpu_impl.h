/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a vCPU do for each other: nobody else includes this but tests that stand in for
 * a vCPU's thread. All of it is that thread's.
 */
#ifndef SSIHV_CPU_VCPU_IMPL_H
#define SSIHV_CPU_VCPU_IMPL_H

#include "cpu/vcpu.h"

/* ---- cpu/vcpu.c, vcpu_exit.c, vcpu_state.c, vcpu_pause.c ---- */

/**
 * vcpu_park() - stay here while paused
 *
 * Between two entries into the guest, after the inbox was emptied. Return: was it paused?
 */
bool vcpu_park(struct vcpu *v);

/** vcpu_ended() - the thread ends: nobody may wait for it to park. */
void vcpu_ended(struct vcpu *v);

/** vcpu_handle_exit() - act on run->exit_reason. Return: 0 to go on, negative to end the thread. */
int vcpu_handle_exit(struct vcpu *v);

/** vcpu_collect() - act on what is in the inbox of a vCPU that is here. Return: 0; -errno. */
int vcpu_collect(struct vcpu *v);

/** vcpu_take_vectors() - take 64 vectors of the inbox; @level: those that are level-triggered. */
uint64_t vcpu_take_vectors(struct vcpu *v, unsigned word, uint64_t *level);

/** vcpu_apply() - do what an access to the APIC asks for. */
void vcpu_apply(struct vcpu *v, const struct lapic_effects *fx);

/**
 * vcpu_reset_to_sipi() - state after INIT + SIPI: real mode at @vector << 12
 *
 * What an INIT resets, and no more: the FPU, XCR0 and the MSRs stay (SDM vol. 3, table 9-1).
 */
int vcpu_reset_to_sipi(struct vcpu *v, uint8_t vector);

/** vcpu_init_signal() - INIT: reset the APIC, wait for the SIPI. */
void vcpu_init_signal(struct vcpu *v);

/** vcpu_count_exit() - one more. Only the vCPU's thread writes, so no locked instruction is needed.
 */
static inline void vcpu_count_exit(struct vcpu *v, enum vcpu_exit kind)
{
	uint64_t had = atomic_load_explicit(&v->exits[kind], memory_order_relaxed);

	atomic_store_explicit(&v->exits[kind], had + 1, memory_order_relaxed);
}

/** vcpu_is_wanted() - must @v, wherever it is, not stay in the guest? Until its thread has looked.
 */
static inline bool vcpu_is_wanted(const struct vcpu *v)
{
	return atomic_load(&v->inbox.events) ||
	       (v->rendezvous && rendezvous_is_pending(v->rendezvous));
}

/**
 * vcpu_sync_tsc() - give KVM the offset of the clock, if it has changed, and let its step end
 *
 * The wait for that also ends when the vCPU is wanted: it will not enter the guest then.
 */
int vcpu_sync_tsc(struct vcpu *v);

/* ---- cpu/vcpu_move.c ---- */

/** vcpu_leave() - move to @to, if that can be done. */
void vcpu_leave(struct vcpu *v, int to);

/** vcpu_pass_on() - @events (enum vcpu_event) of the inbox are for a vCPU that is not here. */
void vcpu_pass_on(struct vcpu *v, uint32_t events);

/** vcpu_come() - go on here, from the image that arrived or from what is still here (@events). */
void vcpu_come(struct vcpu *v, uint32_t events);

#endif
