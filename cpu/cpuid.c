/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/cpuid.h"

#include "irq/lapic.h"

#define MAX_ENTRIES 64
#define HYPERVISOR  UINT32_C(0x40000000)
#define BIT(n)	    (UINT32_C(1) << (n))

/* Highest leaves: the TSC's frequency is in 0x15, some tools want 0x16 to exist then. */
#define LAST_BASIC    0x16
#define LAST_EXTENDED UINT32_C(0x80000021)
#define LAST_7	      2

#define AMD_EBX UINT32_C(0x68747541) /* "Auth"enticAMD */

static uint32_t *reg_of(struct kvm_cpuid_entry2 *e, enum cpuid_reg reg)
{
	uint32_t *regs[] = {[CPUID_EAX] = &e->eax,
			    [CPUID_EBX] = &e->ebx,
			    [CPUID_ECX] = &e->ecx,
			    [CPUID_EDX] = &e->edx};

	return regs[reg];
}

static bool has_subleaves(uint32_t leaf)
{
	return leaf == 0x4 || leaf == 0x7 || leaf == 0xb || leaf == 0xd;
}

/* The entry of a leaf, which is made when there is none: all zero. */
static struct kvm_cpuid_entry2 *leaf_of(struct kvm_cpuid2 *table, uint32_t leaf, uint32_t sub)
{
	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function == leaf && table->entries[i].index == sub)
			return &table->entries[i];
	assert(table->nent < MAX_ENTRIES); /* the rules and this file are all that adds leaves */
	table->entries[table->nent] = (struct kvm_cpuid_entry2){
		.function = leaf,
		.index = sub,
		.flags = has_subleaves(leaf) ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
	};
	return &table->entries[table->nent++];
}

static void add_identity(struct kvm_cpuid2 *table, const struct cpu_identity *id)
{
	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++) {
		const struct cpu_rule *rule = &cpu_rules[i];

		if (id->word[i])
			*reg_of(leaf_of(table, rule->leaf, rule->sub), rule->reg) |= id->word[i];
	}
}

static void add_limits(struct kvm_cpuid2 *table)
{
	struct kvm_cpuid_entry2 *extended = leaf_of(table, 0x80000000, 0);

	leaf_of(table, 0x7, 0)->eax = LAST_7;
	leaf_of(table, LAST_BASIC, 0);
	/* AMD's name their vendor twice (APM vol. 3, E.4.1), Intel's have zeros there. */
	if (leaf_of(table, 0x0, 0)->ebx == AMD_EBX)
		*extended = (struct kvm_cpuid_entry2){
			.function = 0x80000000,
			.ebx = leaf_of(table, 0x0, 0)->ebx,
			.ecx = leaf_of(table, 0x0, 0)->ecx,
			.edx = leaf_of(table, 0x0, 0)->edx,
		};
	extended->eax = LAST_EXTENDED;
	leaf_of(table, 0x0, 0)->eax = LAST_BASIC;
}

static void add_features(struct kvm_cpuid2 *table, const struct cpuid_topology *t)
{
	struct kvm_cpuid_entry2 *e = leaf_of(table, 0x1, 0);

	e->ecx |= BIT(21) | BIT(31);				 /* x2APIC, hypervisor */
	e->edx |= t->node_vcpus > 1 ? BIT(9) | BIT(28) : BIT(9); /* APIC, HTT */
	e->ebx |= (t->apic_id & 0xff) << 24 | UINT32_C(1) << (16 + t->node_shift);
	leaf_of(table, 0x6, 0)->eax = BIT(2);	      /* ARAT: the LAPIC timer never stops */
	leaf_of(table, 0x7, 0)->ebx |= BIT(1);	      /* IA32_TSC_ADJUST */
	leaf_of(table, 0x80000007, 0)->edx |= BIT(8); /* invariant TSC: the cluster's clock is */
	leaf_of(table, 0x80000008, 0)->ecx = (uint32_t)t->node_shift << 12 | (t->node_vcpus - 1);
}

