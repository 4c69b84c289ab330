/* SPDX-License-Identifier: Apache-2.0 */
/* SLIT (ACPI 6.3, 5.2.17): the matrix of relative distances, 10 being local. */
#include "acpi/tables.h"

#define SLIT_REVISION 1

void acpi_slit(struct enc *enc, const struct acpi_machine *machine)
{
	size_t start = enc_table_begin(enc, "SLIT", SLIT_REVISION);
	uint64_t localities = machine->nodes;

	enc_bytes(enc, &localities, sizeof(localities));
	enc_bytes(enc, machine->distance, (size_t)machine->nodes * machine->nodes);
	enc_table_end(enc, start);
}
