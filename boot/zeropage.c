/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The zero page: the image's own setup header with the loader's fields filled in (boot.rst, fields
 * marked "write" or "modify"), the memory map, and the address of the RSDP.
 */
#include "boot/bzimage.h"

#define LOADER_UNDEFINED 0xff /* boot.rst, "type_of_loader": no assigned id */
#define E820_RAM	 1
#define E820_RESERVED	 2

static void add_e820(struct boot_params *params, uint64_t start, uint64_t end, uint32_t type)
{
	if (start < end)
		params->e820_table[params->e820_entries++] = (struct boot_e820_entry){
			.addr = start,
			.size = end - start,
			.type = type,
		};
}

/* Nodes join without gaps: the map knows only of the hole, the SRAT tells the nodes apart. */
static void fill_e820(struct boot_params *params, const struct mem_layout *layout)
{
	add_e820(params, 0, BOOT_LOW_END, E820_RAM);
	add_e820(params, BOOT_LOW_END, BOOT_HIGH_START, E820_RESERVED);
	add_e820(params, BOOT_HIGH_START, layout->low, E820_RAM);
	add_e820(params, MEM_HOLE_END, MEM_HOLE_END + layout->high, E820_RAM);
}

void boot_params_fill(const struct boot_source *source, const struct boot_plan *plan,
		      const struct mem_layout *layout, struct boot_params *ret)
{
	struct setup_header *header = &ret->hdr;

	memset(ret, 0, sizeof(*ret));
	*header = source->kernel->header;
	header->type_of_loader = LOADER_UNDEFINED;
	header->ext_loader_type = 0;
	header->ext_loader_ver = 0;
	header->loadflags &= (uint8_t)~CAN_USE_HEAP; /* heap_end_ptr is for the real-mode entry */
	header->code32_start = (uint32_t)plan->kernel_gpa;
	header->ramdisk_image = (uint32_t)plan->initrd_gpa;
	header->ramdisk_size = (uint32_t)plan->initrd_len;
	header->cmd_line_ptr = BOOT_CMDLINE_GPA;
	header->setup_data = 0;
	ret->acpi_rsdp_addr = source->rsdp_gpa;
	fill_e820(ret, layout);
}
