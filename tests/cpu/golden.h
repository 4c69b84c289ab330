/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUs as text, to be kept and compared: a line `LEAF SUBLEAF EAX EBX ECX EDX` in hexadecimal for
 * each entry of a CPUID table, a line `msr INDEX VALUE` for each feature MSR; # begins a comment.
 */
#ifndef SSIHV_TESTS_CPU_GOLDEN_H
#define SSIHV_TESTS_CPU_GOLDEN_H

#include <stdio.h>

#include "cpu/identity.h"

#define GOLDEN_ENTRIES 256

/* A host as its KVM describes it. */
struct golden_host {
	struct kvm_cpuid2 *table;
	uint64_t msr[CPU_IDENTITY_MSRS];
};

/** golden_read() - the host in the file @path; fails the test when it cannot be read. */
struct golden_host golden_read(const char *path);

/** golden_print() - what a guest sees, sorted by leaf. */
void golden_print(const struct kvm_cpuid2 *table, const uint64_t msr[CPU_IDENTITY_MSRS], FILE *f);

#endif
