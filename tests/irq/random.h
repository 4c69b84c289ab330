/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded xorshift generator: the same traffic on every run. */
#ifndef SSIHV_TESTS_RANDOM_H
#define SSIHV_TESTS_RANDOM_H

#include "base/base.h"

static inline uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Mostly small numbers and single bits: they pass more checks than uniform noise does. */
static inline uint64_t random_value(uint64_t *seed)
{
	uint64_t r = random_next(seed), kind = r & 7;

	r >>= 3;
	if (kind < 2)
		return UINT64_C(1) << (r & 63);
	if (kind < 5)
		return r >> (r & 63);
	return kind == 5 ? 0 : r;
}

#endif
