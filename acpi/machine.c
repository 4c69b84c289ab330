/* SPDX-License-Identifier: Apache-2.0 */
#include "acpi/acpi.h"

#include <inttypes.h>

#define X2APIC_BROADCAST UINT32_MAX
#define MEMORY_LIMIT	 (UINT64_C(1) << 52)

static int check_counts(const struct acpi_machine *m, struct err *err)
{
	if (m->nodes < 1 || m->nodes > MAX_NODES)
		return err_set(err, -EINVAL, "%u nodes: a machine has 1 to %d", m->nodes,
			       MAX_NODES);
	if (m->ncpus < 1 || m->ncpus > MAX_VCPUS)
		return err_set(err, -EINVAL, "%u CPUs: a machine has 1 to %d", m->ncpus, MAX_VCPUS);
	if (m->nmemory < 1 || m->nmemory > ACPI_MAX_MEMORY)
		return err_set(err, -EINVAL, "%u ranges of memory: a machine has 1 to %d",
			       m->nmemory, ACPI_MAX_MEMORY);
	if (m->noverrides > ACPI_MAX_OVERRIDES)
		return err_set(err, -EINVAL, "%u interrupt overrides: at most %d are allowed",
			       m->noverrides, ACPI_MAX_OVERRIDES);
	return 0;
}

static int check_cpus(const struct acpi_machine *m, struct err *err)
{
	for (unsigned i = 0; i < m->ncpus; i++) {
		if (m->cpu[i].node >= m->nodes)
			return err_set(err, -EINVAL, "CPU %u is on node %u: there are %u nodes", i,
				       m->cpu[i].node, m->nodes);
		if (m->cpu[i].apic_id == X2APIC_BROADCAST)
			return err_set(err, -EINVAL, "CPU %u has the broadcast APIC id 0x%x", i,
				       m->cpu[i].apic_id);
		for (unsigned k = 0; k < i; k++)
			if (m->cpu[k].apic_id == m->cpu[i].apic_id)
				return err_set(err, -EINVAL,
					       "CPUs %u and %u have the same APIC "
					       "id %u",
					       k, i, m->cpu[i].apic_id);
	}
	return 0;
}

static bool overlap(const struct acpi_memory *a, const struct acpi_memory *b)
{
	return a->gpa < b->gpa + b->size && b->gpa < a->gpa + a->size;
}

static int check_memory(const struct acpi_machine *m, struct err *err)
{
	for (unsigned i = 0; i < m->nmemory; i++) {
		const struct acpi_memory *range = &m->memory[i];

		if (range->node >= m->nodes)
			return err_set(err, -EINVAL,
				       "memory at 0x%" PRIx64 " is on node %u: there are %u nodes",
				       range->gpa, range->node, m->nodes);
		if (range->size == 0 || range->size > MEMORY_LIMIT ||
		    range->gpa > MEMORY_LIMIT - range->size)
			return err_set(err, -EINVAL,
				       "memory at 0x%" PRIx64 " has %" PRIu64
				       " bytes: it must not be empty and end below 2^52",
				       range->gpa, range->size);
		for (unsigned k = 0; k < i; k++)
			if (overlap(range, &m->memory[k]))
				return err_set(err, -EINVAL,
					       "memory at 0x%" PRIx64 " and at 0x%" PRIx64
					       " overlaps",
					       m->memory[k].gpa, range->gpa);
	}
	return 0;
}

/* Linux drops a SLIT as a whole when an entry off the diagonal is not above the local distance. */
static int check_distances(const struct acpi_machine *m, struct err *err)
{
	for (unsigned from = 0; from < m->nodes; from++)
		for (unsigned to = 0; to < m->nodes; to++) {
			unsigned d = m->distance[from * m->nodes + to];

			if (from == to && d != ACPI_DISTANCE_LOCAL)
				return err_set(err, -EINVAL,
					       "distance of node %u to itself is %u: it must be %d",
					       from, d, ACPI_DISTANCE_LOCAL);
			if (from != to && (d <= ACPI_DISTANCE_LOCAL || d > ACPI_DISTANCE_MAX))
				return err_set(err, -EINVAL,
					       "distance from node %u to node %u is %u: it must be "
					       "%d to %d",
					       from, to, d, ACPI_DISTANCE_LOCAL + 1,
					       ACPI_DISTANCE_MAX);
		}
	return 0;
}

static int check_ports(const struct acpi_machine *m, struct err *err)
{
	if (!m->pm1_event_port || !m->pm1_control_port || !m->reset_port)
		return err_set(err, -EINVAL, "the power management registers have no ports");
	if (m->s5_type > 7)
		return err_set(err, -EINVAL, "SLP_TYP %u for soft off: it must be 0 to 7",
			       m->s5_type);
	if (m->nmi_lint > 1)
		return err_set(err, -EINVAL, "NMI at LINT%u: a local APIC has LINT0 and LINT1",
			       m->nmi_lint);
	if ((m->com1_port && m->com1_irq > 15) || (m->rtc_port && m->rtc_irq > 15))
		return err_set(err, -EINVAL, "COM1 at IRQ %u, RTC at IRQ %u: ISA has 0 to 15",
			       m->com1_irq, m->rtc_irq);
	return 0;
}

int acpi_machine_check(const struct acpi_machine *machine, struct err *err)
{
	int r = check_counts(machine, err);

	if (r == 0)
		r = check_cpus(machine, err);
	if (r == 0)
		r = check_memory(machine, err);
	if (r == 0)
		r = check_distances(machine, err);
	if (r == 0)
		r = check_ports(machine, err);
	return r;
}
