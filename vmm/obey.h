/* SPDX-License-Identifier: Apache-2.0 */
/* A node does what it is asked (vmm/commands.h). Threads: the main thread. */
#ifndef SSIHV_VMM_OBEY_H
#define SSIHV_VMM_OBEY_H

#include "base/base.h"

struct node;

/** obey_read() - @events of poll(2) on the stream's fd. */
void obey_read(struct node *n, short events);

/** obey_wants() - is there room for what the stream brings? */
bool obey_wants(const struct node *n);

/** obey_all() - carry out what waits. */
void obey_all(struct node *n);

#endif
