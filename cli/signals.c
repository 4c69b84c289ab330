/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/signals.h"

#include "base/base.h"

void signals_that_end(sigset_t *ret)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction now;

	sigemptyset(ret);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (sigaction(ends[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			sigaddset(ret, ends[i]);
}
