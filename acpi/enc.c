/* SPDX-License-Identifier: Apache-2.0 */
#include "acpi/enc.h"

void enc_bytes(struct enc *enc, const void *bytes, size_t len)
{
	if (enc->full || len > enc->max - enc->len) {
		enc->full = true;
		return;
	}
	memcpy(enc->data + enc->len, bytes, len);
	enc->len += len;
}

void enc_u8(struct enc *enc, uint8_t value)
{
	enc_bytes(enc, &value, 1);
}

void enc_align(struct enc *enc, size_t align)
{
	while (!enc->full && enc->len % align)
		enc_u8(enc, 0);
}

size_t enc_table_begin(struct enc *enc, const char *signature, uint8_t revision)
{
	struct acpi_header header = {
		.revision = revision,
		.oem_revision = 1,
		.creator_revision = 1,
	};
	size_t start = enc->len;

	memcpy(header.signature, signature, sizeof(header.signature));
	memcpy(header.oem_id, ACPI_OEM_ID, sizeof(header.oem_id));
	memcpy(header.oem_table_id, ACPI_OEM_TABLE_ID, sizeof(header.oem_table_id));
	memcpy(header.creator_id, ACPI_CREATOR_ID, sizeof(header.creator_id));
	enc_bytes(enc, &header, sizeof(header));
	return start;
}

void enc_table_end(struct enc *enc, size_t start)
{
	struct acpi_header header;

	if (enc->full)
		return;
	memcpy(&header, enc->data + start, sizeof(header));
	header.length = (uint32_t)(enc->len - start);
	memcpy(enc->data + start, &header, sizeof(header));
	header.checksum = enc_checksum(enc->data + start, header.length);
	memcpy(enc->data + start, &header, sizeof(header));
}

uint8_t enc_checksum(const void *bytes, size_t len)
{
	const uint8_t *byte = bytes;
	unsigned sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += byte[i];
	return (uint8_t)-sum;
}
