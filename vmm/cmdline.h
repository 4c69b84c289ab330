/* SPDX-License-Identifier: Apache-2.0 */
/* The guest kernel's command line: what the cluster needs, then the user's words. */
#ifndef SSIHV_VMM_CMDLINE_H
#define SSIHV_VMM_CMDLINE_H

#include "base/err.h"

/**
 * guest_cmdline() - make the command line of a guest on @nodes nodes
 * @append: the user's words, or NULL
 *
 * Return: 0 with a text to free; -ENOMEM.
 */
int guest_cmdline(unsigned nodes, const char *append, char **ret, struct err *err);

#endif
