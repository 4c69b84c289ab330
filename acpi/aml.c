/* SPDX-License-Identifier: Apache-2.0 */
#include "acpi/aml.h"

#define NAME_OP	      0x08
#define ZERO_OP	      0x00
#define ONE_OP	      0x01
#define BYTE_PREFIX   0x0a
#define WORD_PREFIX   0x0b
#define DWORD_PREFIX  0x0c
#define STRING_PREFIX 0x0d
#define QWORD_PREFIX  0x0e

/* Small resource data types with their lengths (6.4.2). */
#define RESOURCE_IRQ 0x22
#define RESOURCE_IO  0x47
#define RESOURCE_END 0x79
#define IO_DECODE_16 1

/* An I/O port descriptor, an IRQ descriptor and an end tag (6.4.2.5, 6.4.2.1, 6.4.2.9). */
struct io_and_irq {
	uint8_t io;
	uint8_t decode;
	uint16_t lowest;
	uint16_t highest;
	uint8_t align;
	uint8_t count;
	uint8_t irq;
	uint16_t mask;
	uint8_t end;
	uint8_t checksum; /* 0: there is none */
} __attribute__((packed));
static_assert(sizeof(struct io_and_irq) == 8 + 3 + 2, "ACPI 6.3, 6.4.2");

size_t aml_open(struct enc *enc, enum aml_op op)
{
	if (op > UINT8_MAX)
		enc_u8(enc, (uint8_t)(op >> 8));
	enc_u8(enc, (uint8_t)op);
	return enc->len;
}

/*
 * A package length counts itself. It takes one byte up to 63; else bits 7:6 of the first byte tell
 * how many follow, its bits 3:0 are the lowest four of the length (20.2.4).
 */
static size_t package_length(size_t content, uint8_t bytes[4])
{
	size_t n = content + 1 < 1u << 6 ? 1 : content + 2 < 1u << 12 ? 2 : 3;
	size_t len = content + n;

	if (n == 1) {
		bytes[0] = (uint8_t)len;
		return n;
	}
	bytes[0] = (uint8_t)((n - 1) << 6 | (len & 0xf));
	for (size_t i = 1; i < n; i++)
		bytes[i] = (uint8_t)(len >> (4 + 8 * (i - 1)));
	return n;
}

void aml_close(struct enc *enc, size_t start)
{
	uint8_t bytes[4] = {0};
	size_t content = enc->len - start;
	size_t n = package_length(content, bytes);

	enc_bytes(enc, bytes, n);
	if (enc->full)
		return;
	memmove(enc->data + start + n, enc->data + start, content);
	memcpy(enc->data + start, bytes, n);
}

void aml_segment(struct enc *enc, const char *segment)
{
	enc_bytes(enc, segment, 4);
}

void aml_name(struct enc *enc, const char *segment)
{
	enc_u8(enc, NAME_OP);
	aml_segment(enc, segment);
}

void aml_integer(struct enc *enc, uint64_t value)
{
	size_t bytes = value <= UINT8_MAX    ? 1
		       : value <= UINT16_MAX ? 2
		       : value <= UINT32_MAX ? 4
					     : 8;
	uint8_t prefix = bytes == 1   ? BYTE_PREFIX
			 : bytes == 2 ? WORD_PREFIX
			 : bytes == 4 ? DWORD_PREFIX
				      : QWORD_PREFIX;

	if (value <= 1) {
		enc_u8(enc, value ? ONE_OP : ZERO_OP);
		return;
	}
	enc_u8(enc, prefix);
	enc_bytes(enc, &value, bytes);
}

void aml_string(struct enc *enc, const char *text)
{
	enc_u8(enc, STRING_PREFIX);
	enc_bytes(enc, text, strlen(text) + 1);
}

/* Three letters of five bits and four hex digits, the highest first (6.1.5, EISA type id). */
void aml_eisa_id(struct enc *enc, const char *id)
{
	unsigned letters = (id[0] & 0x1fu) << 10 | (id[1] & 0x1fu) << 5 | (id[2] & 0x1fu);
	uint32_t number = (uint32_t)strtoul(id + 3, NULL, 16);

	aml_integer(enc, __builtin_bswap32(letters << 16 | number));
}

void aml_io_and_irq(struct enc *enc, uint16_t port, uint8_t count, uint8_t irq)
{
	const struct io_and_irq resources = {
		.io = RESOURCE_IO,
		.decode = IO_DECODE_16,
		.lowest = port,
		.highest = port,
		.align = 1,
		.count = count,
		.irq = RESOURCE_IRQ,
		.mask = (uint16_t)(1u << irq),
		.end = RESOURCE_END,
	};
	size_t at = aml_open(enc, AML_BUFFER);

	aml_integer(enc, sizeof(resources));
	enc_bytes(enc, &resources, sizeof(resources));
	aml_close(enc, at);
}
