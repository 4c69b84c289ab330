/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest-physical map: which addresses are RAM, on which node they are at home, and where they
 * lie in the backing.
 *
 * RAM fills the address space node after node from 0 to 3 GiB, leaves out the PCI hole (3-4 GiB)
 * and goes on from 4 GiB. The backing of the whole guest is one area without gaps, in the same
 * order: the offset of a byte is the count of RAM bytes below it.
 *
 *      gpa    0 ......... node 0 ... | node 1 ..... 3G   (hole)   4G . node 1 | node 2 ...
 *      offset 0 ......... node 0 ... | node 1 ..... 3G ............... node 1 | node 2 ...
 *
 * Invariants: ranges ascend in gpa and in offset, every one is a multiple of REGION_BYTES in
 * address, size and offset, and two neighbours join in the backing always, in gpa always but at
 * the hole. One node at most is split by the hole, hence MAX_NODES + 1 ranges.
 *
 * Pure functions; a layout is immutable once made and may be read by any thread.
 */
#ifndef SSIHV_MEM_LAYOUT_H
#define SSIHV_MEM_LAYOUT_H

#include "base/base.h"
#include "base/err.h"

#define MEM_HOLE_START (3 * GIB)
#define MEM_HOLE_END   (4 * GIB)
#define MEM_MAX_RANGES (MAX_NODES + 1)

/* @size bytes at guest-physical @gpa, at home on @node, @offset bytes into the backing. */
struct mem_range {
	uint64_t gpa;
	uint64_t size;
	uint64_t offset;
	unsigned node;
};

/* @low bytes of RAM lie below the hole, @high bytes from 4 GiB on. */
struct mem_layout {
	unsigned nodes;
	unsigned nranges;
	uint64_t low;
	uint64_t high;
	struct mem_range range[MEM_MAX_RANGES];
};

/**
 * mem_layout_init() - lay out the guest's RAM
 * @size:  bytes of each node: multiples of REGION_BYTES, none 0
 * @nodes: how many, 1..MAX_NODES
 * @ret:   written only on success
 * @err:   names the node and what is wrong with its size
 *
 * Return: 0; -EINVAL for a size or a count that is not allowed; -ERANGE beyond MAX_MEMORY.
 */
int mem_layout_init(const uint64_t *size, unsigned nodes, struct mem_layout *ret, struct err *err);

/** mem_total() - bytes of RAM of all nodes, which is the size of the backing. */
static inline uint64_t mem_total(const struct mem_layout *layout)
{
	return layout->low + layout->high;
}

/** mem_end() - the first guest-physical address above all RAM. */
static inline uint64_t mem_end(const struct mem_layout *layout)
{
	return layout->high ? MEM_HOLE_END + layout->high : layout->low;
}

/** mem_home() - the node at which guest-physical @gpa is at home. Return: node, -1 if not RAM. */
int mem_home(const struct mem_layout *layout, uint64_t gpa);

/** mem_home_offset() - the same for an @offset into the backing. Return: node, -1 if outside. */
int mem_home_offset(const struct mem_layout *layout, uint64_t offset);

/**
 * mem_offset() - where @len bytes at guest-physical @gpa lie in the backing
 * @gpa: any alignment; the bytes may belong to several nodes
 * @len: with 0, @gpa itself must be RAM
 * @ret: offset of the first byte; all @len bytes follow without a gap
 *
 * Return: 0; -EFAULT when any of the bytes is not RAM.
 */
int mem_offset(const struct mem_layout *layout, uint64_t gpa, uint64_t len, uint64_t *ret);

/**
 * mem_gpa() - the guest-physical address of the byte at @offset in the backing
 *
 * Return: 0; -EFAULT when @offset is not below mem_total().
 */
int mem_gpa(const struct mem_layout *layout, uint64_t offset, uint64_t *ret);

#endif
