/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of CPUID and of the feature MSRs may reach a guest; see cpu/identity.h. In the order of
 * leaves; the vendor and the signature come first, since joining looks at them first.
 *
 * Left out on purpose, besides what nobody has looked at:
 *   MONITOR, WAITPKG, MWAITX   a CPU that waits like this in the guest is not seen to be idle
 *   VMX, SVM, SMX, SGX         no nested guests, no enclaves
 *   PMU, DTES, IBS, PT, LBR    counters belong to a host and do not move
 *   AMX, CET, PKS, UINTR, LWP  state that a vCPU's image does not hold
 *   LA57                       a fifth level of tables for no memory that this machine can have
 *   TOPOEXT, L3 counters, OSVW per-host topology and errata
 * Built per vCPU in cpu/cpuid.c and therefore not here: maximum leaves, APIC ids, topology, x2APIC,
 * hypervisor, TSC and hypervisor leaves.
 */
#include "cpu/identity.h"

#define B(n) (UINT32_C(1) << (n))
#define ALL  UINT32_MAX

#define EAX CPUID_EAX
#define EBX CPUID_EBX
#define ECX CPUID_ECX
#define EDX CPUID_EDX

/* SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT TSC-deadline AES XSAVE AVX F16C RDRAND
 */
#define LEAF1_ECX                                                                                  \
	(B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) | B(24) |      \
	 B(25) | B(26) | B(28) | B(29) | B(30))
/* FPU VME DE PSE TSC MSR PAE MCE CX8 APIC, and MTRR PGE MCA CMOV PAT PSE36: AMD repeats these */
#define LEAF1_EDX_OLD (UINT32_C(0x3ff) | UINT32_C(0x3f000))
/* SEP CLFLUSH MMX FXSR SSE SSE2 SS */
#define LEAF1_EDX (LEAF1_EDX_OLD | B(11) | B(19) | B(23) | B(24) | B(25) | B(26) | B(27))
/* FSGSBASE TSC_ADJUST BMI1 HLE AVX2 SMEP BMI2 ERMS INVPCID RTM, AVX512 F DQ, RDSEED ADX SMAP IFMA
 * CLFLUSHOPT CLWB, AVX512 PF ER CD, SHA, AVX512 BW VL */
#define LEAF7_EBX                                                                                  \
	(B(0) | B(1) | B(3) | B(4) | B(5) | B(7) | B(8) | B(9) | B(10) | B(11) | B(16) | B(17) |   \
	 B(18) | B(19) | B(20) | B(21) | B(23) | B(24) | B(26) | B(27) | B(28) | B(29) | B(30) |   \
	 B(31))
/* FDP_EXCPTN_ONLY, ZERO_FCS_FDS: the FPU no longer saves these */
#define LEAF7_EBX_LESS (B(6) | B(13))
/* VBMI UMIP PKU VBMI2 GFNI VAES VPCLMUL VNNI BITALG VPOPCNTDQ RDPID CLDEMOTE MOVDIRI MOVDIR64B */
#define LEAF7_ECX                                                                                  \
	(B(1) | B(2) | B(3) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) | B(22) | B(25) | \
	 B(27) | B(28))
/* 4VNNIW 4FMAPS FSRM VP2INTERSECT MD_CLEAR SERIALIZE TSXLDTRK AVX512_FP16 SPEC_CTRL STIBP FLUSH_L1D
 * ARCH_CAPABILITIES SSBD */
#define LEAF7_EDX                                                                                  \
	(B(2) | B(3) | B(4) | B(8) | B(10) | B(14) | B(16) | B(23) | B(26) | B(27) | B(28) |       \
	 B(29) | B(31))
/* SHA512 SM3 SM4 AVX_VNNI AVX512_BF16 CMPCCXADD FZRM FSRS FSRC AVX_IFMA */
#define LEAF7_1_EAX (B(0) | B(1) | B(2) | B(4) | B(5) | B(7) | B(10) | B(11) | B(12) | B(23))
/* AVX_VNNI_INT8 AVX_NE_CONVERT AVX_VNNI_INT16 PREFETCHITI */
#define LEAF7_1_EDX (B(4) | B(5) | B(10) | B(14))
/* PSFD IPRED_CTRL RRSBA_CTRL DDPD_U BHI_CTRL MCDT_NO: what a mitigation may use */
#define LEAF7_2_EDX UINT32_C(0x3f)
/* x87 SSE AVX, three of AVX-512, PKRU: what fits the XSAVE area that every KVM can save */
#define XFEATURES (UINT32_C(0x7) | UINT32_C(0xe0) | B(9))
/* LAHF CMP_LEGACY CR8_LEGACY ABM SSE4A MISALIGNSSE 3DNOWPREFETCH XOP FMA4 TBM */
#define EXT1_ECX (B(0) | B(1) | B(4) | B(5) | B(6) | B(7) | B(8) | B(11) | B(16) | B(21))
/* SYSCALL NX MMXEXT MMX FXSR FXSR_OPT 1GB RDTSCP LM 3DNOWEXT 3DNOW */
#define EXT1_EDX                                                                                   \
	(LEAF1_EDX_OLD | B(11) | B(20) | B(22) | B(23) | B(24) | B(25) | B(26) | B(27) | B(29) |   \
	 B(30) | B(31))
/* CLZERO XSAVEERPTR WBNOINVD IBPB IBRS STIBP, the last two always on, preferred, same mode, SSBD
 * VIRT_SSBD SSB_NO PSFD BTC_NO IBPB_RET */
