/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory this host can still give to this process: what the kernel calls available, or
 * less, where a control group of the process, or one above it, may have only so much.
 */
#ifndef SSIHV_VMM_HOST_MEMORY_H
#define SSIHV_VMM_HOST_MEMORY_H

#include "base/base.h"

/**
 * host_memory_free() - bytes that the process may still take
 * @root: "" for this host; for tests, a directory with proc/ and sys/
 *
 * Both versions of control groups, mounted where systemd mounts them (cgroups(7)); a group whose
 * files are not there, or say "max", bounds nothing. Memory that is used for files counts as used.
 *
 * Return: 0; negative errno when /proc/meminfo does not tell.
 */
int host_memory_free(const char *root, uint64_t *ret);

#endif
