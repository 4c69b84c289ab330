/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include <inttypes.h>

#include "tests/cpu/golden.h"

static void read_line(struct golden_host *host, const char *line)
{
	struct kvm_cpuid_entry2 e = {0};
	uint32_t index;
	uint64_t value;

	if (sscanf(line, "msr %" SCNx32 " %" SCNx64, &index, &value) == 2) {
		for (unsigned i = 0; i < CPU_IDENTITY_MSRS; i++)
			if (cpu_msr_rules[i].index == index)
				host->msr[i] = value;
		return;
	}
	if (sscanf(line, "%x %x %x %x %x %x", &e.function, &e.index, &e.eax, &e.ebx, &e.ecx,
		   &e.edx) == 6) {
		assert_true(host->table->nent < GOLDEN_ENTRIES);
		host->table->entries[host->table->nent++] = e;
		return;
	}
	if (line[0] != '#' && line[0] != '\n')
		fail_msg("no CPUID entry and no MSR: %s", line);
}

struct golden_host golden_read(const char *path)
{
	struct golden_host host = {
		.table = calloc(1, sizeof(*host.table) +
					   GOLDEN_ENTRIES * sizeof(host.table->entries[0]))};
	FILE *f = fopen(path, "re");
	char line[200];

	if (!f || !host.table)
		fail_msg("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f))
		read_line(&host, line);
	fclose(f);
	assert_true(host.table->nent > 0);
	return host;
}

static int by_leaf(const void *a, const void *b)
{
	const struct kvm_cpuid_entry2 *x = a, *y = b;

	if (x->function != y->function)
		return x->function < y->function ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

void golden_print(const struct kvm_cpuid2 *table, const uint64_t msr[CPU_IDENTITY_MSRS], FILE *f)
{
	struct kvm_cpuid_entry2 sorted[GOLDEN_ENTRIES];

	assert_true(table->nent <= GOLDEN_ENTRIES);
	memcpy(sorted, table->entries, table->nent * sizeof(sorted[0]));
	qsort(sorted, table->nent, sizeof(sorted[0]), by_leaf);
	for (uint32_t i = 0; i < table->nent; i++)
		fprintf(f, "%08x %x %08x %08x %08x %08x\n", sorted[i].function, sorted[i].index,
			sorted[i].eax, sorted[i].ebx, sorted[i].ecx, sorted[i].edx);
	for (unsigned i = 0; i < CPU_IDENTITY_MSRS; i++)
		fprintf(f, "msr %x %" PRIx64 "\n", cpu_msr_rules[i].index, msr[i]);
}
