/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets: which of two turns (dsm/hold.h) is older. Numbers are modulo 256, of which few are out
 * at a time, and compared by their distance; nodes that drew the same one go by their own number.
 * Number 0 is no ticket, and younger than all.
 */
#ifndef SSIHV_DSM_TICKET_H
#define SSIHV_DSM_TICKET_H

#include "base/base.h"

struct ticket {
	uint8_t number;
	uint8_t node; /* whose turn it is */
};

static inline bool ticket_older(struct ticket a, struct ticket b)
{
	if (!a.number || !b.number)
		return a.number;
	if (a.number == b.number)
		return a.node < b.node;
	return (int8_t)(uint8_t)(a.number - b.number) < 0;
}

static inline struct ticket ticket_oldest(struct ticket a, struct ticket b)
{
	return ticket_older(a, b) ? a : b;
}

/* The number after @newest, the newest that was seen anywhere. */
static inline uint8_t ticket_next(uint8_t newest)
{
	return (uint8_t)(newest + 1 ? newest + 1 : 1);
}

#endif
