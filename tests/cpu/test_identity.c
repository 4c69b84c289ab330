/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest sees of hosts that differ.
 *
 * Usage: test_identity FOLDER. The folder holds hosts (NAME.host, as their KVM describes them) and
 * what a guest sees of two of them (A+B.guest). With SSIHV_GOLDEN set the latter are written anew:
 * look at what has changed before it is committed.
 */
#include "tests/check.h"

#include <glob.h>
#include <stdio.h>

#include "cpu/cpuid.h"
#include "tests/cpu/golden.h"

static const char *folder;

static struct cpu_identity host(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s.host", folder, name);
	struct golden_host h = golden_read(path);
	struct cpu_identity id;
	cpu_identity_of(h.table, h.msr, &id);
	free(h.table);
	return id;
}

/* ---- golden files ---- */

static char *text_of(const struct cpu_identity *id)
{
	const struct cpuid_topology topology = {
		.apic_id = 9, .node_shift = 2, .node_vcpus = 3, .tsc_khz = 2400000};
	struct kvm_cpuid2 *table;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(cpuid_build(id, &topology, &table), 0);
	golden_print(table, id->msr, f);
	fclose(f);
	free(table);
	return text;
}

static char *content_of(const char *path)
{
	char *text = calloc(1, 64 * KIB);
	FILE *f = fopen(path, "re");

	if (!f || !text)
		fail_msg("%s: %s", path, strerror(errno));
	assert_true(fread(text, 1, 64 * KIB - 1, f) > 0);
	fclose(f);
	return text;
}

static void check_pair(const char *a, const char *b)
{
	struct cpu_identity one = host(a), other = host(b), common = one;
	char path[300];

	assert_int_equal(cpu_identity_join(&common, &other), 0);
	assert_true(cpu_identity_covers(&one, &common));
	assert_true(cpu_identity_covers(&other, &common));
	char *text = text_of(&common);
	snprintf(path, sizeof(path), "%s/%s+%s.guest", folder, a, b);
	if (getenv("SSIHV_GOLDEN")) {
		FILE *f = fopen(path, "we");
		assert_non_null(f);
		assert_true(fputs(text, f) >= 0);
		fclose(f);
	}
	char *golden = content_of(path);
	assert_string_equal(text, golden);
	free(golden);
	free(text);
}

static void a_guest_of_two_hosts_sees_what_it_saw_before(void **state)
{
	check_pair("amd-epyc", "amd-milan");
	check_pair("amd-epyc", "amd-made-up");
	check_pair("amd-epyc", "amd-turin");
	check_pair("intel-made-up", "intel-made-up");
	check_pair("intel-haswell", "intel-skylake");
}

/* ---- rules ---- */

static void a_host_that_offers_everything_gives_only_what_is_allowed(void **state)
{
	struct kvm_cpuid2 *table = calloc(1, sizeof(*table) + 64 * sizeof(table->entries[0]));
	const uint64_t msr[CPU_IDENTITY_MSRS] = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
	const struct cpuid_topology topology = {.node_vcpus = 1, .tsc_khz = 1};
	static const uint32_t leaves[] = {
		0x0,	    0x1,	0x2,	    0x5,	0x7,	    0xa,
		0x12,	    0x14,	0x19,	    0x1d,	0x1e,	    0x24,
		0x80000001, 0x80000008, 0x8000000a, 0x80000021, 0x80000022, 0xc0000001};
	struct cpu_identity id;
	struct kvm_cpuid2 *guest;

	assert_non_null(table);
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++)
		for (uint32_t sub = 0; sub < 3; sub++)
			table->entries[table->nent++] = (struct kvm_cpuid_entry2){
				leaves[i], sub, 0, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
	cpu_identity_of(table, msr, &id);
	assert_int_equal(cpuid_build(&id, &topology, &guest), 0);
	for (uint32_t i = 0; i < guest->nent; i++) {
		uint32_t leaf = guest->entries[i].function;
		/* MONITOR's, counters', SGX's, PT's, AMX's, AVX10's, SVM's, Centaur's */
		assert_true(leaf != 0x5 && leaf != 0xa && leaf != 0x12 && leaf != 0x14);
		assert_true(leaf != 0x1d && leaf != 0x1e && leaf != 0x24 && leaf != 0x19);
		assert_true(leaf != 0x8000000a && leaf != 0x80000022 && leaf < 0xc0000000);
	}
	assert_int_equal(cpu_identity_word(&id, 0x1, 0, CPUID_ECX) & 0x28, 0);	     /* VMX */
	assert_int_equal(cpu_identity_word(&id, 0x80000001, 0, CPUID_ECX) & 0x4, 0); /* SVM */
	assert_int_equal(cpu_identity_word(&id, 0x7, 0, CPUID_EDX) >> 22 & 5, 0);    /* AMX */
	assert_int_equal(id.msr[CPU_MSR_ARCH_CAPABILITIES] >> 63, 0);
	free(guest);
	free(table);
}

