/* SPDX-License-Identifier: Apache-2.0 */
/*
 * userfaultfd, reduced to what the pager does with it.
 *
 * Every call acts on host-virtual addresses of this process and is made by the shard's own thread.
 * EAGAIN from the kernel (the address space is changing) is retried here; any other error is
 * returned: with a right directory none occurs, so the caller treats it as fatal.
 * Source: Documentation/admin-guide/mm/userfaultfd.rst, ioctl_userfaultfd(2).
 */
#ifndef SSIHV_DSM_UFFD_H
#define SSIHV_DSM_UFFD_H

#include "base/err.h"

struct uffd_fault {
	uint64_t hva; /* start of the page */
	bool write;   /* a write, to a missing or to a write-protected page */
	uint32_t tid; /* the thread that waits */
};

/**
 * uffd_open() - a non-blocking userfaultfd with write-protect faults
 * @moves: set to whether uffd_move() can be used; may be NULL
 *
 * KVM faults in kernel mode, so UFFD_USER_MODE_ONLY is of no use: needs /dev/userfaultfd, or
 * CAP_SYS_PTRACE, or vm.unprivileged_userfaultfd.
 *
 * Return: 0 with the descriptor in *@ret; negative errno with @err saying what to grant.
 */
int uffd_open(int *ret, bool *moves, struct err *err);

/**
 * uffd_register() - missing and write-protected pages of [@hva, @hva + @len) fault from now on
 *
 * Present pages stay as they are, huge ones too. New huge pages are declined for the range: the
 * kernel would allocate and clear 2 MiB before it asks us for the first page of an empty region.
 */
int uffd_register(int fd, uint64_t hva, uint64_t len);

/**
 * uffd_unregister() - [@hva, @hva + @len) is plain memory again; wakes who waits there
 *
 * Huge pages are welcome again.
 */
int uffd_unregister(int fd, uint64_t hva, uint64_t len);

/** uffd_collapse() - make plain memory a huge page if the kernel can at once; takes milliseconds.
 */
void uffd_collapse(uint64_t hva, uint64_t len);

/** uffd_copy() - put @len bytes of @pages at @hva, read-only if @protect, and wake who waits. */
int uffd_copy(int fd, uint64_t hva, const void *pages, uint64_t len, bool protect);

/** uffd_zero() - the same with zeros. */
int uffd_zero(int fd, uint64_t hva, uint64_t len, bool protect);

/**
 * uffd_protect() - write-protect (@on) what is mapped in [@hva, @hva + @len), or make it writable
 * and wake
 */
int uffd_protect(int fd, uint64_t hva, uint64_t len, bool on);

/** uffd_wake() - wake who waits for the page at @hva. */
int uffd_wake(int fd, uint64_t hva);

/**
 * uffd_move() - move the pages of [@from, @from + @len) to @to, where nothing is mapped
 * @moved: how many were moved, whatever is returned
 *
 * In one step for each page, from the first on: it is not here any more, as after uffd_drop(), and
 * there it is writable. Only where uffd_open() says so.
 *
 * Return: 0 when all were moved, else why the next one was not: -EBUSY when it is here, but shared
 * since a fork, pinned or the like; -EINVAL for all of this memory; -ENOENT when it is not here.
 */
int uffd_move(int fd, uint64_t to, uint64_t from, uint64_t len, unsigned *moved);

/** uffd_drop() - unmap [@hva, @hva + @len); the next touch faults. */
int uffd_drop(uint64_t hva, uint64_t len);

/**
 * uffd_read() - take up to @max faults
 *
 * Return: number of faults in @ret, 0 when none waits, negative errno.
 */
int uffd_read(int fd, struct uffd_fault *ret, unsigned max);

/**
 * uffd_populated() - which of @pages pages from @hva have content (present or swapped out)
 * @pagemap: descriptor of /proc/self/pagemap
 * @bits:    one bit a page, zeroed by the caller
 *
 * Source: Documentation/admin-guide/mm/pagemap.rst, bits 63 and 62.
 */
int uffd_populated(int pagemap, uint64_t hva, unsigned pages, uint64_t *bits);

#endif
