/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SSIHV_CLI_SIGNALS_H
#define SSIHV_CLI_SIGNALS_H

#include <signal.h>

/**
 * signals_that_end() - those by which a user ends a run or a node
 *
 * What whoever started us has made us ignore, such as nohup, is not among them: a signal that is
 * blocked is kept for us even when it is ignored.
 */
void signals_that_end(sigset_t *ret);

#endif
