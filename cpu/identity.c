/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/identity.h"

#define HAS_ARCH_CAPABILITIES (UINT32_C(1) << 29)

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *table, uint32_t leaf,
					   uint32_t sub)
{
	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function == leaf && table->entries[i].index == sub)
			return &table->entries[i];
	return NULL;
}

static uint32_t reg_of(const struct kvm_cpuid_entry2 *e, enum cpuid_reg reg)
{
	switch (reg) {
	case CPUID_EAX:
		return e->eax;
	case CPUID_EBX:
		return e->ebx;
	case CPUID_ECX:
		return e->ecx;
	case CPUID_EDX:
		return e->edx;
	}
	return 0;
}

static uint64_t allowed(const struct cpu_msr_rule *rule, uint64_t value)
{
	uint64_t bits = rule->both | rule->either;

	return bits ? value & bits : value;
}

uint32_t cpu_identity_word(const struct cpu_identity *id, uint32_t leaf, uint32_t sub,
			   enum cpuid_reg reg)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++)
		if (cpu_rules[i].leaf == leaf && cpu_rules[i].sub == sub && cpu_rules[i].reg == reg)
			value |= id->word[i];
	return value;
}

unsigned cpu_identity_phys_bits(const struct cpu_identity *id)
{
	return cpu_identity_word(id, 0x80000008, 0, CPUID_EAX) & 0xff;
}

/* Family, model and stepping in the order of their age (SDM vol. 2A, CPUID, figure 3-6). */
static uint32_t age(const struct cpu_identity *id)
{
	uint32_t signature = cpu_identity_word(id, 0x1, 0, CPUID_EAX);
	uint32_t family = (signature >> 8 & 0xf) + (signature >> 20 & 0xff);
	uint32_t model = (signature >> 4 & 0xf) | (signature >> 12 & 0xf0);

	return family << 16 | model << 8 | (signature & 0xf);
}

/* Is @other older? Two of one age are told apart by their names and caches, whatever the order. */
static bool is_older(const struct cpu_identity *other, const struct cpu_identity *than)
{
	if (age(other) != age(than))
		return age(other) < age(than);
	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++)
		if (cpu_rules[i].join == CPU_OLDEST && other->word[i] != than->word[i])
			return other->word[i] < than->word[i];
	return false;
}

/* Of each byte the smaller one. */
static uint32_t least_by_byte(uint32_t a, uint32_t b)
{
	uint32_t least = 0;

	for (unsigned shift = 0; shift < 32; shift += 8)
		least |= MIN(a >> shift & 0xff, b >> shift & 0xff) << shift;
	return least;
}

static bool vendors_agree(const struct cpu_identity *a, const struct cpu_identity *b)
{
	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++)
		if (cpu_rules[i].join == CPU_SAME && a->word[i] != b->word[i])
			return false;
	return true;
}

/* Is the place of component @n of the XSAVE area one that all hosts agree on? */
static bool has_layout(const struct cpu_identity *id, unsigned n)
{
	return cpu_identity_word(id, 0xd, n, CPUID_EAX) != 0;
}

static void take_away(struct cpu_identity *id, uint32_t leaf, uint32_t sub, enum cpuid_reg reg,
		      uint32_t bits)
{
	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++)
		if (cpu_rules[i].leaf == leaf && cpu_rules[i].sub == sub && cpu_rules[i].reg == reg)
			id->word[i] &= ~bits;
}

/* A state that cannot move takes the instructions with it that need it. */
static void drop_unmovable(struct cpu_identity *id)
{
	static const struct {
		uint32_t component, leaf, sub;
		enum cpuid_reg reg;
		uint32_t bits;
	} needs[] = {
		/* FMA AVX F16C; AVX2 VAES VPCLMUL, and AVX-512, which is all above AVX */
		{0x004, 0x1, 0, CPUID_ECX, UINT32_C(0x30001000)},
		{0x004, 0x7, 0, CPUID_EBX, UINT32_C(0x00000020)},
		{0x004, 0x7, 0, CPUID_ECX, UINT32_C(0x00000600)},
		{0x004, 0x7, 1, CPUID_EAX, UINT32_C(0x00800017)},
		{0x004, 0x7, 1, CPUID_EDX, UINT32_C(0x00000430)},
		{0x004, 0x80000001, 0, CPUID_ECX, UINT32_C(0x00010800)}, /* XOP FMA4 */
		{0x0e4, 0x7, 0, CPUID_EBX, UINT32_C(0xdc230000)},
		{0x0e4, 0x7, 0, CPUID_ECX, UINT32_C(0x00005842)},
		{0x0e4, 0x7, 0, CPUID_EDX, UINT32_C(0x0080010c)},
		{0x0e4, 0x7, 1, CPUID_EAX, UINT32_C(0x00000020)},
		{0x200, 0x7, 0, CPUID_ECX, UINT32_C(0x00000008)}, /* PKU */
	};
	uint32_t features = cpu_identity_word(id, 0xd, 0, CPUID_EAX), movable = features & 3;

	for (unsigned n = 2; n < 32; n++)
		if ((features >> n & 1) && has_layout(id, n))
			movable |= UINT32_C(1) << n;
	if ((movable & 0xe0) != 0xe0 || !(movable & 4))
		movable &= ~UINT32_C(0xe0); /* the three of AVX-512 go together */
	take_away(id, 0xd, 0, CPUID_EAX, ~movable);
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if ((movable & needs[i].component) != needs[i].component)
			take_away(id, needs[i].leaf, needs[i].sub, needs[i].reg, needs[i].bits);
}

