/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every file may use: fixed-width types, cleanup attributes, small arithmetic.
 *
 * Conventions of the whole tree:
 *  - a function that can fail returns 0 or a negative errno; results go to trailing `ret`
 *    arguments that are written only on success;
 *  - libraries do not log: they return an error, and where a number cannot name the thing they
 *    fill a `struct err`; the edges (cli/, vmm/) print;
 *  - no state outside of a struct: several nodes fit in one process.
 */
#ifndef SSIHV_BASE_BASE_H
#define SSIHV_BASE_BASE_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) _min_a = (a);                                                        \
		__typeof__(b) _min_b = (b);                                                        \
		_min_a < _min_b ? _min_a : _min_b;                                                 \
	})
#define MAX(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) _max_a = (a);                                                        \
		__typeof__(b) _max_b = (b);                                                        \
		_max_a > _max_b ? _max_a : _max_b;                                                 \
	})
#define ALIGN_UP(x, a)			(((x) + ((__typeof__(x))(a)-1)) & ~((__typeof__(x))(a)-1))
#define ALIGN_DOWN(x, a)		((x) & ~((__typeof__(x))(a)-1))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define likely(x)			__builtin_expect(!!(x), 1)
#define unlikely(x)			__builtin_expect(!!(x), 0)

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#define NSEC_PER_USEC UINT64_C(1000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_SEC  UINT64_C(1000000000)

/* The guest's page, which is what moves; the region, which is tracked as a whole (dsm/track.h). */
#define PAGE_SHIFT   12
#define PAGE_BYTES   (UINT64_C(1) << PAGE_SHIFT)
#define REGION_SHIFT 21
#define REGION_BYTES (UINT64_C(1) << REGION_SHIFT)
#define REGION_PAGES (REGION_BYTES / PAGE_BYTES)

/* Frees, closes or unmaps a local at the end of its scope; see the helpers below. */
#define _cleanup_(fn)	     __attribute__((cleanup(fn)))
#define _printf_(fmt, first) __attribute__((format(printf, fmt, first)))
#define _must_check_	     __attribute__((warn_unused_result))

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _cleanup_free_	_cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)

/* Moves ownership out of a _cleanup_ local. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) _taken = (p);                                                        \
		(p) = NULL;                                                                        \
		_taken;                                                                            \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int _taken = (fd);                                                                 \
		(fd) = -1;                                                                         \
		_taken;                                                                            \
	})

#endif
