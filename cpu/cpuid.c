/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/cpuid.h"

#include <sys/ioctl.h>

#include "irq/lapic.h"

#define MAX_ENTRIES 256
#define HYPERVISOR  UINT32_C(0x40000000)
#define BIT(n)	    (UINT32_C(1) << (n))

enum reg { EAX, EBX, ECX, EDX };

/* The words that decide what software may use: ANDed over all hosts. The vendor comes first. */
static const struct {
	uint32_t leaf, sub;
	enum reg reg;
} word_table[] = {
	{0x0, 0, EBX},	      {0x0, 0, ECX},	    {0x0, 0, EDX},	  {0x1, 0, ECX},
	{0x1, 0, EDX},	      {0x7, 0, EBX},	    {0x7, 0, ECX},	  {0x7, 0, EDX},
	{0x7, 1, EAX},	      {0xd, 0, EAX},	    {0xd, 0, EDX},	  {0xd, 1, EAX},
	{0x80000001, 0, ECX}, {0x80000001, 0, EDX}, {0x80000008, 0, EBX}, {0x80000021, 0, EAX},
};
#define VENDOR_WORDS 3
static_assert(ARRAY_SIZE(word_table) <= CPUID_WORDS, "wire_join carries this many");

static uint32_t *reg_of(struct kvm_cpuid_entry2 *e, enum reg reg)
{
	switch (reg) {
	case EAX:
		return &e->eax;
	case EBX:
		return &e->ebx;
	case ECX:
		return &e->ecx;
	case EDX:
		return &e->edx;
	}
	return NULL;
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *table, uint32_t leaf, uint32_t sub)
{
	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function == leaf && table->entries[i].index == sub)
			return &table->entries[i];
	return NULL;
}

static int supported(const struct kvm *kvm, struct kvm_cpuid2 **ret)
{
	size_t size = sizeof(struct kvm_cpuid2) + MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2);
	_cleanup_free_ struct kvm_cpuid2 *table = calloc(1, size);

	if (!table)
		return -ENOMEM;
	/* Room is left for the leaves that add() makes. */
	table->nent = MAX_ENTRIES - 8;
	if (ioctl(kvm->sys, KVM_GET_SUPPORTED_CPUID, table) < 0)
		return -errno;
	*ret = TAKE_PTR(table);
	return 0;
}

int cpuid_words(const struct kvm *kvm, uint32_t ret[CPUID_WORDS])
{
	_cleanup_free_ struct kvm_cpuid2 *table = NULL;
	int r = supported(kvm, &table);

	if (r < 0)
		return r;
	memset(ret, 0, CPUID_WORDS * sizeof(ret[0]));
	for (size_t i = 0; i < ARRAY_SIZE(word_table); i++) {
		struct kvm_cpuid_entry2 *e = find(table, word_table[i].leaf, word_table[i].sub);
		if (e)
			ret[i] = *reg_of(e, word_table[i].reg);
	}
	return 0;
}

bool cpuid_vendor_agrees(const uint32_t own[CPUID_WORDS], const uint32_t common[CPUID_WORDS])
{
	return memcmp(own, common, VENDOR_WORDS * sizeof(own[0])) == 0;
}

static struct kvm_cpuid_entry2 *add(struct kvm_cpuid2 *table, uint32_t leaf, uint32_t sub)
{
	struct kvm_cpuid_entry2 *e = find(table, leaf, sub);

	if (!e) {
		if (table->nent == MAX_ENTRIES)
			return NULL;
		e = &table->entries[table->nent++];
	}
	*e = (struct kvm_cpuid_entry2){.function = leaf, .index = sub};
	return e;
}

/* Leaves of things that this machine does not have, or that are built anew below. */
static bool dropped(uint32_t leaf)
{
	switch (leaf) {
	case 0x3:	 /* serial number */
	case 0x5:	 /* MONITOR/MWAIT */
	case 0x6:	 /* power management; built below */
	case 0xa:	 /* performance counters */
	case 0xb:	 /* topology; built below */
	case 0x12:	 /* SGX */
	case 0x14:	 /* processor trace */
	case 0x15:	 /* TSC frequency; built below */
	case 0x16:	 /* core frequency */
	case 0x1f:	 /* topology, second version */
	case 0x8000000a: /* SVM */
	case 0x8000001b: /* instruction based sampling */
	case 0x8000001d: /* cache topology, only with TOPOEXT */
	case 0x8000001e: /* core topology, only with TOPOEXT */
	case 0x8000001f: /* memory encryption */
	case 0x80000022: /* performance counters, second version */
		return true;
	}
	return leaf >= HYPERVISOR && leaf < HYPERVISOR + 0x10000;
}

static void drop_leaves(struct kvm_cpuid2 *table)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < table->nent; i++)
		if (!dropped(table->entries[i].function))
			table->entries[kept++] = table->entries[i];
	table->nent = kept;
}

