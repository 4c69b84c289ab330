/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI tables of a cluster: what its configuration and the platform say, in acpi/'s terms. */
#ifndef SSIHV_VMM_VMM_ACPI_H
#define SSIHV_VMM_VMM_ACPI_H

#include "acpi/acpi.h"
#include "config/cluster.h"
#include "vmm/topology.h"

/** vmm_acpi_write() - write each table to @dir/<name>.aml, as the guest will see it. */
int vmm_acpi_write(const struct cluster_config *cfg, const char *dir, struct err *err);

/**
 * vmm_acpi_place() - encode the tables for the guest-physical address of BOOT_ACPI_GPA
 * @buf: ACPI_MAX_BYTES
 */
int vmm_acpi_place(const struct cluster_config *cfg, const struct mem_layout *layout,
		   const struct topology *topology, void *buf, struct acpi_placed *ret,
		   struct err *err);

#endif
