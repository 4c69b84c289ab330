/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables as a guest reads them: from the RSDP along the pointers, checksums first; then what
 * MADT, SRAT and SLIT say against the machine. Offsets are the specification's (ACPI 6.3, chapter
 * 5), not the encoder's structs.
 */
#include "tests/check.h"

#include "tests/acpi/machines.h"

#define BASE 0xe0000u

static uint64_t get(const uint8_t *at, size_t bytes)
{
	uint64_t value = 0;

	memcpy(&value, at, bytes);
	return value;
}

static unsigned sum(const uint8_t *bytes, size_t len)
{
	unsigned total = 0;

	for (size_t i = 0; i < len; i++)
		total += bytes[i];
	return total & 0xff;
}

/* The tables in a buffer, with bytes behind them that nobody may touch. */
struct image {
	uint8_t bytes[ACPI_MAX_BYTES + 64];
	struct acpi_placed placed;
	const uint8_t *fadt, *madt, *srat, *slit;
};

/* The table at a guest-physical address: inside the buffer, sum 0, as long as it says. */
static const uint8_t *table_at(const struct image *image, uint64_t gpa, const char *signature)
{
	const uint8_t *table = image->bytes + (gpa - BASE);

	assert_in_range(gpa, BASE, BASE + image->placed.len - 36);
	assert_memory_equal(table, signature, 4);
	assert_in_range(get(table + 4, 4), 36, BASE + image->placed.len - gpa);
	assert_int_equal(sum(table, get(table + 4, 4)), 0);
	return table;
}

static void walk(struct image *image)
{
	const uint8_t *rsdp = image->bytes, *xsdt, *facs;
	uint64_t facs_gpa;

	assert_int_equal(image->placed.rsdp_gpa, BASE);
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(rsdp[15], 2);
	assert_int_equal(get(rsdp + 20, 4), 36);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	xsdt = table_at(image, get(rsdp + 24, 8), "XSDT");
	assert_int_equal(get(xsdt + 4, 4), 36 + 4 * 8);
	image->fadt = table_at(image, get(xsdt + 36, 8), "FACP");
	image->madt = table_at(image, get(xsdt + 44, 8), "APIC");
	image->srat = table_at(image, get(xsdt + 52, 8), "SRAT");
	image->slit = table_at(image, get(xsdt + 60, 8), "SLIT");
	assert_int_equal(get(image->fadt + 4, 4), 276);
	facs_gpa = get(image->fadt + 36, 4);
	assert_int_equal(facs_gpa % 64, 0);
	facs = image->bytes + (facs_gpa - BASE);
	assert_memory_equal(facs, "FACS", 4);
	assert_int_equal(get(facs + 4, 4), 64);
	assert_int_equal(get(image->fadt + 40, 4), get(image->fadt + 140, 8));
	table_at(image, get(image->fadt + 40, 4), "DSDT");
}

static struct image *encode(const struct acpi_machine *machine)
{
	struct image *image = calloc(1, sizeof(*image));
	struct err err;

	assert_non_null(image);
	memset(image->bytes, 0xa5, sizeof(image->bytes));
	assert_int_equal(
		acpi_place(machine, BASE, image->bytes, ACPI_MAX_BYTES, &image->placed, &err), 0);
	for (size_t i = image->placed.len; i < sizeof(image->bytes); i++)
		assert_int_equal(image->bytes[i], 0xa5);
	for (unsigned id = 0; id + 1 < ACPI_TABLES; id++)
		assert_true(image->placed.table[id].offset + image->placed.table[id].len <=
			    image->placed.table[id + 1].offset);
	walk(image);
	return image;
}

/* Counts the sub-tables of one type and checks that all of them fill the table exactly. */
static unsigned count(const uint8_t *table, size_t first, uint8_t type)
{
	size_t len = get(table + 4, 4), at = first;
	unsigned found = 0;

	while (at < len) {
		assert_true(table[at + 1] >= 2 && table[at + 1] <= len - at);
		found += table[at] == type;
		at += table[at + 1];
	}
	assert_int_equal(at, len);
	return found;
}

