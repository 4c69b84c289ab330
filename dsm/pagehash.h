/* SPDX-License-Identifier: Apache-2.0 */
/* The hash of a page's address, for tables by page. */
#ifndef SSIHV_DSM_PAGEHASH_H
#define SSIHV_DSM_PAGEHASH_H

#include "base/base.h"

/* Fibonacci hashing: by 2^64 / golden ratio. The upper bits are the good ones. */
static inline uint64_t page_hash_bits(uint64_t gpa)
{
	return (gpa >> PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15);
}

#endif
