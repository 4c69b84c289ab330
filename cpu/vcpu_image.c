/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/vcpu_image.h"

#include <sys/ioctl.h>

#include "cpu/vcpu.h"

static_assert(sizeof(struct kvm_xsave) == sizeof(((struct vcpu_image *)NULL)->xsave), "KVM ABI");

int vcpu_image_save(const struct vcpu *v, struct vcpu_image *ret)
{
	*ret = (struct vcpu_image){
		.index = v->index,
		.nmi = v->nmi,
		.pvclock = {v->pvclock[0], v->pvclock[1]},
		.lapic = v->lapic,
	};
	if (ioctl(v->fd, KVM_GET_REGS, &ret->regs) < 0 ||
	    ioctl(v->fd, KVM_GET_SREGS, &ret->sregs) < 0 ||
	    ioctl(v->fd, KVM_GET_DEBUGREGS, &ret->debugregs) < 0 ||
	    ioctl(v->fd, KVM_GET_VCPU_EVENTS, &ret->events) < 0 ||
	    ioctl(v->fd, KVM_GET_XCRS, &ret->xcrs) < 0 ||
	    ioctl(v->fd, KVM_GET_XSAVE, ret->xsave) < 0)
		return -errno;
	int r = vcpu_msrs_changed(v->fd, v->msrs, ret->msr, VCPU_IMAGE_MSRS);
	if (r < 0)
		return r;
	ret->nmsrs = (uint32_t)r;
	return 0;
}

int vcpu_image_load(struct vcpu *v, const struct vcpu_image *image)
{
	if (image->index != v->index || image->nmi > 1 || image->nmsrs > VCPU_IMAGE_MSRS ||
	    image->sregs.apic_base != image->lapic.apic_base)
		return -EINVAL;
	int r = lapic_load(&v->lapic, &image->lapic);
	if (r < 0)
		return r;
	v->nmi = image->nmi;
	memcpy(v->pvclock, image->pvclock, sizeof(v->pvclock));
	/* The order matters: the mode before registers, what is pending after both. */
	if (ioctl(v->fd, KVM_SET_SREGS, &image->sregs) < 0 ||
	    ioctl(v->fd, KVM_SET_REGS, &image->regs) < 0 ||
	    ioctl(v->fd, KVM_SET_XCRS, &image->xcrs) < 0 ||
	    ioctl(v->fd, KVM_SET_XSAVE, image->xsave) < 0)
		return -errno;
	r = vcpu_msrs_reset(v->fd, v->msrs);
	if (r == 0)
		r = vcpu_msrs_set(v->fd, image->msr, image->nmsrs);
	if (r < 0)
		return r;
	if (ioctl(v->fd, KVM_SET_VCPU_EVENTS, &image->events) < 0 ||
	    ioctl(v->fd, KVM_SET_DEBUGREGS, &image->debugregs) < 0)
		return -errno;
	return 0;
}
