/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An append-only buffer for little-endian tables. Running out of room is remembered and not
 * reported by each call: the encoders stay straight lines and the one who places them asks once.
 */
#ifndef SSIHV_ACPI_ENC_H
#define SSIHV_ACPI_ENC_H

#include "base/base.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tables are copied as the host has them");

/* Nothing is written at or after @max; @len does not grow once @full is set. */
struct enc {
	uint8_t *data;
	size_t len;
	size_t max;
	bool full;
};

/* ACPI 6.3, 5.2.6 "System Description Table Header". */
struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));
static_assert(sizeof(struct acpi_header) == 36, "ACPI 6.3, 5.2.6");

#define ACPI_OEM_ID	  "SSIHV "
#define ACPI_OEM_TABLE_ID "SSIHV   "
#define ACPI_CREATOR_ID	  "SSIH"

/** enc_bytes() - append @len bytes. */
void enc_bytes(struct enc *enc, const void *bytes, size_t len);

/** enc_u8() - append one byte. */
void enc_u8(struct enc *enc, uint8_t value);

/** enc_align() - append zeros up to a multiple of @align, a power of two. */
void enc_align(struct enc *enc, size_t align);

/** enc_table_begin() - append a table header. Return: its offset, for enc_table_end(). */
size_t enc_table_begin(struct enc *enc, const char *signature, uint8_t revision);

/** enc_table_end() - the table that began at @start ends here: set its length and checksum. */
void enc_table_end(struct enc *enc, size_t start);

/** enc_checksum() - the byte that makes @len bytes at @bytes sum up to 0 when it is added. */
uint8_t enc_checksum(const void *bytes, size_t len);

#endif
