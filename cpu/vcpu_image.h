/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole state of a vCPU between KVM and wire/vcpu.h: what one host reads out and another one
 * puts in.
 *
 * INVARIANT. The image is taken and put in between two instructions of the guest: no exit is half
 * done (cpu/vcpu.c, finish()), so everything that counts is in KVM's registers and in struct vcpu.
 *
 * Clocks are not in it: the TSC is the cluster's, and the KVM clock is served by us
 * (cpu/pvclock.h).
 *
 * Threads: the vCPU's own, or any while the vCPU is parked or was not started.
 */
#ifndef SSIHV_CPU_VCPU_IMAGE_H
#define SSIHV_CPU_VCPU_IMAGE_H

#include "wire/vcpu.h"

struct vcpu;

/**
 * vcpu_save() - read the state of a vCPU that is here, with what waits in its inbox
 *
 * The vCPU can go on as if nothing had happened.
 *
 * Return: 0; -EINVAL for one that is elsewhere; -E2BIG when the guest changed more MSRs than an
 * image holds; another negative errno of KVM.
 */
int vcpu_save(struct vcpu *v, struct wire_vcpu *ret);

/**
 * vcpu_load() - make @v what @image says
 * @image: as a peer sent it: anything is possible
 *
 * After an error @v cannot run, part of the state may be in; after another load it can.
 *
 * Return: 0; -EINVAL for an image that is not of this vCPU, or that KVM refuses; another negative
 * errno of KVM.
 */
int vcpu_load(struct vcpu *v, const struct wire_vcpu *image);

#endif
