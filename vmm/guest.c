/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node 0 puts the guest into memory: ACPI tables, kernel, initrd, command line.
 *
 * Runs in the main thread once all pagers run: memory of another node that it writes to is fetched
 * like for any other thread.
 */
#include "base/file.h"
#include "boot/bzimage.h"
#include "vmm/cmdline.h"
#include "vmm/machine.h"
#include "vmm/vmm_acpi.h"

static int write_acpi(struct node *n, uint64_t *rsdp, struct err *err)
{
	_cleanup_free_ void *tables = malloc(BOOT_ACPI_MAX);
	struct acpi_placed placed;

	if (!tables)
		return err_set(err, -ENOMEM, "acpi: out of memory");
	int r = vmm_acpi_place(n->cfg, &n->ram->layout, &n->topology, tables, &placed, err);
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
	if (r == 0)
		r = guest_cmdline(n->nodes, n->options->append, &cmdline, err);
	if (r < 0)
		return r;
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