/* The @n-th sub-table of @type. */
static const uint8_t *entry(const uint8_t *table, size_t first, uint8_t type, unsigned n)
{
	for (size_t at = first; at < get(table + 4, 4); at += table[at + 1])
		if (table[at] == type && n-- == 0)
			return table + at;
	fail_msg("no sub-table of type %u", type);
	return NULL;
}

#define MADT_FIRST 44
#define SRAT_FIRST 48

/* MADT and SRAT name every processor once, in order, in the form that its id needs. */
static void check_cpus(const struct image *image, const struct acpi_machine *machine)
{
	unsigned narrow = 0, wide = 0;

	for (unsigned i = 0; i < machine->ncpus; i++) {
		const struct acpi_cpu *cpu = &machine->cpu[i];
		const uint8_t *madt, *srat;

		if (cpu->apic_id < 255) {
			madt = entry(image->madt, MADT_FIRST, 0, narrow);
			srat = entry(image->srat, SRAT_FIRST, 0, narrow++);
			assert_int_equal(madt[2], cpu->apic_id);
			assert_int_equal(madt[3], cpu->apic_id);
			assert_int_equal(get(madt + 4, 4), 1);
			assert_int_equal(srat[2], cpu->node);
			assert_int_equal(srat[3], cpu->apic_id);
			assert_int_equal(get(srat + 4, 4), 1);
		} else {
			madt = entry(image->madt, MADT_FIRST, 9, wide);
			srat = entry(image->srat, SRAT_FIRST, 2, wide++);
			assert_int_equal(get(madt + 4, 4), cpu->apic_id);
			assert_int_equal(get(madt + 8, 4), 1);
			assert_int_equal(get(madt + 12, 4), cpu->apic_id);
			assert_int_equal(get(srat + 4, 4), cpu->node);
			assert_int_equal(get(srat + 8, 4), cpu->apic_id);
			assert_int_equal(get(srat + 12, 4), 1);
		}
	}
	assert_int_equal(count(image->madt, MADT_FIRST, 0), narrow);
	assert_int_equal(count(image->madt, MADT_FIRST, 9), wide);
	assert_int_equal(count(image->madt, MADT_FIRST, 4), narrow > 0);
	assert_int_equal(count(image->madt, MADT_FIRST, 10), wide > 0);
	assert_int_equal(count(image->srat, SRAT_FIRST, 0), narrow);
	assert_int_equal(count(image->srat, SRAT_FIRST, 2), wide);
}

static void check_memory(const struct image *image, const struct acpi_machine *machine)
{
	assert_int_equal(count(image->srat, SRAT_FIRST, 1), machine->nmemory);
	for (unsigned i = 0; i < machine->nmemory; i++) {
		const uint8_t *memory = entry(image->srat, SRAT_FIRST, 1, i);

		assert_int_equal(get(memory + 2, 4), machine->memory[i].node);
		assert_int_equal(get(memory + 8, 8), machine->memory[i].gpa);
		assert_int_equal(get(memory + 16, 8), machine->memory[i].size);
		assert_int_equal(get(memory + 28, 4), 1);
	}
}

static void check_distances(const struct image *image, const struct acpi_machine *machine)
{
	size_t entries = (size_t)machine->nodes * machine->nodes;

	assert_int_equal(get(image->slit + 36, 8), machine->nodes);
	assert_int_equal(get(image->slit + 4, 4), 44 + entries);
	assert_memory_equal(image->slit + 44, machine->distance, entries);
}

static void every_machine_is_told_as_it_is(void **state)
{
	static void (*const makes[])(struct machines *) = {
		machine_small,
		machine_split,
		machine_wide,
		machine_largest,
	};
	static struct machines m;

	for (size_t i = 0; i < ARRAY_SIZE(makes); i++) {
		makes[i](&m);
		struct image *image = encode(&m.machine);

		check_cpus(image, &m.machine);
		check_memory(image, &m.machine);
		check_distances(image, &m.machine);
		free(image);
	}
}

