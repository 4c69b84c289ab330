/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small builder of AML, the byte code of the DSDT (ACPI 6.3, chapter 20). Names are given as
 * segments of exactly four characters ("_S5_"). What has a length is opened and closed:
 *
 *      at = aml_open(enc, AML_DEVICE);
 *      aml_segment(enc, "COM1");
 *      ...
 *      aml_close(enc, at);
 */
#ifndef SSIHV_ACPI_AML_H
#define SSIHV_ACPI_AML_H

#include "acpi/enc.h"

/* Operators that are followed by a package length (20.2.5). */
enum aml_op {
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_DEVICE = 0x5b82,
};

/** aml_open() - begin a construct with a length. Return: its start, for aml_close(). */
size_t aml_open(struct enc *enc, enum aml_op op);

/** aml_close() - end it: its length (up to 2^20 - 4 bytes) is put in before the content. */
void aml_close(struct enc *enc, size_t start);

/** aml_segment() - a name of four characters. */
void aml_segment(struct enc *enc, const char *segment);

/** aml_name() - Name (segment, ...): the object follows. */
void aml_name(struct enc *enc, const char *segment);

/** aml_integer() - a constant in its shortest form. */
void aml_integer(struct enc *enc, uint64_t value);

/** aml_string() - a constant of ASCII characters. */
void aml_string(struct enc *enc, const char *text);

/** aml_eisa_id() - a device id of three capitals and four hex digits, such as "PNP0501". */
void aml_eisa_id(struct enc *enc, const char *id);

/**
 * aml_io_and_irq() - a resource template: fixed ports and an edge-triggered ISA interrupt
 * @port:  first port; all 16 bits are decoded
 * @count: number of ports
 * @irq:   0..15
 */
void aml_io_and_irq(struct enc *enc, uint16_t port, uint8_t count, uint8_t irq);

#endif
