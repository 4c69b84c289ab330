/* SPDX-License-Identifier: Apache-2.0 */
/* Two VMs that share a guest's memory (tiny.h): a vCPU of the first goes on in the other. */
#ifndef SSIHV_TESTS_KVM_PAIR_H
#define SSIHV_TESTS_KVM_PAIR_H

#include "tests/kvm/tiny.h"

/* A guest spins until the word there is as it wants it. */
#define PAIR_FLAG 0x9000

struct pair {
	struct tiny *first, *other;
};

/** pair_new(), pair_free() - as cmocka has them around each case. */
int pair_new(void **state);
int pair_free(void **state);

void pair_set_flag(struct pair *p, uint32_t value);

#endif
