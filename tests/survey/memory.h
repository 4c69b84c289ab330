/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's memory that was made up, and tables put into it. */
#ifndef SSIHV_TESTS_SURVEY_MEMORY_H
#define SSIHV_TESTS_SURVEY_MEMORY_H

#include "survey/survey.h"

#define MEMORY_PAGES 1024u
#define LARGE_PAGE   UINT64_C(0x80)
#define IN_TABLE     UINT64_C(0x67) /* present, writable, user's, accessed, dirty */

struct memory {
	uint64_t page[MEMORY_PAGES][512];
	uint64_t next;	  /* page that is free */
	uint64_t reads;	  /* that were made */
	uint64_t fail_at; /* the read that fails with -ECANCELED; 0: none */
};

static inline int memory_read(void *ctx, uint64_t gpa, void *buf, size_t len)
{
	struct memory *m = ctx;

	if (++m->reads == m->fail_at)
		return -ECANCELED;
	if (gpa >= sizeof(m->page) || len > sizeof(m->page) - gpa)
		return -EFAULT;
	memcpy(buf, (uint8_t *)m->page + gpa, len);
	return 0;
}

/* A table for level @level that the table @top of @levels leads to for @va; made if it is not. */
static inline uint64_t memory_table(struct memory *m, uint64_t top, unsigned levels, unsigned level,
				    uint64_t va)
{
	uint64_t at = top;

	for (unsigned l = levels; l > level; l--) {
		uint64_t *entry = &m->page[at >> 12][va >> (12 + 9 * (l - 1)) & 511];
		if (!*entry)
			*entry = m->next++ << 12 | IN_TABLE;
		at = *entry & UINT64_C(0xffffffffff000);
	}
	return at;
}

/* @va leads to @gpa by a page of 4 KiB (@level 1), 2 MiB (2) or 1 GiB (3). */
static inline void memory_map(struct memory *m, uint64_t top, unsigned levels, unsigned level,
			      uint64_t va, uint64_t gpa)
{
	uint64_t table = memory_table(m, top, levels, level, va);

	m->page[table >> 12][va >> (12 + 9 * (level - 1)) & 511] =
		gpa | IN_TABLE | (level > 1 ? LARGE_PAGE : 0);
}

#endif
