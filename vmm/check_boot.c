/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/check_boot.h"

#include "base/file.h"
#include "boot/bzimage.h"
#include "vmm/cmdline.h"
#include "vmm/topology.h"

int vmm_check_boot(const struct cluster_config *cfg, struct err *err)
{
	_cleanup_(file_free) struct file kernel = {0};
	_cleanup_free_ char *cmdline = NULL;
	struct bzimage image;
	struct boot_source source = {.kernel = &image, .initrd_name = cfg->initrd};
	struct mem_layout layout;
	struct boot_plan plan;
	int r;

	r = cluster_layout(cfg, &layout, err);
	if (r == 0)
		r = file_read("kernel", cfg->kernel, SIZE_MAX, &kernel, err);
	if (r == 0 && cfg->initrd)
		r = file_size("initrd", cfg->initrd, &source.initrd_len, err);
	if (r == 0)
		r = bzimage_parse(kernel.data, kernel.len, cfg->kernel, &image, err);
	if (r == 0)
		r = guest_cmdline(cfg->nodes_count, cfg->append, &cmdline, err);
	if (r < 0)
		return r;
	source.cmdline = cmdline;
	return boot_place(&source, &layout, &plan, err);
}
