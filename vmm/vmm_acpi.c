/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vmm_acpi.h"

#include "boot/bzimage.h"
#include "vmm/platform.h"

/* An acpi_machine with what it points to. */
struct description {
	struct acpi_machine machine;
	struct acpi_cpu cpu[MAX_VCPUS];
	struct acpi_memory memory[MEM_MAX_RANGES];
	uint8_t distance[MAX_NODES * MAX_NODES];
};

static void describe(const struct cluster_config *cfg, const struct mem_layout *layout,
		     const struct topology *topology, struct description *d)
{
	for (unsigned i = 0; i < topology->vcpus; i++)
		d->cpu[i] = (struct acpi_cpu){topology->apic_id[i], topology->node[i]};
	for (unsigned i = 0; i < layout->nranges; i++)
		d->memory[i] = (struct acpi_memory){layout->range[i].gpa, layout->range[i].size,
						    layout->range[i].node};
	for (unsigned from = 0; from < cfg->nodes_count; from++)
		for (unsigned to = 0; to < cfg->nodes_count; to++)
			d->distance[from * cfg->nodes_count + to] = cfg->distance[from][to];
	d->machine = (struct acpi_machine){
		.nodes = cfg->nodes_count,
		.ncpus = topology->vcpus,
		.cpu = d->cpu,
		.nmemory = layout->nranges,
		.memory = d->memory,
		.distance = d->distance,
	};
	platform_describe(&d->machine);
}

int vmm_acpi_write(const struct cluster_config *cfg, const char *dir, struct err *err)
{
	_cleanup_free_ struct description *d = calloc(1, sizeof(*d));
	struct topology topology;
	struct mem_layout layout;

	if (!d)
		return err_set(err, -ENOMEM, "acpi: out of memory");
	int r = cluster_layout(cfg, &layout, err) ?: topology_init(cfg, &topology, err);
	if (r < 0)
		return r;
	describe(cfg, &layout, &topology, d);
	return acpi_dump(&d->machine, BOOT_ACPI_GPA, dir, err);
}

int vmm_acpi_place(const struct cluster_config *cfg, const struct mem_layout *layout,
		   const struct topology *topology, void *buf, struct acpi_placed *ret,
		   struct err *err)
{
	_cleanup_free_ struct description *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(err, -ENOMEM, "acpi: out of memory");
	describe(cfg, layout, topology, d);
	return acpi_place(&d->machine, BOOT_ACPI_GPA, buf, BOOT_ACPI_MAX, ret, err);
}
