/* SPDX-License-Identifier: Apache-2.0 */
/* The encoders of the single tables, inside of acpi/. The machine has passed its check. */
#ifndef SSIHV_ACPI_TABLES_H
#define SSIHV_ACPI_TABLES_H

#include "acpi/acpi.h"
#include "acpi/enc.h"

/* APIC ids from here on need x2APIC entries in MADT and SRAT (ACPI 6.3, 5.2.12.12). */
#define ACPI_FIRST_X2APIC_ID 255u

/** acpi_facs() - firmware control structure; to begin at a multiple of 64. */
void acpi_facs(struct enc *enc);

/** acpi_fadt() - fixed hardware; @facs_gpa and @dsdt_gpa are below 4 GiB. */
void acpi_fadt(struct enc *enc, const struct acpi_machine *machine, uint32_t facs_gpa,
	       uint32_t dsdt_gpa);

/** acpi_dsdt() - name space: processors, COM1, RTC, soft off. */
void acpi_dsdt(struct enc *enc, const struct acpi_machine *machine);

/** acpi_madt() - interrupt controllers. */
void acpi_madt(struct enc *enc, const struct acpi_machine *machine);

/** acpi_srat() - nodes of processors and memory. */
void acpi_srat(struct enc *enc, const struct acpi_machine *machine);

/** acpi_slit() - distances between nodes. */
void acpi_slit(struct enc *enc, const struct acpi_machine *machine);

#endif
