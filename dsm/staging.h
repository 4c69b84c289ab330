/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where pages lie between guest memory, which they leave for good, and the connection.
 *
 * MOVED. Linux moves a page to another place of the process in one step (UFFDIO_MOVE of 6.8, used
 * from 6.16 on: what came before could confuse pages that were swapped out meanwhile): no thread
 * can write to it from then on, the next touch faults, and it is sent from where it is. Here that
 * place is an area of the pager's own, registered with the same userfaultfd, as the kernel asks
 * for. What was sent is dropped later, many pages at once and not in the path of a request.
 *
 * COPIED. Else a page is write-protected, copied aside and dropped. So are those that the kernel
 * does not move: pages that another process shares since a fork, or that are pinned; and those that
 * may be a part of a huge page, which it would first split into all of its 512 pages (half a
 * millisecond). A page that was mapped here by UFFDIO_COPY is none of them, and which were is known
 * by a bit a page.
 *
 * One thread (the shard's). Nothing else is meant to touch the area. What does so nevertheless, say
 * a debugger that reads all of the process (process_vm_readv()), waits for the shard where nothing
 * lies: it gets a page of zeros, which is gone before the next page is moved there.
 * Source: ioctl_userfaultfd(2), UFFDIO_MOVE(2const); mm/userfaultfd.c, move_pages().
 */
#ifndef SSIHV_DSM_STAGING_H
#define SSIHV_DSM_STAGING_H

#include "wire/msg.h"

#define STAGING_RUN  WIRE_RUN_PAGES /* pages that leave at once, at most */
#define STAGING_AREA 256u	    /* pages */

struct staging {
	int uffd;
	uint8_t *area;	 /* NULL: this kernel moves no pages */
	unsigned used;	 /* pages from the beginning of the area that hold something */
	bool outside;	 /* somewhere in it lies a page for who is not meant to look */
	uint64_t *small; /* bit a page of guest memory; without an area NULL, too */
	uint64_t aside[STAGING_RUN * PAGE_BYTES / sizeof(uint64_t)];
};

/**
 * staging_init() - for guest addresses below @gpa_end; @moves: the kernel moves pages
 *
 * @st is all zero before. Return: 0, negative errno; staging_free() in either case.
 */
int staging_init(struct staging *st, int uffd, bool moves, uint64_t gpa_end);
void staging_free(struct staging *st);

/** staging_came() - pages were mapped by uffd_copy(). */
void staging_came(struct staging *st, uint64_t gpa, unsigned pages);

/** staging_plain() - the region at @gpa may get huge pages again. */
void staging_plain(struct staging *st, uint64_t gpa);

/**
 * staging_take() - take @pages pages, which are mapped at @hva, out of guest memory
 * @ret: where they are: until the next call for this @st
 *
 * Return: 0; negative errno, then some may be lost.
 */
int staging_take(struct staging *st, uint64_t hva, uint64_t gpa, unsigned pages,
		 const uint64_t **ret);

/**
 * staging_outside() - a thread, not this one, waits for the page at @hva: let it go on
 *
 * Return: 1; 0 when the page is not in the area; negative errno.
 */
int staging_outside(struct staging *st, uint64_t hva);

/** staging_tidy() - drops what was sent, when it is much. Return: 0; negative errno. */
int staging_tidy(struct staging *st);

#endif
