/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes what boot_place() planned, and the tables with which a CPU can be in 64-bit mode at once
 * (boot.rst, "64-bit Boot Protocol": paging with an identity map of all that is handed over, flat
 * segments __BOOT_CS and __BOOT_DS, interrupts off, zero page in rsi).
 */
#include "boot/bzimage.h"

/* Control bits of a CPU in 64-bit mode (Intel SDM 3A, 2.5 and 2.2.1). */
#define CR0_PE	   (UINT64_C(1) << 0)
#define CR0_ET	   (UINT64_C(1) << 4)
#define CR0_PG	   (UINT64_C(1) << 31)
#define CR4_PAE	   (UINT64_C(1) << 5)
#define EFER_LME   (UINT64_C(1) << 8)
#define EFER_LMA   (UINT64_C(1) << 10)
#define RFLAGS_ONE (UINT64_C(1) << 1)

/* Page-table entries (Intel SDM 3A, 4.5). */
#define PTE_PRESENT  UINT64_C(0x01)
#define PTE_WRITE    UINT64_C(0x02)
#define PTE_LARGE    UINT64_C(0x80)
#define PTES	     512u
#define PD_TABLES    4u
#define LARGE_BYTES  (2 * MIB)
#define TABLE_GPA(n) (BOOT_TABLES_GPA + (uint64_t)(n)*PAGE_BYTES)

/* 64-bit code and 4 GiB data, present, DPL 0, accessed (Intel SDM 3A, 3.4.5). */
static const uint64_t gdt[] = {
	[BOOT_CS / 8] = 0x00af9b000000ffff,
	[BOOT_DS / 8] = 0x00cf93000000ffff,
};

static_assert(PD_TABLES * PTES * LARGE_BYTES >= MEM_HOLE_START, "all low RAM is mapped");

/* PML4 -> PDPT -> one page directory a GiB, each page at its own address. */
static int write_page_tables(struct ram *ram)
{
	uint64_t table[PTES] = {[0] = TABLE_GPA(1) | PTE_PRESENT | PTE_WRITE};
	int r;

	r = ram_write(ram, TABLE_GPA(0), table, sizeof(table));
	if (r < 0)
		return r;
	for (unsigned i = 0; i < PD_TABLES; i++)
		table[i] = TABLE_GPA(2 + i) | PTE_PRESENT | PTE_WRITE;
	r = ram_write(ram, TABLE_GPA(1), table, sizeof(table));
	for (unsigned i = 0; i < PD_TABLES && r == 0; i++) {
		for (unsigned j = 0; j < PTES; j++)
			table[j] = (uint64_t)(i * PTES + j) * LARGE_BYTES | PTE_PRESENT |
				   PTE_WRITE | PTE_LARGE;
		r = ram_write(ram, TABLE_GPA(2 + i), table, sizeof(table));
	}
	return r;
}

static int write_all(struct ram *ram, const struct boot_source *source,
		     const struct boot_plan *plan)
{
	const struct bzimage *kernel = source->kernel;
	struct boot_params params;
	int r;

	boot_params_fill(source, plan, &ram->layout, &params);
	r = ram_write(ram, BOOT_PARAMS_GPA, &params, sizeof(params));
	if (r == 0)
		r = ram_write(ram, BOOT_GDT_GPA, gdt, sizeof(gdt));
	if (r == 0)
		r = write_page_tables(ram);
	if (r == 0)
		r = ram_write(ram, BOOT_CMDLINE_GPA, source->cmdline, strlen(source->cmdline) + 1);
	if (r == 0)
		r = ram_write(ram, plan->kernel_gpa, kernel->code, kernel->code_len);
	if (r == 0 && plan->initrd_len)
		r = ram_write(ram, plan->initrd_gpa, source->initrd, plan->initrd_len);
	return r;
}

int boot_load(struct ram *ram, const struct boot_source *source, struct boot_entry *ret,
	      struct err *err)
{
	struct boot_plan plan;
	int r = boot_place(source, &ram->layout, &plan, err);

	if (r < 0)
		return r;
	r = write_all(ram, source, &plan);
	if (r < 0)
		return err_set(err, r, "cannot write %s to guest memory: node 0 is too small",
			       source->kernel->name);
	*ret = (struct boot_entry){
		.rip = plan.kernel_gpa + BOOT_ENTRY_OFFSET,
		.rsi = BOOT_PARAMS_GPA,
		.rsp = BOOT_STACK_TOP,
		.rflags = RFLAGS_ONE,
		.cr0 = CR0_PE | CR0_ET | CR0_PG,
		.cr3 = BOOT_TABLES_GPA,
		.cr4 = CR4_PAE,
		.efer = EFER_LME | EFER_LMA,
		.gdt_base = BOOT_GDT_GPA,
		.gdt_limit = sizeof(gdt) - 1,
		.cs = BOOT_CS,
		.ds = BOOT_DS,
	};
	return 0;
}
