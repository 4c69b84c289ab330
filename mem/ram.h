/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's RAM in this process, and the one bounds-checked way to it for whoever is given an
 * address by the guest.
 *
 * Goal: a node maps the memory of *all* nodes as one anonymous area, laid out by mem/layout.h and
 * not reserved, so that a page costs host memory only once it is touched here.
 *
 * Threads: any thread may call the accessors but the pager's. An access may fault, be served by
 * the pager and sleep for as long as another node takes to answer; a thread that answers faults
 * would wait for itself. The same holds for a caller with a lock that the pager takes.
 *
 * Limits: the accessors move bytes and are not atomic against vCPUs. A pointer from ram_ptr() stays
 * good until ram_free(), the page behind it may leave and come back at any time; it must not be
 * handed to a kernel I/O that outlives a fault (O_DIRECT, DMA, RDMA).
 */
#ifndef SSIHV_MEM_RAM_H
#define SSIHV_MEM_RAM_H

#include "mem/layout.h"

/* @base is aligned to REGION_BYTES and backs mem_total(&layout) bytes. */
struct ram {
	struct mem_layout layout;
	uint8_t *base;
};

/**
 * ram_new() - map the guest's RAM, all zero
 * @layout: copied
 * @ret:    to be given to ram_free()
 * @err:    names the size when the host has no room for it
 *
 * The area is huge-page aligned, asks for huge pages and stays out of core dumps.
 *
 * Return: 0 or -ENOMEM.
 */
int ram_new(const struct mem_layout *layout, struct ram **ret, struct err *err);

/** ram_free() - unmap and free; NULL is allowed. No accessor may be running. */
void ram_free(struct ram *ram);

static inline void ram_freep(struct ram **ram)
{
	ram_free(*ram);
}

/** ram_ptr() - host address of @len bytes at guest-physical @gpa. Return: NULL if not all RAM. */
void *ram_ptr(const struct ram *ram, uint64_t gpa, uint64_t len);

/** ram_write() - copy @len bytes of @buf to the guest at @gpa. Return: 0; -EFAULT, none written. */
int ram_write(struct ram *ram, uint64_t gpa, const void *buf, uint64_t len);

/** ram_read() - copy @len bytes of the guest at @gpa to @buf. Return: 0; -EFAULT, none read. */
int ram_read(const struct ram *ram, uint64_t gpa, void *buf, uint64_t len);

#endif
