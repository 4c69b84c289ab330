/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables of the guest: RSDP, XSDT, FADT, FACS, DSDT, MADT, SRAT and SLIT from one plain
 * description of the machine (ACPI specification 6.3; sections are named at each table).
 *
 * Encoding is pure: machine and address in, bytes out, without allocation, I/O or state. Every
 * size is bounded, so that the tables of the largest machine fit the 128 KiB below 1 MiB where a
 * PC's firmware keeps them. Any thread may call; nothing is kept.
 *
 * A processor's ACPI UID, the link between MADT and the DSDT's devices, is its APIC id.
 */
#ifndef SSIHV_ACPI_ACPI_H
#define SSIHV_ACPI_ACPI_H

#include "base/base.h"
#include "base/err.h"

#define ACPI_MAX_MEMORY	   128
#define ACPI_MAX_OVERRIDES 16
/* Holds the tables of every machine within these limits. */
#define ACPI_MAX_BYTES (128 * KIB)

#define ACPI_DISTANCE_LOCAL 10
#define ACPI_DISTANCE_MAX   254

/* A processor. APIC ids of 255 and above get x2APIC entries. */
struct acpi_cpu {
	uint32_t apic_id;
	unsigned node;
};

/* @size bytes of RAM of @node at guest-physical @gpa. */
struct acpi_memory {
	uint64_t gpa;
	uint64_t size;
	unsigned node;
};

/* ISA interrupt @source arrives at I/O APIC pin @gsi; edge and active high unless said. */
struct acpi_override {
	uint8_t source;
	uint8_t gsi;
	bool level;
	bool active_low;
};

/* Everything that the tables say. The first processor is the boot processor. */
struct acpi_machine {
	unsigned nodes;
	unsigned ncpus;
	const struct acpi_cpu *cpu;
	unsigned nmemory;
	const struct acpi_memory *memory;
	const uint8_t *distance; /* nodes * nodes: from row to column, 10 is local */

	uint32_t lapic_gpa;
	uint32_t ioapic_gpa;
	uint8_t ioapic_id;
	uint8_t nmi_lint; /* local interrupt pin that NMIs arrive at, 0 or 1 */
	bool pic;	  /* there is a pair of 8259 that the guest must mask */
	unsigned noverrides;
	const struct acpi_override *override;

	uint16_t pm1_event_port;   /* 4 ports: status, enable */
	uint16_t pm1_control_port; /* 2 ports; SCI_EN reads 1 from the start */
	uint16_t pm_timer_port;	   /* 4 ports, a 32-bit counter; 0: there is none */
	uint16_t reset_port;	   /* writing @reset_value to it resets the machine */
	uint8_t reset_value;
	uint8_t sci_irq;
	uint8_t s5_type; /* SLP_TYP that powers off, 0..7 */

	uint16_t com1_port; /* 8 ports; 0: there is none */
	uint8_t com1_irq;
	uint16_t rtc_port; /* 2 ports; 0: there is none */
	uint8_t rtc_irq;
	uint8_t rtc_century; /* CMOS index of the century, 0: there is none */
};

enum acpi_table_id {
	ACPI_RSDP,
	ACPI_FACS,
	ACPI_DSDT,
	ACPI_FADT,
	ACPI_MADT,
	ACPI_SRAT,
	ACPI_SLIT,
	ACPI_XSDT,
	ACPI_TABLES,
};

/* Where the tables are in the buffer; add the base for guest-physical addresses. */
struct acpi_placed {
	uint64_t rsdp_gpa;
	size_t len;
	struct {
		size_t offset;
		size_t len;
	} table[ACPI_TABLES];
};

/** acpi_table_name() - lower-case name of a table, such as "srat". */
const char *acpi_table_name(enum acpi_table_id id);

/**
 * acpi_machine_check() - refuse a machine that the tables cannot describe or Linux would not take
 *
 * Counts, nodes, unique APIC ids, memory that overlaps, distances (10 to itself, 11 to 254 to
 * others), ports.
 *
 * Return: 0; -EINVAL, @err names what is wrong.
 */
int acpi_machine_check(const struct acpi_machine *machine, struct err *err);

/**
 * acpi_place() - encode all tables into one buffer
 * @machine:  checked here
 * @gpa_base: guest-physical address that @buf will be copied to: a multiple of 64, all below
 *            4 GiB. The RSDP comes first: with a base in 0xe0000-0xfffff a guest finds it by
 *            scanning, too
 * @buf:      @max_len bytes; ACPI_MAX_BYTES are always enough
 * @ret:      written only on success; @buf may hold a part of the tables after a failure
 *
 * Return: 0; -EINVAL; -ENOSPC when @buf is too small.
 */
int acpi_place(const struct acpi_machine *machine, uint64_t gpa_base, void *buf, size_t max_len,
	       struct acpi_placed *ret, struct err *err);

/**
 * acpi_dump() - write every table to a file of its own, DIR/<name>.aml
 * @gpa_base: as for acpi_place()
 * @dir:      made if it is not there; files of these names are replaced
 *
 * Return: 0; the error of acpi_place(), open or write; @err names the file.
 */
int acpi_dump(const struct acpi_machine *machine, uint64_t gpa_base, const char *dir,
	      struct err *err);

#endif
