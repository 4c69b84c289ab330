/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cmdline.h"

#include "base/text.h"

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

int guest_cmdline(unsigned nodes, const char *append, char **ret, struct err *err)
{
	char *text =
		text_printf("%s%s %s", BASE_CMDLINE, nodes > 1 ? SPREAD_CMDLINE : "", append ?: "");

	if (!text)
		return err_set(err, -ENOMEM, "command line: out of memory");
	*ret = text;
	return 0;
}
