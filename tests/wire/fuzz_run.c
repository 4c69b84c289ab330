/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over seeded inputs: good ones, and the same ones with some bytes changed, cut
 * or grown. Usage: RUNNER [INPUTS [SEED]]; an input that aborts is reproduced by its seed.
 */
#include "tests/wire/fuzz.h"

#define ROOM (40 * KIB)

static size_t mutate(uint64_t *random, uint8_t *data, size_t len)
{
	uint64_t changes = fuzz_random(random) % 4;

	for (uint64_t i = 0; i < changes && len; i++)
		data[fuzz_random(random) % len] = (uint8_t)fuzz_random(random);
	if (fuzz_random(random) % 8 == 0)
		len = fuzz_random(random) % (len + 1);
	return len;
}

int main(int argc, char **argv)
{
	unsigned long inputs = argc > 1 ? strtoul(argv[1], NULL, 0) : 3000;
	unsigned long first = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
	_cleanup_free_ uint8_t *data = malloc(ROOM);

	if (!data)
		return EXIT_FAILURE;
	for (unsigned long seed = first; seed < first + inputs; seed++) {
		uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15);
		size_t len = fuzz_seed(&random, data, ROOM);

		LLVMFuzzerTestOneInput(data, len);
		len = mutate(&random, data, len);
		/* An exact copy, so that a sanitizer sees the first byte behind it. */
		_cleanup_free_ uint8_t *exact = malloc(len + 1);

		if (!exact)
			return EXIT_FAILURE;
		memcpy(exact, data, len);
		LLVMFuzzerTestOneInput(exact, len);
	}
	printf("1..1\nok 1 - %lu inputs from seed %lu\n", 2 * inputs, first);
	return EXIT_SUCCESS;
}
