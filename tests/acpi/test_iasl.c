/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference compiler reads what we write: every table disassembles without a complaint, and
 * what comes out compiles to the same bytes without an error, warning or remark.
 */
#include "tests/check.h"

#include <stdio.h>

#include "tests/acpi/machines.h"

static char output[1 << 16];

/* Runs a command in @dir; its output lands in `output`. Return: exit status. */
static _printf_(2, 3) int run(const char *dir, const char *fmt, ...)
{
	char args[256], command[512];
	size_t len;
	FILE *pipe;
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(args, sizeof(args), fmt, ap);
	va_end(ap);
	snprintf(command, sizeof(command), "cd '%s' && %s 2>&1", dir, args);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	len = fread(output, 1, sizeof(output) - 1, pipe);
	output[len] = 0;
	status = pclose(pipe);
	return status;
}

static void assert_no_complaint(const char *table)
{
	if (strstr(output, "Warning") || strstr(output, "Error") || strstr(output, "Invalid") ||
	    strstr(output, "Unknown"))
		fail_msg("iasl about %s:\n%s", table, output);
}

/* table -> text -> table gives the same bytes. */
static void check_data_table(const char *dir, const char *iasl, const char *table)
{
	assert_int_equal(run(dir, "%s -d %s.aml", iasl, table), 0);
	assert_no_complaint(table);
	assert_int_equal(run(dir, "grep -iE 'invalid|unknown|error' %s.dsl", table) >> 8, 1);
	assert_int_equal(run(dir, "%s -p again_%s %s.dsl", iasl, table, table), 0);
	assert_non_null(strstr(output, "0 Errors, 0 Warnings, 0 Remarks"));
	if (run(dir, "cmp -i 36 %s.aml again_%s.aml", table, table) != 0)
		fail_msg("%s: %s", table, output);
}

static void check_dsdt(const char *dir, const char *iasl)
{
	assert_int_equal(run(dir, "%s -d dsdt.aml", iasl), 0);
	assert_no_complaint("dsdt");
	assert_int_equal(run(dir, "%s -p again_dsdt dsdt.dsl", iasl), 0);
	if (!strstr(output, "0 Errors, 0 Warnings, 0 Remarks"))
		fail_msg("%s", output);
	assert_int_equal(run(dir, "cmp -i 36 dsdt.aml again_dsdt.aml"), 0);
}

/*
 * iasl compiles an RSDP but disassembles none, not even its own ("does not contain a valid ACPI
 * table"). So the other way round: what it makes of the same fields is what we wrote.
 */
static void check_rsdp(const char *dir, const char *iasl)
{
	uint64_t xsdt_gpa;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/rsdp.aml", dir);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fseek(file, 24, SEEK_SET), 0);
	assert_int_equal(fread(&xsdt_gpa, sizeof(xsdt_gpa), 1, file), 1);
	fclose(file);
	snprintf(path, sizeof(path), "%s/rsdp.asl", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file,
		"[0008] Signature : \"RSD PTR \"\n[0001] Checksum : 00\n"
		"[0006] Oem ID : \"SSIHV \"\n[0001] Revision : 02\n"
		"[0004] RSDT Address : 00000000\n[0004] Length : 00000024\n"
		"[0008] XSDT Address : %016llX\n[0001] Extended Checksum : 00\n"
		"[0003] Reserved : 000000\n",
		(unsigned long long)xsdt_gpa);
	fclose(file);
	assert_int_equal(run(dir, "%s -p again_rsdp rsdp.asl", iasl), 0);
	assert_non_null(strstr(output, "0 Errors, 0 Warnings, 0 Remarks"));
	assert_int_equal(run(dir, "cmp rsdp.aml again_rsdp.aml"), 0);
}

static void check_machine(const char *iasl, const struct acpi_machine *machine)
{
	static const char *const data_tables[] = {"facs", "fadt", "madt", "srat", "slit", "xsdt"};
	char dir[] = "/tmp/ssihv-acpi-XXXXXX", sub[64];
	struct err err;

	assert_non_null(mkdtemp(dir));
	snprintf(sub, sizeof(sub), "%s/tables", dir);
	assert_int_equal(acpi_dump(machine, 0xe0000, sub, &err), 0);
	/* Again into the same directory: files are replaced. */
	assert_int_equal(acpi_dump(machine, 0xe0000, sub, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(data_tables); i++)
		check_data_table(sub, iasl, data_tables[i]);
	check_rsdp(sub, iasl);
	check_dsdt(sub, iasl);
	assert_int_equal(run("/", "rm -r %s", dir), 0);
}

static void with_iasl(void (*make)(struct machines *))
{
	static struct machines m;

	make(&m);
	check_machine(getenv("SSIHV_IASL"), &m.machine);
}

static void small(void **state)
{
	with_iasl(machine_small);
}

static void split_by_the_hole(void **state)
{
	with_iasl(machine_split);
}

static void wide_apic_ids(void **state)
{
	with_iasl(machine_wide);
}

static void largest(void **state)
{
	with_iasl(machine_largest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small),
		cmocka_unit_test(split_by_the_hole),
		cmocka_unit_test(wide_apic_ids),
		cmocka_unit_test(largest),
	};

	if (!getenv("SSIHV_IASL")) {
		puts("1..0 # SKIP iasl is missing: install acpica-tools");
		return 0;
	}
	return cmocka_run_group_tests_name("iasl", tests, NULL, NULL);
}
