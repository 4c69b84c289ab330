/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over the files of a corpus, then over seeded inputs: good ones, and the same
 * ones with some bytes changed, or cut. Usage:
 *
 *   RUNNER CORPUS [INPUTS [SEED]]    an input that aborts is reproduced by its seed
 *   RUNNER --write DIR INPUTS        writes the good inputs as files, to begin a corpus with
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define ROOM (400 * KIB)

/* An exact copy, so that a sanitizer sees the first byte behind it. */
static void try(const uint8_t *data, size_t len)
{
	_cleanup_free_ uint8_t *exact = malloc(len ?: 1);

	fuzz_check(exact);
	memcpy(exact, data, len);
	LLVMFuzzerTestOneInput(exact, len);
}

static size_t mutate(uint64_t *random, uint8_t *data, size_t len)
{
	uint64_t changes = fuzz_random(random) % 4;

	for (uint64_t i = 0; i < changes && len; i++)
		data[fuzz_random(random) % len] = (uint8_t)fuzz_random(random);
	if (fuzz_random(random) % 8 == 0)
		len = fuzz_random(random) % (len + 1);
	return len;
}

static size_t good_input(unsigned long seed, uint64_t *random, uint8_t *data)
{
	*random = seed * UINT64_C(0x9e3779b97f4a7c15);
	return fuzz_seed(random, data, ROOM);
}

static unsigned run_corpus(const char *path, uint8_t *data)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	unsigned files = 0;

	/* A target may have none yet. */
	for (; dir && (entry = readdir(dir)); files++) {
		_cleanup_close_ int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
		ssize_t len = read(fd, data, ROOM);

		if (len >= 0)
			try(data, (size_t)len);
		else
			files--; /* . and .. */
	}
	if (dir)
		closedir(dir);
	return files;
}

static int write_seeds(const char *path, unsigned long inputs, uint8_t *data)
{
	for (unsigned long seed = 1; seed <= inputs; seed++) {
		char name[PATH_MAX];
		uint64_t random;
		size_t len = good_input(seed, &random, data);

		snprintf(name, sizeof(name), "%s/seed-%lu", path, seed);
		_cleanup_close_ int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (fd < 0 || write(fd, data, len) != (ssize_t)len) {
			perror(name);
			return EXIT_FAILURE;
		}
	}
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	unsigned long inputs = argc > 2 ? strtoul(argv[2], NULL, 0) : 3000;
	unsigned long first = argc > 3 ? strtoul(argv[3], NULL, 0) : 1;
	_cleanup_free_ uint8_t *data = malloc(ROOM);

	fuzz_check(data);
	if (argc == 4 && strcmp(argv[1], "--write") == 0)
		return write_seeds(argv[2], strtoul(argv[3], NULL, 0), data);
	if (argc < 2) {
		fprintf(stderr, "usage: %s CORPUS [INPUTS [SEED]]\n", argv[0]);
		return 2;
	}
	printf("1..2\nok 1 - the corpus of %u files\n", run_corpus(argv[1], data));
	fflush(stdout);
	for (unsigned long seed = first; seed < first + inputs; seed++) {
		uint64_t random;
		size_t len = good_input(seed, &random, data);

		try(data, len);
		try(data, mutate(&random, data, len));
	}
	printf("ok 2 - %lu inputs from seed %lu\n", 2 * inputs, first);
	return EXIT_SUCCESS;
}
