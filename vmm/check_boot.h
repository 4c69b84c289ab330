/* SPDX-License-Identifier: Apache-2.0 */
/* What the first node would refuse, found before any node is started. */
#ifndef SSIHV_VMM_CHECK_BOOT_H
#define SSIHV_VMM_CHECK_BOOT_H

#include "config/cluster.h"

/**
 * vmm_check_boot() - can the cluster's first node boot the kernel, initrd and words of @cfg?
 *
 * Reads the kernel, and of the initrd no more than its size. The files may change afterwards: the
 * node checks them again when it loads them.
 *
 * Return: 0; negative errno with @err, in the words that the node would use.
 */
int vmm_check_boot(const struct cluster_config *cfg, struct err *err);

#endif
