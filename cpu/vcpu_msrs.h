/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model-specific registers of a vCPU that belong to its state.
 *
 * Which they are: those that KVM lists, and a table of our own of those that it keeps without
 * listing them, or lists only since some version: memory types, machine check banks and others.
 * Clocks are none of them: the TSC is the cluster's, and the KVM clock is served by us
 * (cpu/pvclock.h).
 *
 * A vCPU notes at first what a new one holds. Only what differs from that is told: what a guest
 * never touched need not exist on another host.
 *
 * Threads: the vCPU's own, or any while it is parked.
 */
#ifndef SSIHV_CPU_VCPU_MSRS_H
#define SSIHV_CPU_VCPU_MSRS_H

#include <linux/kvm.h>

#include "base/base.h"

struct kvm;

struct vcpu_msrs {
	uint32_t count;
	struct kvm_msr_entry entry[];
};

/**
 * vcpu_msr_access() - KVM_GET_MSRS or KVM_SET_MSRS (@request) for one MSR of @fd: a vCPU; KVM, for
 * features
 *
 * Return: 0; -EIO for one that KVM does not know or a value that it refuses; negative errno.
 */
int vcpu_msr_access(int fd, unsigned long request, struct kvm_msr_entry *entry);

/** vcpu_msrs_note() - all that the new vCPU @fd has. Return: 0 with *@ret to free(); -errno. */
int vcpu_msrs_note(const struct kvm *kvm, int fd, struct vcpu_msrs **ret);

/**
 * vcpu_msrs_changed() - what differs by now from @first, at most @room of them
 *
 * Return: how many; -E2BIG for more than @room; another negative errno of KVM.
 */
int vcpu_msrs_changed(int fd, const struct vcpu_msrs *first, struct kvm_msr_entry *ret,
		      unsigned room);

/**
 * vcpu_msrs_reset() - make all what they were in @first: of an earlier stay nothing may be left
 *
 * Return: 0; negative errno of KVM.
 */
int vcpu_msrs_reset(int fd, const struct vcpu_msrs *first);

/**
 * vcpu_msrs_set() - set @count MSRs, which a peer may have chosen
 *
 * Return: 0; -EINVAL for one that is no vCPU's state; -EIO for what KVM refuses; -errno.
 */
int vcpu_msrs_set(int fd, const struct kvm_msr_entry *entry, unsigned count);

#endif
