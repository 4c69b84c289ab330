/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a page of the guest's memory is, by surveys of it and the kernel's symbols.
 *
 * THEORY. A page may be mapped at several addresses, and be a table besides; surveys made at
 * different times may know it as different things. What says most is told, in the order of enum
 * survey_kind. Addresses mean what Documentation/arch/x86/x86_64/mm.rst says. Where the kernel
 * chose its address map at random (KASLR), the direct map is what maps most memory with one
 * distance from virtual to physical, and other areas that are no part of the image are told as
 * `mapped`.
 *
 * PER-CPU. A variable of CPU k lies at its symbol's address plus k's kernel GS base, whichever way
 * the kernel's symbols count. Behind the static variables are dynamic ones, at least
 * SURVEY_DYNAMIC of them. Without symbols the size of the area is not known: then
 * SURVEY_PERCPU_LEAST is taken for per-CPU data.
 *
 * LIMITS. What only the direct map maps is memory of the kernel, page cache, a process that no vCPU
 * ran, or free: which of them, only the kernel's page structs tell, whose form changes between
 * versions. So slab is not told apart. Which of a page's variables is used is not known.
 *
 * Another system than Linux has tables and mappings, too; what it keeps where is its own affair, so
 * of its kernel's addresses nothing but `table` means anything.
 *
 * Threads: pure.
 */
#ifndef SSIHV_SURVEY_WHAT_H
#define SSIHV_SURVEY_WHAT_H

#include "survey/survey.h"
#include "survey/symbols.h"

#define SURVEY_PERCPU_LEAST (64 * KIB)
#define SURVEY_DYNAMIC	    (28 * KIB)
#define SURVEY_TEXT	    256 /* bytes of survey_text() that are enough for most */

enum survey_kind {
	SURVEY_IMAGE = 1, /* the kernel's text and data */
	SURVEY_PERCPU,
	SURVEY_MODULE,
	SURVEY_ENTRY,	/* cpu_entry_area */
	SURVEY_STRUCTS, /* vmemmap */
	SURVEY_VMALLOC, /* stacks are there, too */
	SURVEY_FIXMAP,
	SURVEY_USER,
	SURVEY_MAPPED, /* by the kernel, somewhere else */
	SURVEY_DIRECT, /* nothing else */
};

/* A page that somebody asks about; all but `gpa` zero at first. */
struct survey_what {
	uint64_t gpa;
	uint32_t kind;	 /* enum survey_kind; 0: in no survey */
	uint32_t cpu;	 /* PERCPU */
	uint64_t va;	 /* of its mapping. PERCPU: the symbols' address */
	uint8_t level;	 /* of the table that it is; 0: it is none */
	bool user;	 /* the table maps that half only */
	uint32_t mapped; /* by the table: enum survey_kind; 0: more than one */
};

/* Symbols, and where this boot of the kernel has them. */
struct survey_names {
	const struct symbols *symbols; /* NULL: there are none */
	uint64_t slide;		       /* to add to addresses in the image */
	uint64_t percpu, percpu_end;   /* symbols of per-CPU variables; 0, 0: unknown */
	uint64_t end;		       /* of the image */
	/* Parts of it that a kernel that has booted gives away, from and up to; 0, 0: unknown. */
	uint64_t freed[2][2];
};

/**
 * survey_names() - fit @symbols to the guest of survey @s
 *
 * Return: false when the image that was surveyed cannot be that of the symbols; then @ret has none.
 */
bool survey_names(const struct survey *s, const struct symbols *symbols, struct survey_names *ret);

/** survey_what() - add what @s knows of each of @count pages. They must be sorted by address. */
void survey_what(const struct survey *s, const struct survey_names *names, struct survey_what *what,
		 size_t count);

/** survey_text() - one line in @buf; "-" for what is in no survey. */
const char *survey_text(const struct survey_what *w, const struct survey_names *names, char *buf,
			size_t len);

#endif