#define EXT8_EBX                                                                                   \
	(B(0) | B(2) | B(9) | B(12) | B(14) | B(15) | B(16) | B(17) | B(18) | B(19) | B(24) |      \
	 B(25) | B(26) | B(28) | B(29) | B(30))
/* NO_NESTED_DATA_BP FSGS_NON_SERIALIZING LFENCE_RDTSC VERW_CLEAR NULL_SEL_CLR_BASE AUTOIBRS
 * NO_SMM_CTL SBPB IBPB_BRTYPE SRSO_NO SRSO_USER_KERNEL_NO */
#define EXT21_EAX (B(0) | B(1) | B(2) | B(5) | B(6) | B(8) | B(9) | B(27) | B(28) | B(29) | B(30))
/* TSA_SQ_NO TSA_L1_NO */
#define EXT21_ECX (B(1) | B(2))

/* clang-format off */
#define FOUR(leaf, sub, join)                                                                      \
	{leaf, sub, EAX, join, ALL}, {leaf, sub, EBX, join, ALL},                                  \
	{leaf, sub, ECX, join, ALL}, {leaf, sub, EDX, join, ALL}
#define COMPONENT(n)                                                                               \
	{0xd, n, EAX, CPU_LAYOUT, ALL}, {0xd, n, EBX, CPU_LAYOUT, ALL}, {0xd, n, ECX, CPU_LAYOUT, ALL}

const struct cpu_rule cpu_rules[CPU_IDENTITY_WORDS] = {
	{0x0, 0, EBX, CPU_SAME, ALL}, {0x0, 0, ECX, CPU_SAME, ALL}, {0x0, 0, EDX, CPU_SAME, ALL},
	{0x1, 0, EAX, CPU_OLDEST, ALL},
	{0x1, 0, EBX, CPU_SAME, 0xff00}, /* bytes that CLFLUSH flushes, in eights */
	{0x1, 0, ECX, CPU_BOTH, LEAF1_ECX},
	{0x1, 0, EDX, CPU_BOTH, LEAF1_EDX},
	FOUR(0x4, 0, CPU_OLDEST), FOUR(0x4, 1, CPU_OLDEST), FOUR(0x4, 2, CPU_OLDEST),
	FOUR(0x4, 3, CPU_OLDEST),
	{0x7, 0, EBX, CPU_BOTH, LEAF7_EBX},
	{0x7, 0, EBX, CPU_EITHER, LEAF7_EBX_LESS},
	{0x7, 0, ECX, CPU_BOTH, LEAF7_ECX},
	{0x7, 0, EDX, CPU_BOTH, LEAF7_EDX},
	{0x7, 1, EAX, CPU_BOTH, LEAF7_1_EAX},
	{0x7, 1, EDX, CPU_BOTH, LEAF7_1_EDX},
	{0x7, 2, EDX, CPU_BOTH, LEAF7_2_EDX},
	{0xd, 0, EAX, CPU_BOTH, XFEATURES},
	{0xd, 1, EAX, CPU_BOTH, 0xf}, /* XSAVEOPT XSAVEC XGETBV1 XSAVES */
	COMPONENT(2), COMPONENT(5), COMPONENT(6), COMPONENT(7), COMPONENT(9),
	{0x80000001, 0, EAX, CPU_OLDEST, ALL}, {0x80000001, 0, EBX, CPU_OLDEST, ALL},
	{0x80000001, 0, ECX, CPU_BOTH, EXT1_ECX},
	{0x80000001, 0, EDX, CPU_BOTH, EXT1_EDX},
	FOUR(0x80000002, 0, CPU_OLDEST), FOUR(0x80000003, 0, CPU_OLDEST),
	FOUR(0x80000004, 0, CPU_OLDEST), /* the name */
	FOUR(0x80000005, 0, CPU_OLDEST), FOUR(0x80000006, 0, CPU_OLDEST), /* caches */
	{0x80000008, 0, EAX, CPU_LEAST, 0xffff}, /* physical, linear address bits */
	{0x80000008, 0, EBX, CPU_BOTH, EXT8_EBX},
	{0x80000021, 0, EAX, CPU_BOTH, EXT21_EAX},
	{0x80000021, 0, ECX, CPU_BOTH, EXT21_ECX},
};
/* clang-format on */

#define Q(n) (UINT64_C(1) << (n))

const struct cpu_msr_rule cpu_msr_rules[CPU_IDENTITY_MSRS] = {
	/* Linux compares it with the revisions that it knows to be bad. */
	[CPU_MSR_UCODE_REV] = {.index = 0x8b},
	/*
	 * RDCL_NO IBRS_ALL SKIP_L1DFL SSB_NO MDS_NO PSCHANGE_MC_NO TSX_CTRL TAA_NO SBDR_SSDP_NO
	 * FBSDP_NO PSDP_NO FB_CLEAR BHI_NO PBRSB_NO GDS_NO RFDS_NO RFDS_CLEAR ITS_NO: good news
	 * must be true everywhere. RSBA RRSBA: bad news need be true on one host only.
	 */
	[CPU_MSR_ARCH_CAPABILITIES] = {.index = 0x10a,
				       .both = Q(0) | Q(1) | Q(3) | Q(4) | Q(5) | Q(6) | Q(7) |
					       Q(8) | Q(13) | Q(14) | Q(15) | Q(17) | Q(20) |
					       Q(24) | Q(26) | Q(27) | Q(28) | Q(62),
				       .either = Q(2) | Q(19)},
	/* LFENCE serializes */
	[CPU_MSR_DE_CFG] = {.index = 0xc0011029, .both = Q(1)},
};
