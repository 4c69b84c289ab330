/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU that a cluster's guest sees: what all of its hosts have, as data.
 *
 * GOAL. A guest's kernel looks at its boot CPU once and believes that all others are the same:
 * which instructions there are, which mitigations are needed, how wide addresses are. So every vCPU
 * must tell the same, and it must be true on every host, however these differ.
 *
 * DENY BY DEFAULT. cpu/identity_rules.c lists each word of CPUID and each feature MSR that may
 * reach the guest, the bits of it that may, and how two hosts' values become one. What is not
 * listed does not exist for the guest, whatever a newer kernel or CPU offers: a feature is let in
 * when somebody has looked at what it needs (state that moves with a vCPU, MSRs, an exit that we
 * handle).
 *
 * JOINING is commutative, associative and idempotent: the result does not depend on the order of
 * nodes, and joining a host's own identity to the result changes nothing, by which a host checks
 * what it is told (cpu_identity_covers()).
 *
 * Each node sends its identity to node 0 (WIRE_JOIN), which joins all and sends the result back
 * (WIRE_START); cpu/cpuid.h makes each vCPU's table of it. Pure but for cpu_identity_read().
 * Sources: Intel SDM vol. 2A CPUID, vol. 4; AMD APM vol. 3 appendix E, PPR.
 */
#ifndef SSIHV_CPU_IDENTITY_H
#define SSIHV_CPU_IDENTITY_H

#include "cpu/kvm.h"

#define CPU_IDENTITY_WORDS 75

/* Feature MSRs, by their place in an identity. */
enum cpu_identity_msr {
	CPU_MSR_UCODE_REV,
	CPU_MSR_ARCH_CAPABILITIES, /* Intel */
	CPU_MSR_DE_CFG,		   /* AMD */
	CPU_IDENTITY_MSRS,
};

struct cpu_identity {
	uint32_t word[CPU_IDENTITY_WORDS]; /* in the order of the rules */
	uint64_t msr[CPU_IDENTITY_MSRS];
};

enum cpuid_reg { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* How the values of two hosts become one. */
enum cpu_rule_join {
	CPU_SAME,   /* must be equal, else the hosts cannot form one machine */
	CPU_BOTH,   /* bits that both have: features */
	CPU_EITHER, /* bits that one of them has: what is missing or weak in a CPU */
	CPU_LEAST,  /* the smaller one, byte by byte: widths */
	CPU_LAYOUT, /* equal, else zero: a part of the XSAVE area that lies elsewhere cannot move */
	CPU_OLDEST, /* all such words of one host, the one with the lowest family, model, stepping
		     */
};

struct cpu_rule {
	uint32_t leaf;
	uint8_t sub;
	uint8_t reg;  /* enum cpuid_reg */
	uint8_t join; /* enum cpu_rule_join */
	uint32_t mask;
};

struct cpu_msr_rule {
	uint32_t index;
	uint64_t both, either; /* bits by their way of joining; neither: the smaller value counts */
};

extern const struct cpu_rule cpu_rules[CPU_IDENTITY_WORDS];
extern const struct cpu_msr_rule cpu_msr_rules[CPU_IDENTITY_MSRS];

/**
 * cpu_identity_of() - the identity of a host that offers @supported and @msr
 * @supported: as from KVM_GET_SUPPORTED_CPUID
 * @msr:       values of the feature MSRs, 0 for those that the host does not have
 */
void cpu_identity_of(const struct kvm_cpuid2 *supported, const uint64_t msr[CPU_IDENTITY_MSRS],
		     struct cpu_identity *ret);

/** cpu_identity_read() - the identity of this host, as KVM tells it. Return: 0; negative errno. */
int cpu_identity_read(const struct kvm *kvm, struct cpu_identity *ret);

/**
 * cpu_identity_join() - make @common what it and @other have in common
 *
 * Return: 0; -EINVAL when the two cannot form one machine (another vendor); @common is unchanged.
 */
int cpu_identity_join(struct cpu_identity *common, const struct cpu_identity *other);

/**
 * cpu_identity_is_sound() - has it no bit but those that the rules let through?
 *
 * All that cpu_identity_of() and cpu_identity_join() make are; for what a peer says.
 */
bool cpu_identity_is_sound(const struct cpu_identity *id);

/** cpu_identity_covers() - can a host of identity @own run a guest that sees @common? */
bool cpu_identity_covers(const struct cpu_identity *own, const struct cpu_identity *common);

/** cpu_identity_word() - what the guest may see of a register, of all rules for it together. */
uint32_t cpu_identity_word(const struct cpu_identity *id, uint32_t leaf, uint32_t sub,
			   enum cpuid_reg reg);

/** cpu_identity_phys_bits() - width of a guest-physical address. */
unsigned cpu_identity_phys_bits(const struct cpu_identity *id);

#endif
