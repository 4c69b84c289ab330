/* SPDX-License-Identifier: Apache-2.0 */
/* The accepting side: from a stranger to a slot that is up. */
#ifndef SSIHV_TRANSPORT_ACCEPT_H
#define SSIHV_TRANSPORT_ACCEPT_H

#include "transport/slots.h"

/** accept_ready() - take who waits. Return: 0; negative errno with b->err ends the bring-up. */
int accept_ready(struct bringup *b, uint64_t now);

/** stranger_ready() - its socket has an event: listens to its hello. */
void stranger_ready(struct bringup *b, struct stranger *s, uint64_t now);

/** strangers_expire() - drop those whose time is over, and forget the closed ones. */
void strangers_expire(struct bringup *b, uint64_t now);

#endif