/* Sizes of the XSAVE area: EBX, of what is switched on, is kept by KVM; at reset x87 alone is. */
static void add_xsave(struct kvm_cpuid2 *table, const struct cpu_identity *id)
{
	uint32_t end = 576; /* legacy area and header */

	if (!cpu_identity_word(id, 0xd, 0, CPUID_EAX))
		return;
	for (unsigned n = 2; n < 32; n++) {
		uint32_t size = cpu_identity_word(id, 0xd, n, CPUID_EAX),
			 offset = cpu_identity_word(id, 0xd, n, CPUID_EBX);
		if (cpu_identity_word(id, 0xd, 0, CPUID_EAX) >> n & 1)
			end = MAX(end, offset + size);
	}
	leaf_of(table, 0xd, 0)->ebx = 576;
	leaf_of(table, 0xd, 0)->ecx = end;
}

/* Cache sharing (Intel leaf 4): levels 1 and 2 belong to a CPU, level 3 to the node. */
static void add_sharing(struct kvm_cpuid2 *table, const struct cpuid_topology *t)
{
	for (uint32_t i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *e = &table->entries[i];
		if (e->function != 0x4 || !(e->eax & 0x1f))
			continue;
		uint32_t sharing = (e->eax >> 5 & 7) >= 3 ? (UINT32_C(1) << t->node_shift) - 1 : 0;
		e->eax = (e->eax & 0x3fff) | sharing << 14 |
			 ((UINT32_C(1) << t->node_shift) - 1) << 26;
	}
}

static void add_topology(struct kvm_cpuid2 *table, const struct cpuid_topology *t)
{
	struct kvm_cpuid_entry2 *smt = leaf_of(table, 0xb, 0);

	smt->ebx = 1;
	smt->ecx = 0 | 1 << 8; /* level 0: threads of a core */
	smt->edx = t->apic_id;
	struct kvm_cpuid_entry2 *core = leaf_of(table, 0xb, 1);
	core->eax = t->node_shift;
	core->ebx = t->node_vcpus;
	core->ecx = 1 | 2 << 8; /* level 1: cores of a package */
	core->edx = t->apic_id;
	struct kvm_cpuid_entry2 *end = leaf_of(table, 0xb, 2);
	end->ecx = 2;
	end->edx = t->apic_id;
}

static void add_hypervisor(struct kvm_cpuid2 *table, const struct cpuid_topology *t)
{
	static const char signature[12] = "KVMKVMKVM\0\0";
	struct kvm_cpuid_entry2 *base = leaf_of(table, HYPERVISOR, 0);

	base->eax = HYPERVISOR + 1;
	memcpy(&base->ebx, signature, 4);
	memcpy(&base->ecx, signature + 4, 4);
	memcpy(&base->edx, signature + 8, 4);
	/* NOP_IO_DELAY: no pause by port 0x80; CLOCKSOURCE2 and its STABLE bit: cpu/pvclock.h. */
	leaf_of(table, HYPERVISOR + 1, 0)->eax = BIT(1) | BIT(3) | BIT(24);

	/* TSC = crystal * ebx / eax; the crystal also drives the LAPIC's count-down timer. */
	struct kvm_cpuid_entry2 *tsc = leaf_of(table, 0x15, 0);
	tsc->eax = 1000000;
	tsc->ebx = (uint32_t)t->tsc_khz;
	tsc->ecx = LAPIC_TIMER_HZ;
}

int cpuid_build(const struct cpu_identity *common, const struct cpuid_topology *topology,
		struct kvm_cpuid2 **ret)
{
	struct kvm_cpuid2 *table =
		calloc(1, sizeof(*table) + MAX_ENTRIES * sizeof(table->entries[0]));

	if (!table)
		return -ENOMEM;
	add_identity(table, common);
	add_limits(table);
	add_features(table, topology);
	add_xsave(table, common);
	add_sharing(table, topology);
	add_topology(table, topology);
	add_hypervisor(table, topology);
	*ret = table;
	return 0;
}
