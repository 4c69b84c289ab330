/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/vcpu_image.h"

#include <sys/ioctl.h>

#include "cpu/vcpu.h"

static_assert(sizeof(struct kvm_xsave) == sizeof(((struct vcpu_image *)NULL)->xsave), "KVM ABI");

/* Clocks, which are not the vCPU's own, and what other hypervisors' guests would use. */
static bool stays_behind(uint32_t msr)
{
	return msr == MSR_TSC || msr == MSR_TSC_ADJUST || msr == MSR_TSC_DEADLINE ||
	       msr == MSR_APIC_BASE || msr == 0x11 || msr == 0x12 || /* the first KVM clock */
	       (msr >= MSR_KVM_WALL_CLOCK_NEW && msr <= MSR_KVM_WALL_CLOCK_NEW + 0xff) ||
	       (msr >= 0x40000000 && msr <= 0x400001ff);
}

static int list_msrs(const struct vcpu *v, struct kvm_msr_list **ret)
{
	struct kvm_msr_list none = {0};

	/* Refused for want of room, it says how much it needs. */
	if (ioctl(v->kvm->sys, KVM_GET_MSR_INDEX_LIST, &none) == 0 || errno != E2BIG)
		return -EIO;
	_cleanup_free_ struct kvm_msr_list *list =
		calloc(1, sizeof(*list) + none.nmsrs * sizeof(uint32_t));
	if (!list)
		return -ENOMEM;
	list->nmsrs = none.nmsrs;
	if (ioctl(v->kvm->sys, KVM_GET_MSR_INDEX_LIST, list) < 0)
		return -errno;
	*ret = TAKE_PTR(list);
	return 0;
}

int vcpu_image_prepare(struct vcpu *v)
{
	_cleanup_free_ struct kvm_msr_list *list = NULL;
	int r = list_msrs(v, &list);

	if (r < 0)
		return r;
	struct vcpu_msrs *msrs = calloc(1, sizeof(*msrs) + list->nmsrs * sizeof(msrs->entry[0]));
	if (!msrs)
		return -ENOMEM;
	for (uint32_t i = 0; i < list->nmsrs; i++) {
		struct kvm_msr_entry entry = {.index = list->indices[i]};
		/* The list is of what KVM could know; this vCPU may not have it. */
		if (!stays_behind(entry.index) && vcpu_access_msr(v, KVM_GET_MSRS, &entry) == 0)
			msrs->entry[msrs->count++] = entry;
	}
	v->msrs = msrs;
	return 0;
}

static int save_msrs(const struct vcpu *v, struct vcpu_image *image)
{
	for (uint32_t i = 0; i < v->msrs->count; i++) {
		struct kvm_msr_entry entry = {.index = v->msrs->entry[i].index};
		int r = vcpu_access_msr(v, KVM_GET_MSRS, &entry);

		if (r < 0)
			return r;
		if (entry.data == v->msrs->entry[i].data)
			continue;
		if (image->nmsrs == VCPU_IMAGE_MSRS)
			return -E2BIG;
		image->msr[image->nmsrs++] = entry;
	}
	return 0;
}

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
	return save_msrs(v, ret);
}

static int load_msrs(const struct vcpu *v, const struct vcpu_image *image)
{
	for (uint32_t i = 0; i < image->nmsrs; i++) {
		struct kvm_msr_entry entry = image->msr[i];
		int r = stays_behind(entry.index) ? -EINVAL
						  : vcpu_access_msr(v, KVM_SET_MSRS, &entry);

		if (r < 0)
			return r;
	}
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
	r = load_msrs(v, image);
	if (r < 0)
		return r;
	if (ioctl(v->fd, KVM_SET_VCPU_EVENTS, &image->events) < 0 ||
	    ioctl(v->fd, KVM_SET_DEBUGREGS, &image->debugregs) < 0)
		return -errno;
	return 0;
}
