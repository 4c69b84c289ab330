/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SRAT (ACPI 6.3, 5.2.16): which processors and which memory belong to which node. A proximity
 * domain is a node's number.
 */
#include "acpi/tables.h"

#define SRAT_REVISION 3
#define SRAT_ENABLED  1u

enum srat_type {
	SRAT_LAPIC = 0,
	SRAT_MEMORY = 1,
	SRAT_X2APIC = 2,
};

struct srat_prologue {
	uint32_t reserved1; /* must be 1 */
	uint64_t reserved;
} __attribute__((packed));
static_assert(sizeof(struct srat_prologue) == 12, "ACPI 6.3, 5.2.16");

struct srat_lapic {
	uint8_t type;
	uint8_t length;
	uint8_t domain_low;
	uint8_t apic_id;
	uint32_t flags;
	uint8_t sapic_eid;
	uint8_t domain_high[3];
	uint32_t clock_domain;
} __attribute__((packed));
static_assert(sizeof(struct srat_lapic) == 16, "ACPI 6.3, 5.2.16.1");
static_assert(MAX_NODES <= UINT8_MAX + 1, "a node's number fits domain_low");

struct srat_memory {
	uint8_t type;
	uint8_t length;
	uint32_t domain;
	uint16_t reserved0;
	uint64_t base;
	uint64_t bytes;
	uint32_t reserved1;
	uint32_t flags;
	uint64_t reserved2;
} __attribute__((packed));
static_assert(sizeof(struct srat_memory) == 40, "ACPI 6.3, 5.2.16.2");

struct srat_x2apic {
	uint8_t type;
	uint8_t length;
	uint16_t reserved0;
	uint32_t domain;
	uint32_t apic_id;
	uint32_t flags;
	uint32_t clock_domain;
	uint32_t reserved1;
} __attribute__((packed));
static_assert(sizeof(struct srat_x2apic) == 24, "ACPI 6.3, 5.2.16.3");

static void add_cpu(struct enc *enc, const struct acpi_cpu *cpu)
{
	struct srat_lapic lapic = {
		.type = SRAT_LAPIC,
		.length = sizeof(lapic),
		.domain_low = (uint8_t)cpu->node,
		.apic_id = (uint8_t)cpu->apic_id,
		.flags = SRAT_ENABLED,
	};
	struct srat_x2apic x2apic = {
		.type = SRAT_X2APIC,
		.length = sizeof(x2apic),
		.domain = cpu->node,
		.apic_id = cpu->apic_id,
		.flags = SRAT_ENABLED,
	};

	if (cpu->apic_id >= ACPI_FIRST_X2APIC_ID)
		enc_bytes(enc, &x2apic, sizeof(x2apic));
	else
		enc_bytes(enc, &lapic, sizeof(lapic));
}

static void add_memory(struct enc *enc, const struct acpi_memory *range)
{
	struct srat_memory memory = {
		.type = SRAT_MEMORY,
		.length = sizeof(memory),
		.domain = range->node,
		.base = range->gpa,
		.bytes = range->size,
		.flags = SRAT_ENABLED,
	};

	enc_bytes(enc, &memory, sizeof(memory));
}

void acpi_srat(struct enc *enc, const struct acpi_machine *machine)
{
	struct srat_prologue prologue = {.reserved1 = 1};
	size_t start = enc_table_begin(enc, "SRAT", SRAT_REVISION);

	enc_bytes(enc, &prologue, sizeof(prologue));
	for (unsigned i = 0; i < machine->ncpus; i++)
		add_cpu(enc, &machine->cpu[i]);
	for (unsigned i = 0; i < machine->nmemory; i++)
		add_memory(enc, &machine->memory[i]);
	enc_table_end(enc, start);
}