static void apply_common(struct kvm_cpuid2 *table, const uint32_t common[CPUID_WORDS])
{
	for (size_t i = VENDOR_WORDS; i < ARRAY_SIZE(word_table); i++) {
		struct kvm_cpuid_entry2 *e = find(table, word_table[i].leaf, word_table[i].sub);
		if (e)
			*reg_of(e, word_table[i].reg) &= common[i];
	}
}

static void patch_features(struct kvm_cpuid2 *table, const struct cpuid_topology *t)
{
	struct kvm_cpuid_entry2 *e = find(table, 0x1, 0);

	if (e) {
		e->ecx &= ~(BIT(3) | BIT(5) | BIT(15)); /* MONITOR, VMX, PDCM */
		e->ecx |= BIT(21) | BIT(24) | BIT(31);	/* x2APIC, TSC-deadline, hypervisor */
		e->edx |= BIT(9);			/* APIC */
		e->edx = t->node_vcpus > 1 ? e->edx | BIT(28) : e->edx & ~BIT(28); /* HTT */
		e->ebx = (e->ebx & 0xff00) | (t->apic_id & 0xff) << 24 |
			 UINT32_C(1) << (16 + t->node_shift);
	}
	e = find(table, 0x7, 0);
	if (e) {
		e->ebx &= ~BIT(2); /* SGX */
		e->ebx |= BIT(1);  /* IA32_TSC_ADJUST, which KVM always emulates */
	}
	e = find(table, 0x80000001, 0);
	if (e) /* SVM, IBS, TOPOEXT, the core's, the node's and the L3's counters */
		e->ecx &= ~(BIT(2) | BIT(10) | BIT(22) | BIT(23) | BIT(24) | BIT(28));
	e = find(table, 0x80000007, 0);
	if (!e)
		e = add(table, 0x80000007, 0);
	if (e)
		e->edx |= BIT(8); /* invariant TSC: the cluster's clock is */
	e = find(table, 0x80000008, 0);
	if (e)
		e->ecx = (uint32_t)t->node_shift << 12 | (t->node_vcpus - 1);
}

/* Cache sharing (Intel leaf 4): levels 1 and 2 belong to a CPU, level 3 to the node. */
static void patch_caches(struct kvm_cpuid2 *table, const struct cpuid_topology *t)
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

static int build_topology(struct kvm_cpuid2 *table, const struct cpuid_topology *t)
{
	struct kvm_cpuid_entry2 *smt = add(table, 0xb, 0), *core = add(table, 0xb, 1),
				*end = add(table, 0xb, 2), *power = add(table, 0x6, 0);

	if (!smt || !core || !end || !power)
		return -E2BIG;
	smt->flags = core->flags = end->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	smt->ebx = 1;
	smt->ecx = 0 | 1 << 8; /* level 0: threads of a core */
	core->eax = t->node_shift;
	core->ebx = t->node_vcpus;
	core->ecx = 1 | 2 << 8; /* level 1: cores of a package */
	end->ecx = 2;
	smt->edx = core->edx = end->edx = t->apic_id;
	power->eax = BIT(2); /* ARAT: the LAPIC timer never stops */
	return 0;
}

static int build_hypervisor(struct kvm_cpuid2 *table, const struct cpuid_topology *t)
{
	static const char signature[12] = "KVMKVMKVM\0\0";
	struct kvm_cpuid_entry2 *base = add(table, HYPERVISOR, 0),
				*features = add(table, HYPERVISOR + 1, 0),
				*tsc = add(table, 0x15, 0);

	if (!base || !features || !tsc)
		return -E2BIG;
	base->eax = HYPERVISOR + 1;
	memcpy(&base->ebx, signature, 4);
	memcpy(&base->ecx, signature + 4, 4);
	memcpy(&base->edx, signature + 8, 4);
	/* NOP_IO_DELAY: no pause by port 0x80; CLOCKSOURCE2 and its STABLE bit: cpu/pvclock.h. */
	features->eax = BIT(1) | BIT(3) | BIT(24);

	/* TSC = crystal * ebx / eax; the crystal also drives the LAPIC's count-down timer. */
	tsc->eax = 1000000;
	tsc->ebx = (uint32_t)t->tsc_khz;
	tsc->ecx = LAPIC_TIMER_HZ;
	struct kvm_cpuid_entry2 *max = find(table, 0, 0);
	if (max)
		max->eax = MAX(max->eax, UINT32_C(0x16));
	return 0;
}

int cpuid_build(const struct kvm *kvm, const uint32_t common[CPUID_WORDS],
		const struct cpuid_topology *topology, struct kvm_cpuid2 **ret)
{
	_cleanup_free_ struct kvm_cpuid2 *table = NULL;
	int r = supported(kvm, &table);

	if (r < 0)
		return r;
	drop_leaves(table);
	apply_common(table, common);
	patch_features(table, topology);
	patch_caches(table, topology);
	r = build_topology(table, topology);
	if (r == 0)
		r = build_hypervisor(table, topology);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(table);
	return 0;
}
