/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest that is measured: process 1 of a tiny system that runs loads, one after the other.
 *
 * A load is written down in a plan (plan.c): programs that are started together, each on a CPU of
 * its choice. Its time goes from before the first is started to the end of the last, by the guest's
 * clock. Programs that no distribution has are built in (programs.c): /init NAME ARGUMENTS.
 */
#ifndef SSIHV_BENCH_GUEST_GUEST_H
#define SSIHV_BENCH_GUEST_GUEST_H

#include <stdio.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/clock.h"

#define PLAN_MAX_LOADS 48
#define PLAN_MAX_RUNS  8
#define PLAN_MAX_WORDS 48
#define PLAN_CPU_ANY   UINT32_MAX
#define PLAN_MAX_TEXT  (256 * KIB)

enum run_kind {
	RUN_PREPARE, /* before the clock starts, one after the other */
	RUN_SERVER,  /* lives as long as the load; is there when it takes connections */
	RUN_TIMED,
};

struct run {
	enum run_kind kind;
	unsigned cpu;  /* modulo those that there are; or PLAN_CPU_ANY */
	unsigned port; /* of a server, on 127.0.0.1 */
	char *argv[PLAN_MAX_WORDS + 1];
	pid_t pid;
	int status; /* as of waitpid(2) */
	uint64_t ended_ns;
};

struct load {
	const char *name;
	unsigned seconds; /* after which it is killed */
	unsigned n_runs;
	struct run run[PLAN_MAX_RUNS];
};

struct plan {
	char *text; /* what the words point into */
	unsigned n_loads;
	struct load load[PLAN_MAX_LOADS];
};

/**
 * plan_read() - a plan from a file
 *
 * A line each, its words separated by tabs: `load NAME SECONDS`, and below it
 * `prepare CPU PROGRAM ...`, `server CPU PORT PROGRAM ...`, `run CPU PROGRAM ...`; CPU is a number
 * or
 * `-` for any.
 *
 * Return: 0; -EINVAL with the bad line's number in @ret_line; negative errno.
 */
int plan_read(const char *path, struct plan **ret, unsigned *ret_line);
void plan_free(struct plan *plan);

/* programs.c */
int program_main(int argc, char **argv);

/** pin() - let this thread run on CPU number @cpu, modulo those that are online. */
void pin(unsigned cpu);

#endif
