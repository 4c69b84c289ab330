/* SPDX-License-Identifier: Apache-2.0 */
/* Machines to encode: small, split by the PCI hole, wide APIC ids, and the largest allowed. */
#ifndef SSIHV_TESTS_ACPI_MACHINES_H
#define SSIHV_TESTS_ACPI_MACHINES_H

#include "acpi/acpi.h"

struct machines {
	struct acpi_cpu cpu[MAX_VCPUS];
	struct acpi_memory memory[ACPI_MAX_MEMORY];
	uint8_t distance[MAX_NODES * MAX_NODES];
	struct acpi_machine machine;
};

static const struct acpi_override machine_overrides[] = {
	{.source = 0, .gsi = 2},
	{.source = 9, .gsi = 9, .level = true},
};

/* The hardware of every machine, and @cpus processors from @first_id on dealt out to @nodes. */
static inline void machine_hardware(struct machines *m, unsigned nodes, unsigned cpus,
				    uint32_t first_id)
{
	memset(m, 0, sizeof(*m));
	for (unsigned i = 0; i < cpus; i++)
		m->cpu[i] = (struct acpi_cpu){
			.apic_id = i ? first_id + i - 1 : 0,
			.node = i % nodes,
		};
	for (unsigned from = 0; from < nodes; from++)
		for (unsigned to = 0; to < nodes; to++)
			m->distance[from * nodes + to] =
				from == to ? 10 : (uint8_t)(20 + (from + 2 * to) % 200);
	m->machine = (struct acpi_machine){
		.nodes = nodes,
		.ncpus = cpus,
		.cpu = m->cpu,
		.memory = m->memory,
		.distance = m->distance,
		.lapic_gpa = 0xfee00000,
		.ioapic_gpa = 0xfec00000,
		.nmi_lint = 1,
		.noverrides = ARRAY_SIZE(machine_overrides),
		.override = machine_overrides,
		.pm1_event_port = 0x600,
		.pm1_control_port = 0x604,
		.pm_timer_port = 0x608,
		.reset_port = 0xcf9,
		.reset_value = 6,
		.sci_irq = 9,
		.s5_type = 5,
		.com1_port = 0x3f8,
		.com1_irq = 4,
		.rtc_port = 0x70,
		.rtc_irq = 8,
		.rtc_century = 0x32,
	};
}

/* Two nodes of different sizes, all of it below the hole. */
static inline void machine_small(struct machines *m)
{
	machine_hardware(m, 2, 2, 1);
	m->memory[0] = (struct acpi_memory){0, 512 * MIB, 0};
	m->memory[1] = (struct acpi_memory){512 * MIB, 1 * GIB, 1};
	m->machine.nmemory = 2;
}

/* Node 1 lies on both sides of the hole. */
static inline void machine_split(struct machines *m)
{
	machine_hardware(m, 2, 4, 1);
	m->memory[0] = (struct acpi_memory){0, 2 * GIB, 0};
	m->memory[1] = (struct acpi_memory){2 * GIB, 1 * GIB, 1};
	m->memory[2] = (struct acpi_memory){4 * GIB, 7 * GIB, 1};
	m->machine.nmemory = 3;
}

/* APIC ids 0, 253, 254, 255, ... on both sides of the border to x2APIC. */
static inline void machine_wide(struct machines *m)
{
	machine_split(m);
	machine_hardware(m, 2, 300, 253);
	m->memory[0] = (struct acpi_memory){0, 3 * GIB, 0};
	m->memory[1] = (struct acpi_memory){4 * GIB, 2 * MIB, 1};
	m->machine.nmemory = 2;
}

/* As large as the limits allow, every APIC id of the long form but one. */
static inline void machine_largest(struct machines *m)
{
	machine_hardware(m, MAX_NODES, MAX_VCPUS, 0x10000);
	for (unsigned i = 0; i < ACPI_MAX_MEMORY; i++)
		m->memory[i] =
			(struct acpi_memory){i * (UINT64_C(1) << 40), 1 * GIB, i % MAX_NODES};
	m->machine.nmemory = ACPI_MAX_MEMORY;
}

#endif
