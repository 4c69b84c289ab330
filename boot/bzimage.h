/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct boot of a Linux bzImage by the 64-bit boot protocol (Linux, Documentation/arch/x86/
 * boot.rst, protocol 2.12 and later): check the image, find a place for everything, write it to
 * guest memory, and say in which state the boot CPU starts.
 *
 * Low addresses, all of them on node 0:
 *
 *      0x00000 - 0x00fff   left zero: real-mode vectors and BIOS data, which Linux looks at
 *      0x01000 - 0x01fff   GDT: null, null, __BOOT_CS (0x10), __BOOT_DS (0x18)
 *      0x02000 - 0x02fff   zero page (struct boot_params)
 *      0x03000 - 0x03fff   stack of the entry code, growing down from 0x4000
 *      0x04000 - 0x09fff   page tables: PML4, PDPT, 4 page directories; 0-4 GiB as 2 MiB pages
 *      0x0a000 - 0x19fff   command line with its final NUL
 *      0x1a000 - 0x9fbff   free RAM (Linux puts its trampoline for the other CPUs there)
 *      0x9fc00 - 0xdffff   reserved: EBDA, VGA, option ROMs; nothing is there
 *      0xe0000 - 0xfffff   reserved: ACPI tables, the RSDP first, where a scan for it looks too
 *      0x100000 and up     kernel at its preferred address (16 MiB as a rule) with the room that
 *                          it asks for; the initrd as high as the kernel and node 0's memory
 *                          below 3 GiB allow
 *
 * All of what the boot CPU touches first is thus at home on its own node. The e820 map calls the
 * ACPI area reserved (type 2) and not reclaimable (type 3), since the FACS in it stays in use.
 *
 * Images and files are hostile: every field that leads to an address or a length is checked
 * against the image's size and the guest's memory. Nothing here has state or threads; bzimage_
 * parse() and boot_place() are pure, boot_load() writes by mem/ram.h alone and must not run in a
 * thread of the pager.
 */
#ifndef SSIHV_BOOT_BZIMAGE_H
#define SSIHV_BOOT_BZIMAGE_H

#include <asm/bootparam.h>

#include "base/base.h"
#include "base/err.h"
#include "mem/ram.h"

#define BOOT_GDT_GPA	 0x1000u
#define BOOT_PARAMS_GPA	 0x2000u
#define BOOT_STACK_TOP	 0x4000u
#define BOOT_TABLES_GPA	 0x4000u
#define BOOT_CMDLINE_GPA 0xa000u
#define BOOT_CMDLINE_MAX 0x10000u /* with the NUL */
#define BOOT_LOW_END	 0x9fc00u
#define BOOT_ACPI_GPA	 0xe0000u
#define BOOT_ACPI_MAX	 0x20000u
#define BOOT_HIGH_START	 0x100000u

#define BOOT_ENTRY_OFFSET 0x200u /* of the 64-bit entry in the protected-mode code */

#define BOOT_CS 0x10
#define BOOT_DS 0x18

/* A checked image. @name and @code point into what the caller gave and must outlive this. */
struct bzimage {
	const char *name;
	struct setup_header header; /* fields that the image's protocol has not are 0 */
	const uint8_t *code;	    /* protected-mode part, @code_len bytes (> 0x200) */
	uint64_t code_len;
	uint64_t load_gpa; /* where it runs, at least 1 MiB */
	uint64_t room;	   /* bytes from there that it uses before it reads the e820 map */
};

/* What to boot. Pointers are only read during the call. */
struct boot_source {
	const struct bzimage *kernel;
	const char *initrd_name; /* for errors; NULL without an initrd */
	const void *initrd;
	uint64_t initrd_len; /* 0: no initrd */
	const char *cmdline; /* never NULL */
	uint64_t rsdp_gpa;   /* of the ACPI RSDP; 0: the guest looks for it */
};

/* Where the parts that have no fixed place go. */
struct boot_plan {
	uint64_t kernel_gpa;
	uint64_t kernel_room;
	uint64_t initrd_gpa; /* page aligned; 0 without an initrd */
	uint64_t initrd_len;
};

/*
 * State of the boot CPU at the first instruction: 64-bit mode, interrupts off, flat segments.
 * Every register that is not named is 0.
 */
struct boot_entry {
	uint64_t rip;
	uint64_t rsi; /* guest-physical address of the zero page */
	uint64_t rsp;
	uint64_t rflags;
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
	uint64_t gdt_base;
	uint16_t gdt_limit;
	uint16_t cs; /* 64-bit code, DPL 0 */
	uint16_t ds; /* also es and ss: data, DPL 0, 4 GiB */
};

/**
 * bzimage_parse() - check a bzImage and find its parts
 * @data: the whole file
 * @name: file name for errors
 *
 * Return: 0; -ENOEXEC when it is no bzImage, too old, damaged or not for 64 bits; -EINVAL when it
 * is shorter than its header says. @err names the file and what to do.
 */
int bzimage_parse(const void *data, size_t len, const char *name, struct bzimage *ret,
		  struct err *err);

/**
 * boot_place() - find room for kernel, initrd and command line on node 0
 *
 * Return: 0; -E2BIG when one of them does not fit; @err names the sizes and the memory there is.
 */
int boot_place(const struct boot_source *source, const struct mem_layout *layout,
	       struct boot_plan *ret, struct err *err);

/**
 * boot_params_fill() - make the zero page
 * @plan: as boot_place() made it for @source and @layout
 * @ret:  filled completely
 */
void boot_params_fill(const struct boot_source *source, const struct boot_plan *plan,
		      const struct mem_layout *layout, struct boot_params *ret);

/**
 * boot_load() - place everything and write it to guest memory
 * @ram: fresh: what is not written must read as zero
 * @ret: written only on success
 *
 * The ACPI tables are not written here: the caller puts them at BOOT_ACPI_GPA.
 *
 * Return: 0 or the error of boot_place().
 */
int boot_load(struct ram *ram, const struct boot_source *source, struct boot_entry *ret,
	      struct err *err);

#endif
