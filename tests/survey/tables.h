/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of symbols as a kernel carries them, made from a list: in the order of Linux 4.20 to 6.3,
 * of 6.4 to 6.14, or of 6.15 and later; with or without the order of the names (6.2 and 6.3).
 */
#ifndef SSIHV_TESTS_SURVEY_TABLES_H
#define SSIHV_TESTS_SURVEY_TABLES_H

#include "base/base.h"

struct made_symbol {
	uint64_t addr;
	const char *name; /* the first character is its type */
};

struct made_tables {
	unsigned order; /* 0: offsets first; 1: offsets last; 2: likewise, all from the base */
	bool with_seqs;
	uint64_t va, base;
	/* What was made: where things are in the image. */
	size_t token, index, count, names, markers, offsets, base_at, end;
};

/**
 * make_tables() - put the tables into @image from @at on, which is aligned to 8
 *
 * Tokens are: characters for themselves, "_" for 128, "kern" for 1, "el_" for 2.
 */
static inline void make_tables(uint8_t *image, size_t at, const struct made_symbol *symbol,
			       uint32_t count, struct made_tables *t)
{
	uint32_t *marker = calloc(count / 256 + 1, sizeof(*marker));
	size_t offsets_bytes = ALIGN_UP((size_t)count * 4, 8);

	if (t->order == 0) {
		t->offsets = at;
		t->base_at = at + offsets_bytes;
		at = t->base_at + 8;
	}
	t->count = at;
	memcpy(image + at, &count, sizeof(count));
	t->names = at += 8;
	for (uint32_t i = 0; i < count; i++) {
		const char *name = symbol[i].name;
		uint8_t *len = image + at++;
		bool big = strlen(name) > 255;

		if (i % 256 == 0)
			marker[i / 256] = (uint32_t)(at - 1 - t->names);
		at += big;
		size_t first = at;
		for (; *name; name++) {
			image[at++] = (uint8_t)*name;
			if (strncmp(name, "kern", 4) == 0) {
				image[at - 1] = 1;
				name += 3;
			} else if (*name == '_') {
				image[at - 1] = 128;
			}
		}
		len[0] = (uint8_t)(at - first);
		if (big) {
			len[0] = (uint8_t)((at - first) | 0x80);
			len[1] = (uint8_t)((at - first) >> 7);
		}
	}
	t->markers = at = ALIGN_UP(at, (size_t)8);
	memcpy(image + at, marker, 4 * ((size_t)(count - 1) / 256 + 1));
	at = ALIGN_UP(at + 4 * ((size_t)(count - 1) / 256 + 1), (size_t)8);
	free(marker);
	for (uint32_t i = 0; t->with_seqs && i < count; i++)
		image[at++] = (uint8_t)i, image[at++] = (uint8_t)(i >> 8), image[at++] = 0;
	t->token = at = ALIGN_UP(at, (size_t)8);
	uint16_t index[256];
	for (unsigned i = 0; i < 256; i++) {
		char one[2] = {(char)(i > ' ' && i <= '~' ? i : 'x')};
		const char *token = i == 1 ? "kern" : i == 2 ? "el_" : i == 128 ? "_" : one;

		index[i] = (uint16_t)(at - t->token);
		memcpy(image + at, token, strlen(token) + 1);
		at += strlen(token) + 1;
	}
	t->index = at = ALIGN_UP(at, (size_t)8);
	memcpy(image + at, index, sizeof(index));
	at += sizeof(index);
	if (t->order > 0) {
		t->offsets = at;
		t->base_at = at + offsets_bytes;
		at = t->base_at + 8;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint64_t addr = symbol[i].addr;
		uint32_t offset = t->order == 2	   ? (uint32_t)(addr - t->base)
				  : addr < t->base ? (uint32_t)addr
						   : (uint32_t)(t->base - 1 - addr);
		memcpy(image + t->offsets + 4 * (size_t)i, &offset, sizeof(offset));
	}
	memcpy(image + t->base_at, &t->base, sizeof(t->base));
	t->end = at;
}

#endif
