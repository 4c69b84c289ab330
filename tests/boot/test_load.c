/* SPDX-License-Identifier: Apache-2.0 */
/* What a loaded guest looks like: places, zero page, page tables, GDT, and every "too large". */
#include "tests/check.h"

#include "tests/boot/image.h"

struct machine {
	struct mem_layout layout;
	struct ram *ram;
	uint8_t image[IMAGE_BYTES];
	struct bzimage kernel;
	struct boot_source source;
	struct err err;
};

static void machine_make(struct machine *m, const uint64_t *size, unsigned nodes)
{
	memset(m, 0, sizeof(*m));
	image_make(m->image);
	assert_int_equal(bzimage_parse(m->image, sizeof(m->image), "vmlinuz", &m->kernel, &m->err),
			 0);
	assert_int_equal(mem_layout_init(size, nodes, &m->layout, &m->err), 0);
	assert_int_equal(ram_new(&m->layout, &m->ram, &m->err), 0);
	m->source = (struct boot_source){
		.kernel = &m->kernel,
		.initrd_name = "initrd.img",
		.cmdline = "console=ttyS0",
		.rsdp_gpa = BOOT_ACPI_GPA,
	};
}

static void machine_free(struct machine *m)
{
	ram_free(m->ram);
}

/* Follows the page tables as a CPU does. */
static uint64_t translate(const struct ram *ram, uint64_t cr3, uint64_t address)
{
	uint64_t table = cr3, entry;

	for (int shift = 39; shift >= 21; shift -= 9) {
		uint64_t at = table + 8 * (address >> shift & 511);

		assert_int_equal(ram_read(ram, at, &entry, sizeof(entry)), 0);
		assert_int_equal(entry & 3, 3);
		table = entry & ~UINT64_C(0xfff);
		assert_int_equal(!!(entry & 0x80), shift == 21);
	}
	return table + (address & (2 * MIB - 1));
}

static void check_e820(const struct machine *m, const struct boot_params *params)
{
	uint64_t usable = 0, end = 0;

	for (unsigned i = 0; i < params->e820_entries; i++) {
		const struct boot_e820_entry *e = &params->e820_table[i];

		assert_true(e->addr >= end);
		assert_true(e->size > 0);
		end = e->addr + e->size;
		assert_true(mem_home(&m->layout, e->addr) >= 0);
		assert_true(mem_home(&m->layout, end - 1) >= 0);
		assert_true(e->addr >= 4 * GIB || end <= 3 * GIB);
		if (e->type == 1) {
			usable += e->size;
			assert_true(end <= 0x9fc00 || e->addr >= 0x100000);
		}
	}
	assert_int_equal(usable, mem_total(&m->layout) - (0x100000 - 0x9fc00));
	assert_int_equal(end, mem_end(&m->layout));
}

static void check_apart(const struct boot_plan *plan)
{
	const struct {
		uint64_t start, len;
	} part[] = {
		{BOOT_GDT_GPA, 32},
		{BOOT_PARAMS_GPA, PAGE_BYTES},
		{BOOT_STACK_TOP - PAGE_BYTES, PAGE_BYTES},
		{BOOT_TABLES_GPA, 6 * PAGE_BYTES},
		{BOOT_CMDLINE_GPA, BOOT_CMDLINE_MAX},
		{BOOT_ACPI_GPA, BOOT_ACPI_MAX},
		{plan->kernel_gpa, plan->kernel_room},
		{plan->initrd_gpa, plan->initrd_len},
	};

	for (size_t i = 1; i < ARRAY_SIZE(part); i++)
		assert_true(part[i].start >= part[i - 1].start + part[i - 1].len);
}

static void load_and_check(struct machine *m, uint64_t initrd_len)
{
	uint8_t *initrd = malloc(initrd_len), *code;
	struct boot_params params;
	struct boot_entry entry;
	struct boot_plan plan;
	uint64_t gdt[4];
	char cmdline[32];

	assert_non_null(initrd);
	for (uint64_t i = 0; i < initrd_len; i++)
		initrd[i] = (uint8_t)(i * 13);
	m->source.initrd = initrd;
	m->source.initrd_len = initrd_len;
	assert_int_equal(boot_place(&m->source, &m->layout, &plan, &m->err), 0);
	check_apart(&plan);
	assert_int_equal(mem_home(&m->layout, plan.initrd_gpa + initrd_len - 1), 0);
	assert_int_equal(boot_load(m->ram, &m->source, &entry, &m->err), 0);

	assert_int_equal(entry.rip, plan.kernel_gpa + 0x200);
	code = ram_ptr(m->ram, plan.kernel_gpa, IMAGE_CODE);
	assert_memory_equal(code, m->image + IMAGE_START, IMAGE_CODE);
	assert_memory_equal(ram_ptr(m->ram, plan.initrd_gpa, initrd_len), initrd, initrd_len);

	assert_int_equal(ram_read(m->ram, entry.rsi, &params, sizeof(params)), 0);
	assert_int_equal(params.hdr.header, 0x53726448);
	assert_int_equal(params.hdr.type_of_loader, 0xff);
	assert_int_equal(params.hdr.ramdisk_image, plan.initrd_gpa);
	assert_int_equal(params.hdr.ramdisk_size, initrd_len);
	assert_int_equal(params.hdr.setup_data, 0);
	assert_int_equal(params.hdr.loadflags & CAN_USE_HEAP, 0);
	assert_int_equal(params.sentinel, 0);
	assert_int_equal(params.acpi_rsdp_addr, BOOT_ACPI_GPA);
	assert_int_equal(ram_read(m->ram, params.hdr.cmd_line_ptr, cmdline, sizeof(cmdline)), 0);
	assert_string_equal(cmdline, "console=ttyS0");
	check_e820(m, &params);

	for (uint64_t at = 0; at < 4 * GIB; at += 2 * MIB - 1)
		assert_int_equal(translate(m->ram, entry.cr3, at), at);
	assert_int_equal(entry.gdt_limit, sizeof(gdt) - 1);
	assert_int_equal(ram_read(m->ram, entry.gdt_base, gdt, sizeof(gdt)), 0);
	assert_int_equal(gdt[0], 0);
	assert_int_equal(gdt[entry.cs / 8] >> 40 & 0x20ff, 0x209b); /* L, present, code */
	assert_int_equal(gdt[entry.ds / 8] >> 40 & 0x00ff, 0x93);   /* present, data, writable */
	assert_int_equal(entry.cs, 0x10);
	assert_int_equal(entry.ds, 0x18);
	assert_int_equal(entry.cr0 & 0x80000001, 0x80000001);
	assert_int_equal(entry.cr4 & 0x20, 0x20);
	assert_int_equal(entry.efer, 0x500);
	assert_int_equal(entry.rflags & 0x200, 0);
	free(initrd);
}

