/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SSIHV_VMM_PROBE_H
#define SSIHV_VMM_PROBE_H

#include <stddef.h>

/**
 * vmm_probe_kvm() - can this machine's /dev/kvm run a guest?
 * @why: one line for the user: what is wrong, or how it was found to be usable
 *
 * The device's presence tells nothing (it may emulate, and not all instructions): a tiny guest runs
 * 64-bit code with a cmpxchg16b on the same vCPU that real guests run on, and is timed; then it
 * waits for interrupts of its APIC's timer, in each mode that it is offered.
 *
 * Return: 0 when it can; negative errno: -ENOTSUP when it emulates instead of running.
 */
int vmm_probe_kvm(char *why, size_t len);

#endif
