/* SPDX-License-Identifier: Apache-2.0 */
/* The host's monotonic clock in nanoseconds. Pure cores never call this: they are told the time. */
#ifndef SSIHV_BASE_CLOCK_H
#define SSIHV_BASE_CLOCK_H

#include <time.h>

#include "base/base.h"

static inline uint64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

#endif
