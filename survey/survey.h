/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest's page tables say about its memory: which pages are tables, and at which virtual
 * addresses the others are mapped.
 *
 * THEORY. Nothing is known of the guest but its memory and its vCPUs' registers. From each vCPU's
 * CR3 the tables are walked as the processor does it, four levels or five. Each table is read once
 * for each level at which it is linked: vCPUs share the kernel's half, and it is read first, since
 * what comes last is what a limit cuts. A table's pages that lie one behind the other, virtually
 * and physically, are one range; a 2 MiB or 1 GiB page is a range, too.
 *
 * Where Linux keeps two top tables a process (page table isolation), the other one is the second
 * page of the pair. It is believed in when both say the same of the user's half, and that half is
 * not empty.
 *
 * HOSTILE. A guest's tables may say anything: they may be linked in circles, each entry of each may
 * lead to a table, an address may be no RAM, bits that must be zero may be set. A walk ends at the
 * last level, so a circle is no deeper than five; a table that was read at a level is not read
 * there again; tables and ranges are limited, and `cut` tells that a limit was met. What no
 * processor would accept is counted and left out.
 *
 * LIMITS. 64-bit mode only: a vCPU without it, or without paging, is left out. Of processes that no
 * vCPU runs now the user's half is not seen.
 *
 * Threads: pure but for the reader that is passed in.
 */
#ifndef SSIHV_SURVEY_SURVEY_H
#define SSIHV_SURVEY_SURVEY_H

#include <stdio.h>

#include "base/err.h"
#include "base/limits.h"

#define SURVEY_SUFFIX	   ".survey"
#define SURVEY_TABLES	   16384       /* a terabyte by 2 MiB pages, or 32 GiB by 4 KiB pages */
#define SURVEY_RANGES	   (1u << 18)  /* 6 MiB */
#define SURVEY_BYTES	   (64 * MIB)  /* of a file: above what all lines need */
#define SURVEY_IMAGE_BYTES (128 * MIB) /* of the kernel's image that are looked at */

/* Where the kernel's half begins, and in it, wherever it put the rest, its image and its modules.
 */
#define SURVEY_HALF    (UINT64_C(1) << 63)
#define SURVEY_KERNEL  UINT64_C(0xffffffff80000000)
#define SURVEY_MODULES UINT64_C(0xffffffffc0000000)

struct survey_cpu {
	uint32_t index;
	bool la57;    /* five levels */
	uint64_t cr3; /* 0: it is not known where this one's tables are */
	uint64_t gs;  /* the kernel's; 0: unknown */
};

struct survey_table {
	uint64_t gpa;
	uint64_t va;	/* of what it maps, as far as it was first met; 0 for a top table */
	uint8_t level;	/* 1: its entries are 4 KiB pages, .. 5 */
	uint8_t halves; /* of a top table: bit 1: the kernel's was walked, bit 0: the user's */
	bool no_ram;	/* during the walk; such a one is not kept */
};

struct survey_range {
	uint64_t gpa, va;
	uint64_t pages;
};

struct survey {
	uint32_t epoch; /* of the run */
	struct survey_cpu *cpu;
	struct survey_table *table;
	struct survey_range *range;
	size_t cpus, tables, ranges;
	uint64_t bad; /* entries that no processor would accept */
	bool cut;     /* there was more */
};

/* The guest's memory. */
struct survey_source {
	/* Return: 0; -EFAULT: that is no RAM; anything else ends the walk. */
	int (*read)(void *ctx, uint64_t gpa, void *buf, size_t len);
	void *ctx;
};

/**
 * survey_take() - walk the tables of all @cpus, which are copied
 *
 * Return: 0, then survey_free(); -ENOMEM; what the reader said.
 */
int survey_take(const struct survey_source *source, const struct survey_cpu *cpu, size_t cpus,
		struct survey **ret);

void survey_free(struct survey *s);

static inline void survey_freep(struct survey **s)
{
	survey_free(*s);
}

/**
 * survey_image() - the kernel's image as it is mapped, SURVEY_IMAGE_BYTES of it at most
 * @ret:    to free(); what is not mapped is zero
 * @ret_va: where it begins; always mapped
 *
 * Return: 0; -ENOENT: none is mapped; -ENOMEM; what the reader said.
 */
int survey_image(const struct survey_source *source, const struct survey *s, uint8_t **ret,
		 size_t *ret_len, uint64_t *ret_va);

/** survey_print() - as text, a line a thing; whether it was written is for the caller to ask. */
void survey_print(const struct survey *s, FILE *to);

/**
 * survey_parse() - what survey_print() wrote; the file may come from anywhere
 * @name: for errors
 * @text: ends with a NUL
 *
 * Return: 0, then survey_free(); -EBADMSG with the line; -ENOMEM.
 */
int survey_parse(const char *name, const char *text, struct survey **ret, struct err *err);

#endif
