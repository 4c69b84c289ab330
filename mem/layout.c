/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map is built once from the nodes' sizes. Between an address and an offset there is only the
 * hole, so those two are arithmetic on the sizes of the low and of the high part; only the home of
 * an address needs the table of ranges, which ascends and is searched by halving.
 */
#include "mem/layout.h"

#include "base/size.h"

static_assert(MAX_MEMORY == GPA_LIMIT - (MEM_HOLE_END - MEM_HOLE_START),
	      "all RAM lies below the limit");
static_assert(MEM_HOLE_START % REGION_BYTES == 0, "a node split by the hole keeps whole regions");

static int check_sizes(const uint64_t *size, unsigned nodes, struct err *err)
{
	uint64_t room = MAX_MEMORY;
	char text[32];

	if (nodes < 1 || nodes > MAX_NODES)
		return err_set(err, -EINVAL, "%u nodes: a guest has 1 to %d", nodes, MAX_NODES);
	for (unsigned i = 0; i < nodes; i++) {
		size_format(size[i], text, sizeof(text));
		if (size[i] == 0)
			return err_set(err, -EINVAL,
				       "node %u has no memory: give it at least 2 MiB", i);
		if (size[i] % REGION_BYTES)
			return err_set(err, -EINVAL,
				       "memory of node %u is %s: it must be a multiple of 2 MiB", i,
				       text);
		if (size[i] > room)
			return err_set(err, -ERANGE,
				       "memory of node %u is %s: with it the guest has more than "
				       "64 TiB",
				       i, text);
		room -= size[i];
	}
	return 0;
}

/* Appends @size bytes of @node's memory to the end of the map, above or below the hole. */
static void add_range(struct mem_layout *layout, unsigned node, uint64_t size)
{
	bool below = layout->low < MEM_HOLE_START;
	uint64_t *part = below ? &layout->low : &layout->high;

	layout->range[layout->nranges++] = (struct mem_range){
		.gpa = below ? layout->low : MEM_HOLE_END + layout->high,
		.size = size,
		.offset = mem_total(layout),
		.node = node,
	};
	*part += size;
}

int mem_layout_init(const uint64_t *size, unsigned nodes, struct mem_layout *ret, struct err *err)
{
	struct mem_layout layout = {.nodes = nodes};
	int r = check_sizes(size, nodes, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < nodes; i++) {
		uint64_t below = MIN(size[i], MEM_HOLE_START - layout.low);

		if (below)
			add_range(&layout, i, below);
		if (size[i] > below)
			add_range(&layout, i, size[i] - below);
	}
	*ret = layout;
	return 0;
}

int mem_home_offset(const struct mem_layout *layout, uint64_t offset)
{
	unsigned first = 0, last = layout->nranges - 1;

	if (offset >= mem_total(layout))
		return -1;
	/* The range that is sought is always one of first..last. */
	while (first < last) {
		unsigned middle = (first + last + 1) / 2;

		if (layout->range[middle].offset <= offset)
			first = middle;
		else
			last = middle - 1;
	}
	return (int)layout->range[first].node;
}

int mem_home(const struct mem_layout *layout, uint64_t gpa)
{
	uint64_t offset;

	return mem_offset(layout, gpa, 1, &offset) < 0 ? -1 : mem_home_offset(layout, offset);
}

int mem_offset(const struct mem_layout *layout, uint64_t gpa, uint64_t len, uint64_t *ret)
{
	bool below = gpa < MEM_HOLE_END;
	uint64_t start = below ? gpa : gpa - MEM_HOLE_END;
	uint64_t part = below ? layout->low : layout->high;

	if (start >= part || len > part - start)
		return -EFAULT;
	*ret = below ? start : layout->low + start;
	return 0;
}

int mem_gpa(const struct mem_layout *layout, uint64_t offset, uint64_t *ret)
{
	if (offset >= mem_total(layout))
		return -EFAULT;
	*ret = offset < layout->low ? offset : MEM_HOLE_END + (offset - layout->low);
	return 0;
}