static void nothing_overlaps(void **state)
{
	static const uint64_t sizes[][2] = {
		{64 * MIB, 2 * MIB},   {256 * MIB, 512 * MIB}, {1 * GIB, 3 * GIB},
		{3 * GIB, 1 * GIB},    {2500 * MIB, 2 * GIB},  {6 * GIB, 2 * MIB},
		{2048 * MIB, 2 * MIB},
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		static const uint64_t initrds[] = {1, 4095, 4096, 1 * MIB + 3};

		for (size_t k = 0; k < ARRAY_SIZE(initrds); k++) {
			struct machine m;

			machine_make(&m, sizes[i], 2);
			load_and_check(&m, initrds[k]);
			machine_free(&m);
		}
	}
}

static void without_an_initrd_none_is_named(void **state)
{
	const uint64_t size[] = {64 * MIB};
	struct boot_params params;
	struct boot_plan plan;
	struct machine m;

	machine_make(&m, size, 1);
	assert_int_equal(boot_place(&m.source, &m.layout, &plan, &m.err), 0);
	boot_params_fill(&m.source, &plan, &m.layout, &params);
	assert_int_equal(params.hdr.ramdisk_image, 0);
	assert_int_equal(params.hdr.ramdisk_size, 0);
	machine_free(&m);
}

static void what_does_not_fit_is_named(void **state)
{
	const uint64_t size[] = {64 * MIB, 4 * GIB};
	char cmdline[2100];
	struct boot_plan plan = {.kernel_gpa = 77};
	struct machine m;

	machine_make(&m, size, 2);
	m.source.initrd_len = 8 * MIB;
	assert_int_equal(boot_place(&m.source, &m.layout, &plan, &m.err), 0);
	plan.kernel_gpa = 77;
	m.source.initrd_len = 8 * MIB + 1;
	assert_int_equal(boot_place(&m.source, &m.layout, &plan, &m.err), -E2BIG);
	assert_non_null(strstr(m.err.text, "initrd.img"));
	assert_non_null(strstr(m.err.text, "room for 8 MiB"));
	m.source.initrd_len = UINT64_MAX;
	assert_int_equal(boot_place(&m.source, &m.layout, &plan, &m.err), -E2BIG);
	m.source.initrd_len = 0;

	m.kernel.room = 48 * MIB;
	assert_int_equal(boot_place(&m.source, &m.layout, &plan, &m.err), 0);
	plan.kernel_gpa = 77;
	m.kernel.room = 48 * MIB + 1;
	assert_int_equal(boot_place(&m.source, &m.layout, &plan, &m.err), -E2BIG);
	assert_non_null(strstr(m.err.text, "vmlinuz"));
	assert_non_null(strstr(m.err.text, "64 MiB"));
	m.kernel.room = 40 * MIB;

	memset(cmdline, 'a', sizeof(cmdline));
	cmdline[2048] = 0;
	m.source.cmdline = cmdline;
	assert_int_equal(boot_place(&m.source, &m.layout, &plan, &m.err), -E2BIG);
	assert_non_null(strstr(m.err.text, "2048"));
	assert_non_null(strstr(m.err.text, "2047"));
	assert_int_equal(plan.kernel_gpa, 77);
	cmdline[2047] = 0;
	assert_int_equal(boot_place(&m.source, &m.layout, &plan, &m.err), 0);
	machine_free(&m);
}

/* The kernel's own limit on the initrd holds when there is more memory than it can use. */
static void initrd_addr_max_holds(void **state)
{
	const uint64_t size[] = {3 * GIB};
	struct boot_plan plan;
	struct machine m;

	machine_make(&m, size, 1);
	m.source.initrd_len = 5000;
	assert_int_equal(boot_place(&m.source, &m.layout, &plan, &m.err), 0);
	assert_int_equal(plan.initrd_gpa, 2 * GIB - 8192);
	m.kernel.header.initrd_addr_max = 0;
	assert_int_equal(boot_place(&m.source, &m.layout, &plan, &m.err), -E2BIG);
	assert_non_null(strstr(m.err.text, "this kernel"));
	machine_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_overlaps),
		cmocka_unit_test(without_an_initrd_none_is_named),
		cmocka_unit_test(what_does_not_fit_is_named),
		cmocka_unit_test(initrd_addr_max_holds),
	};

	return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
