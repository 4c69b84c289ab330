/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host's KVM answers by itself: found by trying, since no capability tells it.
 *
 * KVM handles some exits in a fast path, before anything that user space has asked for. A write of
 * IA32_TSC_DEADLINE is one: it goes to the in-kernel LAPIC, and where there is none it is lost, in
 * spite of the MSR filter. A guest that was offered this timer then waits for ever. By the kernel's
 * source (arch/x86/kvm/x86.c, handle_fastpath_set_msr_irqoff() and handle_fastpath_wrmsr()):
 *
 *   up to 6.1    kvm_intel with its parameter preemption_timer=Y, which is the default
 *   later        kvm_amd, too; the test for the preemption timer has gone
 *
 * Which kernel has what is no matter of version (distributions take changes back and forth). So a
 * guest of two instructions writes the MSR, and KVM_RUN tells.
 *
 * docs/architecture.md, "What KVM answers by itself", lists all else.
 */
#ifndef SSIHV_CPU_KVM_TRIAL_H
#define SSIHV_CPU_KVM_TRIAL_H

#include <stdbool.h>
#include <stddef.h>

/**
 * kvm_trial_deadline() - does a guest's write of IA32_TSC_DEADLINE come to user space?
 * @vm:       an empty VM with the MSR filter of real ones, to be thrown away
 * @vcpu:     its only vCPU, not yet run
 * @run_size: bytes of a vCPU's shared area
 *
 * False also when the trial fails: a guest that is not offered the timer uses another one.
 */
bool kvm_trial_deadline(int vm, int vcpu, size_t run_size);

#endif
