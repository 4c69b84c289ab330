/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/ram.h"

#include <sys/mman.h>

#include "base/size.h"

/* Maps @size bytes aligned to REGION_BYTES: maps one region more and gives back what is over. */
static void *map_aligned(size_t size)
{
	uint8_t *area, *base;

	area = mmap(NULL, size + REGION_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return NULL;
	base = (uint8_t *)ALIGN_UP((uintptr_t)area, REGION_BYTES);
	if (base > area)
		munmap(area, (size_t)(base - area));
	munmap(base + size, (size_t)(area + REGION_BYTES - base));
	return base;
}

int ram_new(const struct mem_layout *layout, struct ram **ret, struct err *err)
{
	size_t size = mem_total(layout);
	struct ram *ram = calloc(1, sizeof(*ram));
	char text[32];

	if (!ram)
		return err_set(err, -ENOMEM, "no memory for the map of the guest's RAM");
	ram->layout = *layout;
	ram->base = map_aligned(size);
	if (!ram->base) {
		free(ram);
		return err_set(err, -ENOMEM,
			       "cannot map %s of guest RAM: raise the limit of address space "
			       "(ulimit -v) or give the guest less",
			       size_format(size, text, sizeof(text)));
	}
	/* Both are advice: a kernel without huge pages serves the guest all the same. */
	(void)madvise(ram->base, size, MADV_HUGEPAGE);
	(void)madvise(ram->base, size, MADV_DONTDUMP);
	*ret = ram;
	return 0;
}

void ram_free(struct ram *ram)
{
	if (!ram)
		return;
	munmap(ram->base, mem_total(&ram->layout));
	free(ram);
}

void *ram_ptr(const struct ram *ram, uint64_t gpa, uint64_t len)
{
	uint64_t offset;

	return mem_offset(&ram->layout, gpa, len, &offset) < 0 ? NULL : ram->base + offset;
}

int ram_write(struct ram *ram, uint64_t gpa, const void *buf, uint64_t len)
{
	void *to = ram_ptr(ram, gpa, len);

	if (!to)
		return -EFAULT;
	memcpy(to, buf, len);
	return 0;
}

int ram_read(const struct ram *ram, uint64_t gpa, void *buf, uint64_t len)
{
	const void *from = ram_ptr(ram, gpa, len);

	if (!from)
		return -EFAULT;
	memcpy(buf, from, len);
	return 0;
}
