/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host's KVM and CPU do by themselves: found by trying, since no capability tells it. A
 * VM of two pages is made for it and thrown away.
 *
 * THE TSC'S DEADLINE. KVM handles some exits in a fast path, before anything that user space has
 * asked for. A write of IA32_TSC_DEADLINE is one: it goes to the in-kernel LAPIC, and where there
 * is none it is lost, in spite of the MSR filter. A guest that was offered this timer then waits
 * for ever. By the kernel's source (arch/x86/kvm/x86.c, handle_fastpath_set_msr_irqoff() and
 * handle_fastpath_wrmsr()):
 *
 *   up to 6.1    kvm_intel with its parameter preemption_timer=Y, which is the default
 *   later        kvm_amd, too; the test for the preemption timer has gone
 *
 * Which kernel has what is no matter of version (distributions take changes back and forth). So a
 * guest of two instructions writes the MSR, and KVM_RUN tells.
 *
 * WALKS OF PAGE TABLES. Two hosts can have a page that holds a page table of the guest at the same
 * time only where a walk reads it. AMD's walks write (APM vol. 2, 15.25.5), Intel's do while EPT
 * has accessed and dirty flags (SDM vol. 3C, 29.3.3.2), which KVM's parameter kvm_intel.eptad
 * switches. So a guest of one instruction is translated by a table that this process may only read:
 * where the walk writes, KVM_RUN fails.
 *
 * docs/architecture.md, "What KVM answers by itself", lists all else.
 */
#ifndef SSIHV_CPU_KVM_TRIAL_H
#define SSIHV_CPU_KVM_TRIAL_H

#include <stdbool.h>
#include <stddef.h>

/* False is also what a trial that fails tells: who believes it is slower and loses nothing. */
struct kvm_trial {
	bool deadline_exits; /* a guest's write of IA32_TSC_DEADLINE comes to user space */
	bool walks_read;     /* walks of the guest's page tables do not count as writes to them */
};

/**
 * kvm_try() - find out what this host does
 * @vm:       an empty VM with the MSR filter of real ones, to be thrown away
 * @vcpu:     its only vCPU, not yet run
 * @run_size: bytes of a vCPU's shared area
 */
struct kvm_trial kvm_try(int vm, int vcpu, size_t run_size);

#endif
