/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/patience.h"

/* How many ticks before @to nobody has counted yet; now they are. */
static uint64_t cover(struct patience *p, uint64_t now, uint64_t to)
{
	uint64_t had = atomic_load(&p->covered);

	while (had < to && !atomic_compare_exchange_weak(&p->covered, &had, to))
		;
	return had < to ? to - MAX(had, now) : 0;
}

bool patience_take(struct patience *p, uint64_t now, uint64_t wait, uint64_t khz)
{
	const uint64_t most = khz * PATIENCE_BUDGET_MS * PATIENCE_LEAK;
	uint64_t had = atomic_load(&p->empty), empty;

	if (wait <= khz * PATIENCE_SOUND_US / 1000)
		return true;
	uint64_t more = cover(p, now, now + wait) * PATIENCE_LEAK;
	do {
		empty = MAX(had, now) + more;
	} while (!atomic_compare_exchange_weak(&p->empty, &had, empty));
	return empty - now <= most;
}

uint64_t patience_taken(const struct patience *p, uint64_t now)
{
	uint64_t empty = atomic_load(&p->empty);

	return empty > now ? (empty - now) / PATIENCE_LEAK : 0;
}
