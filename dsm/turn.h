/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked of a node's turn (dsm/hold.h), for who watches it. */
#ifndef SSIHV_DSM_TURN_H
#define SSIHV_DSM_TURN_H

#include "base/base.h"

/* Is the turn over, and why? */
enum turn_state {
	TURN_GOES_ON,
	TURN_IDLE,	/* no CPU of the node is awake */
	TURN_RAN,	/* it ran for its length */
	TURN_YIELDED,	/* for a part of it, since it was yielded */
	TURN_RAN_OUT,	/* it ran and waited again, for as long as that may last */
	TURN_NEVER_RAN, /* it waited for as long as that may last */
};

struct turn_info {
	uint8_t ticket; /* 0: there is none; what follows means nothing then */
	enum turn_state state;
	uint64_t began; /* ns */
	uint64_t ended; /* ns, when it was over, as far as it is */
};

#endif