/* Bad news of one host is none where CPUID says that the MSR does not exist. */
static void drop_unreadable(struct cpu_identity *id)
{
	if (!(cpu_identity_word(id, 0x7, 0, CPUID_EDX) & HAS_ARCH_CAPABILITIES))
		id->msr[CPU_MSR_ARCH_CAPABILITIES] = 0;
}

static uint32_t join_word(const struct cpu_rule *rule, uint32_t a, uint32_t b)
{
	switch ((enum cpu_rule_join)rule->join) {
	case CPU_EITHER:
		return a | b;
	case CPU_LEAST:
		return least_by_byte(a, b);
	case CPU_LAYOUT:
		return a == b ? a : 0;
	case CPU_SAME:
	case CPU_OLDEST: /* chosen before, for all words together */
		return a;
	case CPU_BOTH:
		break;
	}
	return a & b;
}

/* A component lies where it lies with all three of its words. */
static void join_layouts(struct cpu_identity *id)
{
	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++)
		if (cpu_rules[i].join == CPU_LAYOUT &&
		    (!cpu_identity_word(id, 0xd, cpu_rules[i].sub, CPUID_EAX) ||
		     !cpu_identity_word(id, 0xd, cpu_rules[i].sub, CPUID_EBX)))
			id->word[i] = 0;
}

void cpu_identity_of(const struct kvm_cpuid2 *supported, const uint64_t msr[CPU_IDENTITY_MSRS],
		     struct cpu_identity *ret)
{
	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++) {
		const struct cpu_rule *rule = &cpu_rules[i];
		const struct kvm_cpuid_entry2 *e = find(supported, rule->leaf, rule->sub);

		ret->word[i] = e ? reg_of(e, rule->reg) & rule->mask : 0;
	}
	for (unsigned i = 0; i < CPU_IDENTITY_MSRS; i++)
		ret->msr[i] = allowed(&cpu_msr_rules[i], msr[i]);
	join_layouts(ret);
	drop_unmovable(ret);
	drop_unreadable(ret);
}

int cpu_identity_join(struct cpu_identity *common, const struct cpu_identity *other)
{
	struct cpu_identity joined = is_older(other, common) ? *other : *common;

	if (!vendors_agree(common, other))
		return -EINVAL;
	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++)
		if (cpu_rules[i].join != CPU_OLDEST)
			joined.word[i] = join_word(&cpu_rules[i], common->word[i], other->word[i]);
	for (unsigned i = 0; i < CPU_IDENTITY_MSRS; i++) {
		const struct cpu_msr_rule *rule = &cpu_msr_rules[i];
		uint64_t a = common->msr[i], b = other->msr[i];

		joined.msr[i] = rule->both | rule->either
					? (a & b & rule->both) | ((a | b) & rule->either)
					: MIN(a, b);
	}
	join_layouts(&joined);
	drop_unmovable(&joined);
	drop_unreadable(&joined);
	*common = joined;
	return 0;
}

bool cpu_identity_is_sound(const struct cpu_identity *id)
{
	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++)
		if (id->word[i] & ~cpu_rules[i].mask)
			return false;
	for (unsigned i = 0; i < CPU_IDENTITY_MSRS; i++)
		if (id->msr[i] != allowed(&cpu_msr_rules[i], id->msr[i]))
			return false;
	return true;
}

bool cpu_identity_covers(const struct cpu_identity *own, const struct cpu_identity *common)
{
	struct cpu_identity joined = *common;

	/* Not the struct as a whole: it may have padding. */
	return cpu_identity_join(&joined, own) == 0 &&
	       memcmp(joined.word, common->word, sizeof(joined.word)) == 0 &&
	       memcmp(joined.msr, common->msr, sizeof(joined.msr)) == 0;
}
