/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is one file with both functions below. libFuzzer drives it where clang links it
 * (target fuzz_NAME), and fuzz_run.c drives it as an ordinary test with seeded inputs.
 */
#ifndef SSIHV_TESTS_WIRE_FUZZ_H
#define SSIHV_TESTS_WIRE_FUZZ_H

#include <stdio.h>

#include "base/base.h"

/* Takes any bytes; aborts when the parser does what it should not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Fills @data with a mostly well-formed input made from @random. Return: its length. */
size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room);

/* xorshift64: the same inputs everywhere. */
static inline uint64_t fuzz_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Also with NDEBUG, and with a line that says which. */
#define fuzz_check(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
