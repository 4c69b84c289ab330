/* SPDX-License-Identifier: Apache-2.0 */
/* The connecting side of a slot. Both calls: 0, or negative errno with b->err ends the bring-up. */
#ifndef SSIHV_TRANSPORT_DIAL_H
#define SSIHV_TRANSPORT_DIAL_H

#include "transport/slots.h"

/** dial_start() - connect @s, which is down and due. */
int dial_start(struct bringup *b, struct slot *s, uint64_t now);

/** dial_ready() - its socket has an event: goes on with connecting or greeting. */
int dial_ready(struct bringup *b, struct slot *s, uint64_t now);

#endif
