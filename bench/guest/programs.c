/* SPDX-License-Identifier: Apache-2.0 */
/* Loads that are programs of our own. Each is the plainest code that does what it is for. */
#include <sched.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#include "bench/guest/guest.h"

void pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % (unsigned)get_nprocs(), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity");
}

static unsigned long amount(const char *text)
{
	return strtoul(text, NULL, 10);
}

/* One step needs the one before it, and no memory. */
static int spin(char **arg)
{
	uint64_t x = 88172645463325252U;

	for (unsigned long i = amount(arg[0]); i; i--) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x ? 0 : 1;
}

static int await_child(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return status ? 1 : 0;
}

/* A program is started and ends, again and again. */
static int forks(char **arg)
{
	for (unsigned long i = amount(arg[0]); i; i--) {
		pid_t pid = fork();

		if (!pid) {
			execv(arg[1], arg + 1);
			_exit(127);
		}
		if (pid < 0 || await_child(pid))
			return 1;
	}
	return 0;
}

static int echo(int in, int out, unsigned long rounds, bool first)
{
	char byte = 'x';

	for (; rounds; rounds--) {
		if (first && write(out, &byte, 1) != 1)
			return 1;
		if (read(in, &byte, 1) != 1)
			return 1;
		if (!first && write(out, &byte, 1) != 1)
			return 1;
	}
	return 0;
}

/* A byte goes to and fro between two CPUs. */
static int pipes(char **arg)
{
	unsigned long rounds = amount(arg[0]);
	int there[2], back[2];

	if (pipe(there) || pipe(back))
		return 1;

	pid_t pid = fork();
	if (!pid) {
		pin((unsigned)amount(arg[2]));
		close(there[1]);
		_exit(echo(there[0], back[1], rounds, false));
	}
	close(back[1]);
	pin((unsigned)amount(arg[1]));
	return echo(back[0], there[1], rounds, true) || pid < 0 || await_child(pid);
}

/* All of so many MiB is written, then read so many times. */
static int scan(char **arg)
{
	size_t words = amount(arg[0]) * MIB / sizeof(uint64_t), step = PAGE_BYTES / 8 / 8;
	uint64_t *all = mmap(NULL, words * sizeof(*all), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (all == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < words; i += step)
		all[i] = i + 1;
	for (unsigned long pass = amount(arg[1]); pass; pass--)
		for (size_t i = 0; i < words; i += step)
			if (all[i] != i + 1)
				return 1;
	return 0;
}

/* A file of so many KiB that looks like a log, for whoever compresses it. */
static int data(char **arg)
{
	FILE *f = fopen(arg[1], "we");
	uint64_t x = 1;

	for (unsigned long i = amount(arg[0]) * KIB / 64; f && i; i--) {
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		fprintf(f, "%010lu host%lu app[%04lu]: request %08lx took %4lu us, ok\n", i,
			x >> 61, x >> 40 & 1023, x >> 32, x >> 50 & 4095);
	}
	return !f || fclose(f);
}

/* A translation unit of so many functions that needs no header. */
static int source(char **arg)
{
	FILE *f = fopen(arg[1], "we");

	for (unsigned long i = amount(arg[0]); f && i; i--)
		fprintf(f,
			"static int f%lu(int a, int b)\n{\n\tint c[4] = {a, b, %lu, a * b}, s = "
			"0;\n\n"
			"\tfor (int i = 0; i < b; i++) {\n\t\tif (c[i & 3] > s)\n\t\t\t"
			"s += c[(i + 1) & 3] ^ %lu;\n\t\telse\n\t\t\tc[i & 3] = s - a;\n\t}\n"
			"\treturn s;\n}\nint (*p%lu)(int, int) = f%lu;\n",
			i, i, i, i, i);
	return !f || fclose(f);
}

static int nothing(char **arg)
{
	return 0;
}

int program_main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int arguments; /* at least */
		int (*run)(char **arg);
	} programs[] = {
		{"spin", 1, spin}, {"forks", 2, forks},	  {"pipe", 3, pipes},	{"scan", 2, scan},
		{"data", 2, data}, {"source", 2, source}, {"true", 0, nothing},
	};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (!strcmp(argv[1], programs[i].name) && argc - 2 >= programs[i].arguments)
			return programs[i].run(argv + 2);
	fprintf(stderr, "%s: no such program, or too few arguments\n", argv[1]);
	return 2;
}
