/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof from inside: what every check sees.
 *
 * The program is process 1 of the guest (or an ordinary process with --native). Process 1 stays
 * single-threaded and runs each check in a child of its own: a check that hangs, crashes or is
 * killed for lack of memory is a failed line, not a lost proof. The child writes its result into
 * a `struct check` that both share.
 *
 * "Slot" is a position in topology.cpu[], which goes round the nodes: slots 0..n_nodes-1 are one
 * CPU on each node. "Party" is one of the first topology.n_parties slots: one CPU a node, or with
 * a single node its first two CPUs, so that the checks also run on one host.
 *
 * A check is bounded twice: by rounds (check_rounds) and by time (check_deadline), both scaled by
 * proof.scale, because one page transfer may cost anything from a microsecond to a millisecond.
 * Totals stay exact whichever bound ends it: the workers count what they did. The time begins when
 * all threads of the check are there (barrier_start), since on a slow host starting them may take
 * longer than all of it; and however little it is, each does its first round (goes_on).
 */
#ifndef SSIHV_TESTS_GUEST_PROOF_H
#define SSIHV_TESTS_GUEST_PROOF_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/base.h"
#include "base/clock.h"

#define PROOF_MAX_CPUS	64U
#define PROOF_MAX_NODES 16U

/* The words `proof.NAME=VALUE` of the kernel command line; 0 or "" means not given. */
struct config {
	bool native;
	double scale;
	unsigned seconds; /* time budget of one check, before scale */
	unsigned timeout; /* after this many seconds a check is killed */
	unsigned expect_cpus, expect_nodes;
	unsigned distance;	/* expected between any two nodes */
	char distances[256];	/* or the whole matrix, row after row */
	char cpu_nodes[256];	/* expected node of every CPU */
	char node_mib[128];	/* configured memory of every node, one number or a list */
	unsigned sweep_percent; /* of MemTotal that the sweep must exceed */
	unsigned sweep_mib;	/* upper limit, 0: none */
	unsigned sweep_passes;	/* 2: both ways; 1: each page is written and verified once */
	unsigned reserve_kib;	/* memory that the sweep leaves to the kernel, 0: chosen */
	unsigned clock_delay;	/* seconds that clocks are given to part before they are compared */
	char only[256], skip[256], sabotage[256];
	char error[128]; /* a word that was not understood */
};

struct topology {
	unsigned n_cpus, n_nodes, n_parties;
	struct {
		unsigned id, node;
	} cpu[PROOF_MAX_CPUS]; /* slots */
};

enum status { CHECK_OK, CHECK_FAILED, CHECK_SKIPPED };

struct check {
	const char *group, *name;
	const struct config *config;
	const struct topology *topo;
	enum status status;
	_Atomic unsigned progress; /* per mille */
	double seconds;
	char details[2048];
	char json[8192]; /* fields `"key": value`, comma-separated */
};

/* config.c, topology.c */
void config_parse(struct config *config, const char *text);
bool list_has(const char *list, const char *group, const char *name);
unsigned list_numbers(const char *list, unsigned max, unsigned *numbers);
int read_file(const char *path, char *text, size_t size);
int topology_read(struct topology *topo);

/* check.c */
void check_note(struct check *c, const char *fmt, ...) _printf_(2, 3);
void check_fail(struct check *c, const char *fmt, ...) _printf_(2, 3);
void check_skip(struct check *c, const char *fmt, ...) _printf_(2, 3);
void check_json(struct check *c, const char *fmt, ...) _printf_(2, 3);
bool check_sabotaged(const struct check *c);
uint64_t check_rounds(const struct check *c, uint64_t base);
uint64_t check_deadline(const struct check *c, double share);
bool check_needs_cpus(struct check *c, unsigned n);

/* workers.c */

/* One thread of a check, pinned on its slot's CPU. */
struct worker {
	struct check *c;
	void *shared;
	unsigned index, n, slot;
	uint64_t random;
	pthread_t thread;
};

/* Spinning barrier: threads that leave it start within one page transfer of each other. */
struct barrier {
	_Alignas(PAGE_BYTES) _Atomic unsigned arrived;
	_Atomic unsigned generation;
};

void run_workers(struct check *c, const unsigned *slots, unsigned n, void (*fn)(struct worker *),
		 void *shared);
void run_everywhere(struct check *c, void (*fn)(struct worker *), void *shared);
void barrier_wait(struct barrier *b, unsigned n);
uint64_t barrier_start(struct worker *w, struct barrier *b, double share);
void pin_to(const struct check *c, unsigned slot);
uint64_t next_random(uint64_t *state);
void *map_pages(size_t pages);
unsigned party_pairs(const struct topology *topo, unsigned pair[PROOF_MAX_NODES][2]);

/* Does a loop that has done @done rounds go on? */
static inline bool goes_on(uint64_t done, uint64_t rounds, uint64_t deadline)
{
	return done < rounds && (!done || clock_now_ns() <= deadline);
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause");
}

/* The checks, in the order of main.c's table. */
void check_numa(struct check *c);
void check_sweep(struct check *c);
void check_xadd(struct check *c);
void check_cmpxchg16b(struct check *c);
void check_mutex(struct check *c);
void check_litmus(struct check *c);
void check_storm(struct check *c);
void check_pipe(struct check *c);
void check_futex(struct check *c);
void check_shootdown(struct check *c);
void check_signals(struct check *c);
void check_timers(struct check *c);
void check_clock(struct check *c);
void check_kernel_log(struct check *c);

/* procs.c: what the program does when the storm executes it. */
int storm_child(int argc, char **argv);

#endif
