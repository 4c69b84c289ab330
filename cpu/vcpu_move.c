/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/vcpu_move.h"

#include <sys/ioctl.h>

#include "cpu/vcpu_image.h"
#include "cpu/vcpu_impl.h"

#define USER_LEVEL 3

static bool runs_user_code(const struct vcpu *v)
{
	struct kvm_sregs sregs;

	/* The privilege level is that of the stack's descriptor (APM vol 2, 4.8.3). */
	return ioctl(v->fd, KVM_GET_SREGS, &sregs) == 0 && (sregs.cr0 & 1) &&
	       sregs.ss.dpl == USER_LEVEL;
}

static uint64_t cpu_time_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

void vcpu_usage(const struct vcpu *v, struct vcpu_usage *ret)
{
	*ret = (struct vcpu_usage){.cpu_ns = cpu_time_ns(), .user = runs_user_code(v)};
}

/* All of it before anybody is told. */
static void go_away(struct vcpu *v)
{
	v->left_in = v->state;
	v->state = VCPU_AWAY;
}

void vcpu_leave(struct vcpu *v, int to)
{
	_cleanup_free_ struct wire_vcpu *image = malloc(sizeof(*image));
	int r = image ? vcpu_save(v, image) : -ENOMEM;

	if (r == 0) {
		go_away(v);
		r = v->ops->leave(v->ctx, v, to, image);
		if (r < 0)
			v->state = v->left_in;
	}
	if (r < 0)
		v->ops->stays(v->ctx, v, r);
}

static void pass_on_vectors(struct vcpu *v)
{
	for (unsigned word = 0; word < 4; word++) {
		uint64_t level, bits = vcpu_take_vectors(v, word, &level);

		for (; bits; bits &= bits - 1) {
			unsigned bit = (unsigned)__builtin_ctzll(bits);
			v->ops->pass_on(v->ctx, v, IRQ_FIXED, (uint8_t)(word * 64 + bit),
					level >> bit & 1);
		}
	}
}

void vcpu_pass_on(struct vcpu *v, uint32_t events)
{
	if (events & VCPU_EVENT_INIT)
		v->ops->pass_on(v->ctx, v, IRQ_INIT, 0, false);
	if (events & VCPU_EVENT_VECTOR)
		pass_on_vectors(v);
	if (events & VCPU_EVENT_NMI)
		v->ops->pass_on(v->ctx, v, IRQ_NMI, 0, false);
	if (events & VCPU_EVENT_SIPI)
		v->ops->pass_on(v->ctx, v, IRQ_SIPI, (uint8_t)atomic_load(&v->inbox.sipi), false);
}

void vcpu_arrive(struct vcpu *v, struct wire_vcpu *image)
{
	v->inbox.arrival = image;
	vcpu_signal(v, VCPU_EVENT_ARRIVE, 0);
}

void vcpu_return(struct vcpu *v)
{
	vcpu_signal(v, VCPU_EVENT_RETURN, 0);
}

void vcpu_come(struct vcpu *v, uint32_t events)
{
	if (events & VCPU_EVENT_RETURN) {
		v->state = v->left_in;
		v->ops->stays(v->ctx, v, 0);
		return;
	}
	_cleanup_free_ struct wire_vcpu *image = TAKE_PTR(v->inbox.arrival);
	int r = vcpu_load(v, image);

	if (r < 0)
		v->ops->refuse(v->ctx, v, r);
	else
		v->ops->came(v->ctx, v);
}