static uint32_t random_word(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 32);
}

/* A host that could be: of one vendor, with few and small differences where these weigh. */
static struct cpu_identity random_host(uint64_t *seed)
{
	struct kvm_cpuid2 *table =
		calloc(1, sizeof(*table) + CPU_IDENTITY_WORDS * sizeof(table->entries[0]));
	uint64_t msr[CPU_IDENTITY_MSRS];
	struct cpu_identity id;

	assert_non_null(table);
	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++) {
		const struct cpu_rule *rule = &cpu_rules[i];
		bool narrow = rule->join == CPU_LAYOUT || rule->join == CPU_OLDEST;
		uint32_t value = rule->join == CPU_SAME ? 7 : random_word(seed);
		struct kvm_cpuid_entry2 e = {.function = rule->leaf, .index = rule->sub};
		uint32_t *reg[] = {&e.eax, &e.ebx, &e.ecx, &e.edx};

		*reg[rule->reg] = narrow ? value & 1 : value;
		if (rule->join == CPU_LAYOUT)
			*reg[rule->reg] += 64;
		/* Entries of one leaf would hide each other: merge. */
		unsigned at = 0;
		while (at < table->nent && (table->entries[at].function != e.function ||
					    table->entries[at].index != e.index))
			at++;
		if (at == table->nent)
			table->entries[table->nent++] = e;
		table->entries[at].eax |= e.eax;
		table->entries[at].ebx |= e.ebx;
		table->entries[at].ecx |= e.ecx;
		table->entries[at].edx |= e.edx;
	}
	for (unsigned i = 0; i < CPU_IDENTITY_MSRS; i++)
		msr[i] = (uint64_t)random_word(seed) << 32 | random_word(seed);
	cpu_identity_of(table, msr, &id);
	free(table);
	return id;
}

static struct cpu_identity joined(const struct cpu_identity *a, const struct cpu_identity *b)
{
	struct cpu_identity common = *a;

	assert_int_equal(cpu_identity_join(&common, b), 0);
	return common;
}

static void joining_depends_on_no_order(void **state)
{
	uint64_t seed = 1;

	for (unsigned round = 0; round < 2000; round++) {
		const struct cpu_identity a = random_host(&seed), b = random_host(&seed),
					  c = random_host(&seed);
		const struct cpu_identity ab = joined(&a, &b), ba = joined(&b, &a),
					  bc = joined(&b, &c), ab_c = joined(&ab, &c),
					  a_bc = joined(&a, &bc), aa = joined(&a, &a);

		assert_true(cpu_identity_is_sound(&a) && cpu_identity_is_sound(&ab_c));
		assert_memory_equal(&aa, &a, sizeof(a));
		assert_memory_equal(&ab, &ba, sizeof(ab));
		assert_memory_equal(&ab_c, &a_bc, sizeof(ab_c));
		assert_true(cpu_identity_covers(&a, &ab_c) && cpu_identity_covers(&c, &ab_c));
	}
}

static void set(struct cpu_identity *id, uint32_t leaf, uint32_t sub, enum cpuid_reg reg,
		uint32_t value)
{
	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++)
		if (cpu_rules[i].leaf == leaf && cpu_rules[i].sub == sub && cpu_rules[i].reg == reg)
			id->word[i] = value & cpu_rules[i].mask;
}

static void a_promise_that_a_host_cannot_keep_is_seen(void **state)
{
	struct cpu_identity own = host("amd-epyc"), told = own;

	assert_true(cpu_identity_covers(&own, &told));
	set(&told, 0x7, 0, CPUID_EBX, UINT32_C(1) << 16); /* AVX-512 */
	assert_false(cpu_identity_covers(&own, &told));
	told = own;
	set(&told, 0x80000008, 0, CPUID_EAX, 57 << 8 | 52);
	assert_false(cpu_identity_covers(&own, &told));
	told = own;
	told.msr[CPU_MSR_DE_CFG] |= 2;
	own.msr[CPU_MSR_DE_CFG] = 0;
	assert_false(cpu_identity_covers(&own, &told));
}

/* As a peer might send them; joined with CPU_EITHER each would reach the guest. */
static void bits_that_no_rule_has_are_seen(void **state)
{
	const struct cpu_identity sound = host("intel-made-up");

	assert_true(cpu_identity_is_sound(&sound));
	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++) {
		struct cpu_identity id = sound;

		id.word[i] = UINT32_MAX;
		assert_int_equal(cpu_identity_is_sound(&id), cpu_rules[i].mask == UINT32_MAX);
	}
	for (unsigned i = 0; i < CPU_IDENTITY_MSRS; i++) {
		struct cpu_identity id = sound;

		id.msr[i] = UINT64_MAX;
		assert_int_equal(cpu_identity_is_sound(&id),
				 !(cpu_msr_rules[i].both | cpu_msr_rules[i].either));
	}
}

