/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DSDT (ACPI 6.3, 5.2.11.1): what a guest cannot probe for. One device a processor, COM1 and the
 * RTC with their ports and interrupts, and the sleep type for soft off.
 */
#include "acpi/tables.h"

#include <stdio.h>

#include "acpi/aml.h"

#define DSDT_REVISION 2 /* integers of 64 bits */

static_assert(MAX_VCPUS <= 0x1000, "a processor's name is C and three hex digits");

static void add_processor(struct enc *enc, unsigned index, const struct acpi_cpu *cpu)
{
	size_t at = aml_open(enc, AML_DEVICE);
	char name[8];

	snprintf(name, sizeof(name), "C%03X", index & 0xfffu);
	aml_segment(enc, name);
	aml_name(enc, "_HID");
	aml_string(enc, "ACPI0007");
	aml_name(enc, "_UID");
	aml_integer(enc, cpu->apic_id);
	aml_name(enc, "_PXM");
	aml_integer(enc, cpu->node);
	aml_close(enc, at);
}

static void add_isa_device(struct enc *enc, const char *name, const char *id, uint16_t port,
			   uint8_t ports, uint8_t irq)
{
	size_t at = aml_open(enc, AML_DEVICE);

	aml_segment(enc, name);
	aml_name(enc, "_HID");
	aml_eisa_id(enc, id);
	aml_name(enc, "_UID");
	aml_integer(enc, 0);
	aml_name(enc, "_CRS");
	aml_io_and_irq(enc, port, ports, irq);
	aml_close(enc, at);
}

/* 7.4.2, "\_Sx states": the values for PM1a_CNT.SLP_TYP and PM1b_CNT.SLP_TYP, and two reserved
 * ones. */
static void add_soft_off(struct enc *enc, uint8_t type)
{
	size_t at;

	aml_name(enc, "_S5_");
	at = aml_open(enc, AML_PACKAGE);
	enc_u8(enc, 4);
	aml_integer(enc, type);
	aml_integer(enc, type);
	aml_integer(enc, 0);
	aml_integer(enc, 0);
	aml_close(enc, at);
}

void acpi_dsdt(struct enc *enc, const struct acpi_machine *machine)
{
	size_t start = enc_table_begin(enc, "DSDT", DSDT_REVISION);
	size_t scope;

	add_soft_off(enc, machine->s5_type);
	scope = aml_open(enc, AML_SCOPE);
	aml_segment(enc, "_SB_"); /* from the root, where the table begins */
	for (unsigned i = 0; i < machine->ncpus; i++)
		add_processor(enc, i, &machine->cpu[i]);
	if (machine->com1_port)
		add_isa_device(enc, "COM1", "PNP0501", machine->com1_port, 8, machine->com1_irq);
	if (machine->rtc_port)
		add_isa_device(enc, "RTC_", "PNP0B00", machine->rtc_port, 2, machine->rtc_irq);
	aml_close(enc, scope);
	enc_table_end(enc, start);
}
