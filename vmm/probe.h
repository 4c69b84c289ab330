/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SSIHV_VMM_PROBE_H
#define SSIHV_VMM_PROBE_H

#include <stdbool.h>

struct probe_result {
	char why[256];	  /* one line: what is wrong, or how it was found to be usable */
	bool walks_read;  /* hosts can share page tables of the guest: cpu/kvm_trial.h */
	char tables[160]; /* one line on that, with the way out; empty where KVM is not usable */
};

/**
 * vmm_probe_kvm() - can this machine's /dev/kvm run a guest, and how well?
 *
 * The device's presence tells nothing (it may emulate, and not all instructions): a tiny guest runs
 * 64-bit code with a cmpxchg16b on the same vCPU that real guests run on, and is timed; then it
 * waits for interrupts of its APIC's timer, in each mode that it is offered.
 *
 * Return: 0 when it can; negative errno: -ENOTSUP when it emulates instead of running.
 */
int vmm_probe_kvm(struct probe_result *ret);

#endif