static void fixed_hardware_is_where_the_machine_has_it(void **state)
{
	static struct machines m;
	struct image *image;
	const uint8_t *f;

	machine_small(&m);
	image = encode(&m.machine);
	f = image->fadt;
	assert_int_equal(get(f + 46, 2), 9);	 /* SCI_INT */
	assert_int_equal(get(f + 48, 4), 0);	 /* SMI_CMD */
	assert_int_equal(get(f + 56, 4), 0x600); /* PM1a_EVT_BLK */
	assert_int_equal(get(f + 64, 4), 0x604); /* PM1a_CNT_BLK */
	assert_int_equal(get(f + 76, 4), 0x608); /* PM_TMR_BLK */
	assert_int_equal(f[88], 4);
	assert_int_equal(f[89], 2);
	assert_int_equal(f[91], 4);
	assert_int_equal(f[108], 0x32);			 /* CENTURY */
	assert_int_equal(get(f + 109, 2), 0x04);	 /* no 8042, no VGA; RTC, MSI allowed */
	assert_int_equal(get(f + 112, 4) & 1u << 20, 0); /* not hardware-reduced */
	assert_int_equal(get(f + 112, 4) & 1u << 10, 1u << 10); /* RESET_REG_SUP */
	assert_int_equal(get(f + 116, 4), 0x01000801);		/* I/O, 8 bits, bytes */
	assert_int_equal(get(f + 120, 8), 0xcf9);
	assert_int_equal(f[128], 6);
	assert_int_equal(get(f + 148, 4), 0x02002001); /* X_PM1a_EVT_BLK: I/O, 32 bits, words */
	assert_int_equal(get(f + 152, 8), 0x600);
	assert_int_equal(get(f + 172, 4), 0x02001001);
	assert_int_equal(get(f + 176, 8), 0x604);
	assert_int_equal(get(f + 208, 4), 0x03002001);
	assert_int_equal(get(f + 212, 8), 0x608);
	free(image);
	m.machine.pm_timer_port = 0;
	m.machine.rtc_port = 0;
	image = encode(&m.machine);
	assert_int_equal(image->fadt[91], 0);
	assert_int_equal(get(image->fadt + 208, 8), 0);
	assert_int_equal(get(image->fadt + 109, 2), 0x24);
	free(image);
}

static void interrupts_are_routed_as_the_machine_says(void **state)
{
	static struct machines m;
	struct image *image;
	const uint8_t *e;

	machine_wide(&m);
	image = encode(&m.machine);
	assert_int_equal(get(image->madt + 36, 4), 0xfee00000);
	assert_int_equal(get(image->madt + 40, 4), 0);
	e = entry(image->madt, MADT_FIRST, 1, 0);
	assert_int_equal(get(e + 4, 4), 0xfec00000);
	assert_int_equal(get(e + 8, 4), 0);
	e = entry(image->madt, MADT_FIRST, 2, 0);
	assert_int_equal(e[3], 0);
	assert_int_equal(get(e + 4, 4), 2);
	assert_int_equal(get(e + 8, 2), 0x5);
	e = entry(image->madt, MADT_FIRST, 2, 1);
	assert_int_equal(e[3], 9);
	assert_int_equal(get(e + 4, 4), 9);
	assert_int_equal(get(e + 8, 2), 0xd);
	e = entry(image->madt, MADT_FIRST, 4, 0);
	assert_int_equal(e[2], 0xff);
	assert_int_equal(e[5], 1);
	e = entry(image->madt, MADT_FIRST, 10, 0);
	assert_int_equal(get(e + 4, 4), UINT32_MAX);
	assert_int_equal(e[8], 1);
	free(image);
	m.machine.pic = true;
	image = encode(&m.machine);
	assert_int_equal(get(image->madt + 40, 4), 1);
	free(image);
}

