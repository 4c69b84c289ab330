/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is one file, beside the unit tests of what it tries, with both functions below.
 * libFuzzer drives it where the build was made for that (-Dfuzz=true), and fuzz_run.c drives it as
 * an ordinary test: over the corpus in the tree, then over seeded inputs.
 */
#ifndef SSIHV_TESTS_FUZZ_H
#define SSIHV_TESTS_FUZZ_H

#include <stdio.h>

#include "base/base.h"

/* Takes any bytes; aborts when the code under test does what it should not. */
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

/* For fuzz_seed() of a target to which any bytes mean something. */
static inline size_t fuzz_noise(uint64_t *random, uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(fuzz_random(random) >> 32);
	return len;
}

/*
 * For fuzz_seed() of a target that takes a stream in pieces: up to @most of @lines, each behind a
 * byte with its length, in which the bit @flag is set now and then.
 */
static inline size_t fuzz_lines(uint64_t *random, uint8_t *data, const char *const *lines,
				size_t count, unsigned most, uint8_t flag)
{
	size_t len = 0;

	for (uint64_t left = 1 + fuzz_random(random) % most; left; left--) {
		const char *line = lines[fuzz_random(random) % count];

		data[len++] = (uint8_t)(strlen(line) | (fuzz_random(random) & flag));
		memcpy(data + len, line, strlen(line));
		len += strlen(line);
	}
	return len;
}

/* An input that is read as a sequence of steps; behind its end it is zeros. */
struct fuzz_input {
	const uint8_t *at, *end;
};

static inline struct fuzz_input fuzz_input(const uint8_t *data, size_t len)
{
	return (struct fuzz_input){data, data + len};
}

static inline size_t fuzz_left(const struct fuzz_input *in)
{
	return (size_t)(in->end - in->at);
}

/* The next @bytes (8 at most), little-endian. */
static inline uint64_t fuzz_take(struct fuzz_input *in, unsigned bytes)
{
	uint64_t value = 0;
	size_t have = MIN((size_t)bytes, fuzz_left(in));

	if (have)
		memcpy(&value, in->at, have);
	in->at += have;
	return value;
}

/* Single bits and small numbers in few bytes: they pass more checks than noise does. */
static inline uint64_t fuzz_value(struct fuzz_input *in)
{
	uint64_t kind = fuzz_take(in, 1);

	if (kind < 64)
		return UINT64_C(1) << kind;
	if (kind < 128)
		return kind - 64;
	return kind < 208 ? fuzz_take(in, 2) << (kind & 48) : fuzz_take(in, 8);
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