static void vendors_do_not_mix(void **state)
{
	struct cpu_identity amd = host("amd-epyc"), intel = host("intel-made-up"), before = amd;

	assert_int_equal(cpu_identity_join(&amd, &intel), -EINVAL);
	assert_memory_equal(&amd, &before, sizeof(amd));
	assert_false(cpu_identity_covers(&amd, &intel));
}

static void widths_are_the_smaller_ones(void **state)
{
	struct cpu_identity a = host("intel-made-up"), b = a;

	set(&a, 0x80000008, 0, CPUID_EAX, 48 << 8 | 39);
	set(&b, 0x80000008, 0, CPUID_EAX, 57 << 8 | 46);
	assert_int_equal(cpu_identity_join(&b, &a), 0);
	assert_int_equal(cpu_identity_word(&b, 0x80000008, 0, CPUID_EAX), 48 << 8 | 39);
	assert_int_equal(cpu_identity_phys_bits(&b), 39);
}

static void mitigations_that_one_host_needs_are_seen(void **state)
{
	struct cpu_identity a = host("intel-made-up"), b = a;
	enum { RSBA = 4, MDS_NO = 32 };

	a.msr[CPU_MSR_ARCH_CAPABILITIES] = MDS_NO;
	b.msr[CPU_MSR_ARCH_CAPABILITIES] = MDS_NO | RSBA;
	assert_int_equal(cpu_identity_join(&a, &b), 0);
	assert_int_equal(a.msr[CPU_MSR_ARCH_CAPABILITIES], MDS_NO | RSBA);
	b.msr[CPU_MSR_ARCH_CAPABILITIES] = RSBA;
	assert_int_equal(cpu_identity_join(&a, &b), 0);
	assert_int_equal(a.msr[CPU_MSR_ARCH_CAPABILITIES], RSBA);

	a.msr[CPU_MSR_UCODE_REV] = UINT64_C(0x21) << 32;
	b.msr[CPU_MSR_UCODE_REV] = UINT64_C(0x1f) << 32;
	assert_int_equal(cpu_identity_join(&a, &b), 0);
	assert_int_equal(a.msr[CPU_MSR_UCODE_REV], UINT64_C(0x1f) << 32);
}

static void the_guest_is_told_the_older_model(void **state)
{
	struct cpu_identity old = host("amd-epyc"), new = old;

	set(&new, 0x1, 0, CPUID_EAX, 0x00a00f11);
	set(&new, 0x80000002, 0, CPUID_EAX, 0x77656e);
	assert_int_equal(cpu_identity_join(&new, &old), 0);
	assert_memory_equal(&new, &old, sizeof(old));
}

/* PKRU lies elsewhere in the XSAVE areas of two hosts: a saved vCPU would be torn. */
static void state_that_lies_elsewhere_is_left_out(void **state)
{
	struct cpu_identity a = host("amd-made-up"), b = a;
	enum { PKU = 8, PKRU = 0x200 };

	assert_true(cpu_identity_word(&a, 0x7, 0, CPUID_ECX) & PKU);
	assert_true(cpu_identity_word(&a, 0xd, 0, CPUID_EAX) & PKRU);
	set(&b, 0xd, 9, CPUID_EBX, cpu_identity_word(&b, 0xd, 9, CPUID_EBX) + 64);
	assert_int_equal(cpu_identity_join(&a, &b), 0);
	assert_false(cpu_identity_word(&a, 0x7, 0, CPUID_ECX) & PKU);
	assert_false(cpu_identity_word(&a, 0xd, 0, CPUID_EAX) & PKRU);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_of_two_hosts_sees_what_it_saw_before),
		cmocka_unit_test(a_host_that_offers_everything_gives_only_what_is_allowed),
		cmocka_unit_test(joining_depends_on_no_order),
		cmocka_unit_test(a_promise_that_a_host_cannot_keep_is_seen),
		cmocka_unit_test(bits_that_no_rule_has_are_seen),
		cmocka_unit_test(vendors_do_not_mix),
		cmocka_unit_test(widths_are_the_smaller_ones),
		cmocka_unit_test(mitigations_that_one_host_needs_are_seen),
		cmocka_unit_test(the_guest_is_told_the_older_model),
		cmocka_unit_test(state_that_lies_elsewhere_is_left_out),
	};

	folder = argc > 1 ? argv[1] : ".";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
