/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node 0 puts the guest into memory: ACPI tables, kernel, initrd, command line.
 *
 * Runs in the main thread once all pagers run: memory of another node that it writes to is fetched
 * like for any other thread.
 */
#include <stdio.h>

#include "base/file.h"
#include "boot/bzimage.h"
#include "vmm/machine.h"
#include "vmm/vmm_acpi.h"

/*
 * Words that come first, so that the user's win. The console is the serial port; the TSC is the
 * cluster's own clock, which the guest need not test against slower ones; a kernel at a random
 * place would lie on any node, away from its boot CPU, and be moved there page by page.
 */
#define BASE_CMDLINE "console=ttyS0 tsc=reliable nokaslr"

/*
 * For a guest on several hosts: a CPU that has nothing to do does not fetch a task from another
 * node. Periodic balancing still moves them.
 */
#define SPREAD_CMDLINE " relax_domain_level=3"

static int write_acpi(struct node *n, uint64_t *rsdp, struct err *err)
{
	_cleanup_free_ void *tables = malloc(BOOT_ACPI_MAX);
	struct acpi_placed placed;

	if (!tables)
		return err_set(err, -ENOMEM, "acpi: out of memory");
	int r = vmm_acpi_place(n->cfg, tables, &placed, err);
	if (r < 0)
		return r;
	r = ram_write(n->ram, BOOT_ACPI_GPA, tables, placed.len);
	if (r < 0)
		return err_set(err, r, "acpi: node 0 has no memory for the tables");
	*rsdp = placed.rsdp_gpa;
	return 0;
}

int node_boot(struct node *n, struct err *err)
{
	_cleanup_(file_free) struct file kernel = {0}, initrd = {0};
	_cleanup_free_ char *cmdline = NULL;
	struct bzimage image;
	struct boot_entry entry;
	struct boot_source source = {.kernel = &image};

	int r = file_read("kernel", n->options->kernel, SIZE_MAX, &kernel, err);
	if (r == 0 && n->options->initrd)
		r = file_read("initrd", n->options->initrd, SIZE_MAX, &initrd, err);
	if (r == 0)
		r = bzimage_parse(kernel.data, kernel.len, n->options->kernel, &image, err);
	if (r == 0)
		r = write_acpi(n, &source.rsdp_gpa, err);
	if (r < 0)
		return r;
	if (asprintf(&cmdline, "%s%s %s", BASE_CMDLINE, n->topology.nodes > 1 ? SPREAD_CMDLINE : "",
		     n->options->append ? n->options->append : "") < 0)
		return err_set(err, -ENOMEM, "command line: out of memory");
	source.cmdline = cmdline;
	source.initrd_name = n->options->initrd;
	source.initrd = initrd.data;
	source.initrd_len = initrd.len;
	r = boot_load(n->ram, &source, &entry, err);
	if (r < 0)
		return r;

	const struct vcpu_entry start = {
		.rip = entry.rip,
		.rsi = entry.rsi,
		.rsp = entry.rsp,
		.rflags = entry.rflags,
		.cr0 = entry.cr0,
		.cr3 = entry.cr3,
		.cr4 = entry.cr4,
		.efer = entry.efer,
		.gdt_base = entry.gdt_base,
		.gdt_limit = entry.gdt_limit,
		.cs = entry.cs,
		.ds = entry.ds,
	};
	r = vcpu_set_entry(n->vcpu[0], &start);
	return r < 0 ? err_set(err, r, "vCPU 0: KVM refused the boot state: %s", strerror(-r)) : 0;
}
