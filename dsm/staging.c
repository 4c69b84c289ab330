/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/staging.h"

#include <sys/mman.h>

#include "dsm/uffd.h"

#define TIDY_FROM  64 /* pages */
#define PAGE_WORDS (PAGE_BYTES / sizeof(uint64_t))

int staging_init(struct staging *st, int uffd, bool moves, uint64_t gpa_end)
{
	size_t bytes = STAGING_AREA * PAGE_BYTES;

	st->uffd = uffd;
	if (!moves)
		return 0;
	st->small = calloc(gpa_end / PAGE_BYTES / 64 + 1, sizeof(*st->small));
	if (!st->small)
		return -ENOMEM;
	/* As guest memory is mapped (mem/ram.c), or nothing moves. */
	st->area = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (st->area == MAP_FAILED) {
		st->area = NULL;
		return -ENOMEM;
	}
	return uffd_register(uffd, (uintptr_t)st->area, bytes);
}

void staging_free(struct staging *st)
{
	if (st->area)
		munmap(st->area, STAGING_AREA * PAGE_BYTES);
	st->area = NULL;
	free(st->small);
	st->small = NULL;
}

static uint64_t *word_of(struct staging *st, uint64_t gpa)
{
	return &st->small[gpa / PAGE_BYTES / 64];
}

static uint64_t bit_of(uint64_t gpa)
{
	return UINT64_C(1) << gpa / PAGE_BYTES % 64;
}

void staging_came(struct staging *st, uint64_t gpa, unsigned pages)
{
	for (unsigned i = 0; st->small && i < pages; i++, gpa += PAGE_BYTES)
		*word_of(st, gpa) |= bit_of(gpa);
}

void staging_plain(struct staging *st, uint64_t gpa)
{
	if (st->small)
		memset(word_of(st, ALIGN_DOWN(gpa, REGION_BYTES)), 0, REGION_PAGES / 8);
}

static bool may_move(struct staging *st, uint64_t gpa, unsigned pages)
{
	for (unsigned i = 0; i < pages; i++, gpa += PAGE_BYTES)
		if (!st->small || !(*word_of(st, gpa) & bit_of(gpa)))
			return false;
	return true;
}

/* One instruction, into which no race detector looks: page tables order it behind the guest. */
static void copy_words(void *to, const void *from, size_t n)
{
	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

/* The pages at @hva are copied to @to, as they are once nobody can write to them, and dropped. */
static int copy_out(struct staging *st, uint64_t hva, unsigned pages, uint64_t *to)
{
	int r = uffd_protect(st->uffd, hva, pages * PAGE_BYTES, true);

	if (r < 0)
		return r;
	copy_words(to, (const void *)hva, pages * PAGE_WORDS);
	return uffd_drop(hva, pages * PAGE_BYTES);
}

static int drop_sent(struct staging *st)
{
	unsigned pages = st->outside ? STAGING_AREA : st->used;

	st->used = 0;
	st->outside = false;
	return pages ? uffd_drop((uintptr_t)st->area, pages * PAGE_BYTES) : 0;
}

/*
 * The kernel moved @moved pages to @at, then it refused. All is put together aside: what it moves
 * and what it does not. A page that is refused with EBUSY is there; with EINVAL all of this memory
 * is refused. Anything else is the end: what is not there must not be read (dsm/shard.h).
 */
static int gather(struct staging *st, uint64_t hva, unsigned pages, const uint8_t *at,
		  unsigned moved, int why)
{
	for (unsigned done = 0; done < pages;) {
		uint64_t *to = &st->aside[done * PAGE_WORDS];

		copy_words(to, at + done * PAGE_BYTES, moved * PAGE_WORDS);
		to += moved * PAGE_WORDS;
		done += moved;
		if (done == pages)
			break;
		if (why != -EBUSY && why != -EINVAL)
			return why;
		unsigned n = why == -EBUSY ? 1 : pages - done;
		int r = copy_out(st, hva + done * PAGE_BYTES, n, to);
		if (r < 0)
			return r;
		done += n;
		why = uffd_move(st->uffd, (uintptr_t)at + done * PAGE_BYTES,
				hva + done * PAGE_BYTES, (pages - done) * PAGE_BYTES, &moved);
	}
	return 0;
}

static int move_out(struct staging *st, uint64_t hva, unsigned pages, const uint64_t **ret)
{
	int r = st->outside || st->used + pages > STAGING_AREA ? drop_sent(st) : 0;
	const uint8_t *at = st->area + st->used * PAGE_BYTES;
	unsigned moved;

	if (r < 0)
		return r;
	st->used += pages;
	r = uffd_move(st->uffd, (uintptr_t)at, hva, pages * PAGE_BYTES, &moved);
	*ret = r < 0 ? st->aside : (const uint64_t *)at;
	return r < 0 ? gather(st, hva, pages, at, moved, r) : 0;
}

int staging_take(struct staging *st, uint64_t hva, uint64_t gpa, unsigned pages,
		 const uint64_t **ret)
{
	if (may_move(st, gpa, pages))
		return move_out(st, hva, pages, ret);
	*ret = st->aside;
	return copy_out(st, hva, pages, st->aside);
}

int staging_outside(struct staging *st, uint64_t hva)
{
	int r;

	if (!st->area || hva - (uintptr_t)st->area >= STAGING_AREA * PAGE_BYTES)
		return 0;
	st->outside = true;
	r = uffd_zero(st->uffd, hva, PAGE_BYTES, false);
	if (r == -EEXIST) /* for another one who waits */
		r = uffd_wake(st->uffd, hva);
	return r < 0 ? r : 1;
}

int staging_tidy(struct staging *st)
{
	return st->used < TIDY_FROM ? 0 : drop_sent(st);
}
