/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node 0 puts the guest into memory: ACPI tables, kernel, initrd, command line.
 *
 * Files are read before any peer is there: a disk may take its time, and a main thread that waits
 * for one answers nobody. What is written later all goes to node 0's own memory (boot/bzimage.h).
 */
#include "vmm/cmdline.h"
#include "vmm/machine.h"
#include "vmm/node.h"
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

int input_up(struct node *n, struct err *err)
{
	struct guest_input *in = &n->input;

	if (n->self != 0)
		return 0;
	int r = file_read("kernel", n->options->kernel, SIZE_MAX, &in->kernel, err);
	if (r == 0)
		r = bzimage_parse(in->kernel.data, in->kernel.len, n->options->kernel, &in->image,
				  err);
	if (r == 0 && n->options->initrd)
		r = file_read("initrd", n->options->initrd, SIZE_MAX, &in->initrd, err);
	if (r < 0)
		return r;
	return guest_cmdline(n->nodes, n->options->append, &in->cmdline, err);
}

void input_down(struct node *n)
{
	struct guest_input *in = &n->input;

	file_free(&in->kernel);
	file_free(&in->initrd);
	free(TAKE_PTR(in->cmdline));
}

int boot_up(struct node *n, struct err *err)
{
	struct boot_source source = {
		.kernel = &n->input.image,
		.cmdline = n->input.cmdline,
		.initrd_name = n->options->initrd,
		.initrd = n->input.initrd.data,
		.initrd_len = n->input.initrd.len,
	};
	struct boot_entry entry;

	if (n->self != 0)
		return 0;
	int r = write_acpi(n, &source.rsdp_gpa, err);
	if (r == 0)
		r = boot_load(n->ram, &source, &entry, err);
	if (r < 0)
		return r;
	input_down(n); /* it is in guest memory now */

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
