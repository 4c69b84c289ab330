/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MADT (ACPI 6.3, 5.2.12): one entry a processor in the machine's order, so that the boot
 * processor comes first, then the I/O APIC, the overrides and the NMI pins.
 */
#include "acpi/tables.h"

#define MADT_REVISION 5
#define PCAT_COMPAT   1u
#define CPU_ENABLED   1u
#define ALL_CPUS      UINT8_MAX
#define ALL_X2APICS   UINT32_MAX
#define POLARITY_HIGH 0x1u
#define POLARITY_LOW  0x3u
#define TRIGGER_EDGE  0x4u
#define TRIGGER_LEVEL 0xcu

enum madt_type {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LAPIC_NMI = 4,
	MADT_X2APIC = 9,
	MADT_X2APIC_NMI = 10,
};

struct madt_lapic {
	uint8_t type;
	uint8_t length;
	uint8_t uid;
	uint8_t apic_id;
	uint32_t flags;
} __attribute__((packed));
static_assert(sizeof(struct madt_lapic) == 8, "ACPI 6.3, 5.2.12.2");

struct madt_ioapic {
	uint8_t type;
	uint8_t length;
	uint8_t id;
	uint8_t reserved;
	uint32_t address;
	uint32_t gsi_base;
} __attribute__((packed));
static_assert(sizeof(struct madt_ioapic) == 12, "ACPI 6.3, 5.2.12.3");

struct madt_override {
	uint8_t type;
	uint8_t length;
	uint8_t bus;
	uint8_t source;
	uint32_t gsi;
	uint16_t flags;
} __attribute__((packed));
static_assert(sizeof(struct madt_override) == 10, "ACPI 6.3, 5.2.12.5");

struct madt_lapic_nmi {
	uint8_t type;
	uint8_t length;
	uint8_t uid;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));
static_assert(sizeof(struct madt_lapic_nmi) == 6, "ACPI 6.3, 5.2.12.7");

struct madt_x2apic {
	uint8_t type;
	uint8_t length;
	uint16_t reserved;
	uint32_t apic_id;
	uint32_t flags;
	uint32_t uid;
} __attribute__((packed));
static_assert(sizeof(struct madt_x2apic) == 16, "ACPI 6.3, 5.2.12.12");

struct madt_x2apic_nmi {
	uint8_t type;
	uint8_t length;
	uint16_t flags;
	uint32_t uid;
	uint8_t lint;
	uint8_t reserved[3];
} __attribute__((packed));
static_assert(sizeof(struct madt_x2apic_nmi) == 12, "ACPI 6.3, 5.2.12.13");

/* Return: whether the processor needed the x2APIC form. */
static bool add_cpu(struct enc *enc, uint32_t apic_id)
{
	struct madt_lapic lapic = {
		.type = MADT_LAPIC,
		.length = sizeof(lapic),
		.uid = (uint8_t)apic_id,
		.apic_id = (uint8_t)apic_id,
		.flags = CPU_ENABLED,
	};
	struct madt_x2apic x2apic = {
		.type = MADT_X2APIC,
		.length = sizeof(x2apic),
		.apic_id = apic_id,
		.flags = CPU_ENABLED,
		.uid = apic_id,
	};
	bool wide = apic_id >= ACPI_FIRST_X2APIC_ID;

	if (wide)
		enc_bytes(enc, &x2apic, sizeof(x2apic));
	else
		enc_bytes(enc, &lapic, sizeof(lapic));
	return wide;
}

static void add_ioapic(struct enc *enc, const struct acpi_machine *machine)
{
	struct madt_ioapic ioapic = {
		.type = MADT_IOAPIC,
		.length = sizeof(ioapic),
		.id = machine->ioapic_id,
		.address = machine->ioapic_gpa,
	};

	enc_bytes(enc, &ioapic, sizeof(ioapic));
}

static void add_override(struct enc *enc, const struct acpi_override *override)
{
	unsigned polarity = override->active_low ? POLARITY_LOW : POLARITY_HIGH;
	unsigned trigger = override->level ? TRIGGER_LEVEL : TRIGGER_EDGE;
	struct madt_override entry = {
		.type = MADT_OVERRIDE,
		.length = sizeof(entry),
		.source = override->source,
		.gsi = override->gsi,
		.flags = (uint16_t)(polarity | trigger),
	};

	enc_bytes(enc, &entry, sizeof(entry));
}

static void add_nmi(struct enc *enc, uint8_t lint, bool narrow, bool wide)
{
	struct madt_lapic_nmi lapic = {
		.type = MADT_LAPIC_NMI,
		.length = sizeof(lapic),
		.uid = ALL_CPUS,
		.lint = lint,
	};
	struct madt_x2apic_nmi x2apic = {
		.type = MADT_X2APIC_NMI,
		.length = sizeof(x2apic),
		.uid = ALL_X2APICS,
		.lint = lint,
	};

	if (narrow)
		enc_bytes(enc, &lapic, sizeof(lapic));
	if (wide)
		enc_bytes(enc, &x2apic, sizeof(x2apic));
}

void acpi_madt(struct enc *enc, const struct acpi_machine *machine)
{
	size_t start = enc_table_begin(enc, "APIC", MADT_REVISION);
	uint32_t flags = machine->pic ? PCAT_COMPAT : 0;
	bool wide = false, narrow = false;

	enc_bytes(enc, &machine->lapic_gpa, sizeof(machine->lapic_gpa));
	enc_bytes(enc, &flags, sizeof(flags));
	for (unsigned i = 0; i < machine->ncpus; i++) {
		bool is_wide = add_cpu(enc, machine->cpu[i].apic_id);

		wide |= is_wide;
		narrow |= !is_wide;
	}
	add_ioapic(enc, machine);
	for (unsigned i = 0; i < machine->noverrides; i++)
		add_override(enc, &machine->override[i]);
	add_nmi(enc, machine->nmi_lint, narrow, wide);
	enc_table_end(enc, start);
}
