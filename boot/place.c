/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where kernel, initrd and command line go: all in node 0's memory below the PCI hole, the kernel
 * where it wants to be, the initrd at the top. See the table in boot/bzimage.h.
 */
#include "boot/bzimage.h"

#include <inttypes.h>

#include "base/size.h"

static_assert(BOOT_TABLES_GPA + 6 * PAGE_BYTES <= BOOT_CMDLINE_GPA, "page tables fit");
static_assert(BOOT_CMDLINE_GPA + BOOT_CMDLINE_MAX <= BOOT_LOW_END, "command line fits");
static_assert(BOOT_ACPI_GPA >= BOOT_LOW_END, "ACPI area is reserved");
static_assert(BOOT_ACPI_GPA + BOOT_ACPI_MAX <= BOOT_HIGH_START, "ACPI area is reserved");

struct size_text {
	char text[32];
};

static struct size_text in_words(uint64_t bytes)
{
	struct size_text size;

	size_format(bytes, size.text, sizeof(size.text));
	return size;
}

/* The first range is node 0's low memory: it begins at 0 and is not longer than 3 GiB. */
static uint64_t node0_end(const struct mem_layout *layout)
{
	return layout->range[0].size;
}

static int place_kernel(const struct bzimage *kernel, uint64_t end, struct boot_plan *plan,
			struct err *err)
{
	if (kernel->load_gpa > end || kernel->room > end - kernel->load_gpa)
		return err_set(err, -E2BIG,
			       "%s needs %s from address %s on: node 0 has %s below 3 GiB; give it "
			       "more memory",
			       kernel->name, in_words(kernel->room).text,
			       in_words(kernel->load_gpa).text, in_words(end).text);
	plan->kernel_gpa = kernel->load_gpa;
	plan->kernel_room = kernel->room;
	return 0;
}

static int place_initrd(const struct boot_source *source, uint64_t end, struct boot_plan *plan,
			struct err *err)
{
	uint64_t limit = (uint64_t)source->kernel->header.initrd_addr_max + 1;
	uint64_t top = ALIGN_DOWN(MIN(end, limit), PAGE_BYTES);
	uint64_t bottom = ALIGN_UP(plan->kernel_gpa + plan->kernel_room, PAGE_BYTES);
	uint64_t free_bytes = top > bottom ? top - bottom : 0;

	if (source->initrd_len == 0)
		return 0;
	if (source->initrd_len > free_bytes)
		return err_set(err, -E2BIG,
			       "initrd %s has %s: between kernel and %s there is room for %s; %s",
			       source->initrd_name, in_words(source->initrd_len).text,
			       in_words(top).text, in_words(free_bytes).text,
			       limit < end ? "this kernel takes no larger one"
					   : "make it smaller or give node 0 more memory");
	plan->initrd_len = source->initrd_len;
	plan->initrd_gpa = ALIGN_DOWN(top - source->initrd_len, PAGE_BYTES);
	return 0;
}

static int check_cmdline(const struct boot_source *source, struct err *err)
{
	size_t len = strlen(source->cmdline);
	uint64_t most = MIN(source->kernel->header.cmdline_size, BOOT_CMDLINE_MAX - 1);

	if (len > most)
		return err_set(err, -E2BIG,
			       "the kernel command line has %zu characters: %s takes at most "
			       "%" PRIu64,
			       len, source->kernel->name, most);
	return 0;
}

int boot_place(const struct boot_source *source, const struct mem_layout *layout,
	       struct boot_plan *ret, struct err *err)
{
	struct boot_plan plan = {0};
	uint64_t end = node0_end(layout);
	int r;

	r = check_cmdline(source, err);
	if (r < 0)
		return r;
	r = place_kernel(source->kernel, end, &plan, err);
	if (r < 0)
		return r;
	r = place_initrd(source, end, &plan, err);
	if (r < 0)
		return r;
	*ret = plan;
	return 0;
}