/* A buffer of any smaller size is refused and not overrun. */
static void a_small_buffer_is_not_overrun(void **state)
{
	static struct machines m;
	struct acpi_placed whole, placed = {.len = 77};
	static uint8_t buf[4096];
	struct err err;

	machine_small(&m);
	assert_int_equal(acpi_place(&m.machine, BASE, buf, sizeof(buf), &whole, &err), 0);
	for (size_t len = 0; len < whole.len; len++) {
		memset(buf, 0xa5, sizeof(buf));
		assert_int_equal(acpi_place(&m.machine, BASE, buf, len, &placed, &err), -ENOSPC);
		for (size_t i = len; i < whole.len; i++)
			assert_int_equal(buf[i], 0xa5);
	}
	assert_int_equal(placed.len, 77);
	assert_int_equal(acpi_place(&m.machine, BASE, buf, whole.len, &placed, &err), 0);
	assert_int_equal(acpi_place(&m.machine, BASE + 16, buf, sizeof(buf), &placed, &err),
			 -EINVAL);
	assert_int_equal(acpi_place(&m.machine, 4 * GIB - 64, buf, sizeof(buf), &placed, &err),
			 -EINVAL);
}

static void expect_refusal(const struct machines *m, const char *says)
{
	struct err err = {0};

	assert_int_equal(acpi_machine_check(&m->machine, &err), -EINVAL);
	assert_non_null(strstr(err.text, says));
}

static void contradictions_are_named(void **state)
{
	static struct machines m;

	machine_small(&m);
	m.machine.nodes = MAX_NODES + 1;
	expect_refusal(&m, "65 nodes");
	machine_small(&m);
	m.machine.ncpus = 0;
	expect_refusal(&m, "0 CPUs");
	machine_small(&m);
	m.machine.nmemory = ACPI_MAX_MEMORY + 1;
	expect_refusal(&m, "129 ranges");
	machine_small(&m);
	m.cpu[1].node = 2;
	expect_refusal(&m, "CPU 1 is on node 2");
	machine_small(&m);
	m.cpu[1].apic_id = 0;
	expect_refusal(&m, "same APIC id");
	machine_small(&m);
	m.cpu[1].apic_id = UINT32_MAX;
	expect_refusal(&m, "broadcast");
	machine_small(&m);
	m.memory[1].gpa -= 1;
	expect_refusal(&m, "overlap");
	machine_small(&m);
	m.memory[1].size = UINT64_MAX;
	expect_refusal(&m, "memory at 0x20000000");
	machine_small(&m);
	m.memory[1].node = 7;
	expect_refusal(&m, "node 7");
	machine_small(&m);
	m.distance[1] = 10;
	expect_refusal(&m, "from node 0 to node 1 is 10");
	machine_small(&m);
	m.distance[3] = 11;
	expect_refusal(&m, "node 1 to itself");
	machine_small(&m);
	m.distance[2] = 255;
	expect_refusal(&m, "255");
	machine_small(&m);
	m.machine.reset_port = 0;
	expect_refusal(&m, "ports");
	machine_small(&m);
	m.machine.com1_irq = 16;
	expect_refusal(&m, "IRQ 16");
}

static void a_directory_that_cannot_be_used_is_named(void **state)
{
	static struct machines m;
	struct err err;

	machine_small(&m);
	assert_int_equal(acpi_dump(&m.machine, 0xe0000, "/nonexistent/dir", &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/dir"));
	assert_int_equal(acpi_dump(&m.machine, 0xe0000, "/dev/null", &err), -ENOTDIR);
	assert_non_null(strstr(err.text, "/dev/null"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_machine_is_told_as_it_is),
		cmocka_unit_test(fixed_hardware_is_where_the_machine_has_it),
		cmocka_unit_test(interrupts_are_routed_as_the_machine_says),
		cmocka_unit_test(a_small_buffer_is_not_overrun),
		cmocka_unit_test(contradictions_are_named),
		cmocka_unit_test(a_directory_that_cannot_be_used_is_named),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
