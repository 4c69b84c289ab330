/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the simulator: sim.c (the run), sim_cpu.c (accesses and faults), sim_node.c (what the
 * core's actions do to a node), sim_net.c (messages), sim_put.c (copies that go back), sim_check.c
 * (what must be true).
 */
#ifndef SSIHV_TESTS_DSM_SIM_IMPL_H
#define SSIHV_TESTS_DSM_SIM_IMPL_H

#include "dsm/proto.h"
#include "tests/dsm/sim.h"

#define SIM_NODES    MAX_NODES
#define SIM_FEW	     5 /* nodes, when their number is by chance */
#define SIM_PAGES    6
#define SIM_CPUS     4 /* of one node */
#define SIM_ALSO     3 /* pages of an instruction, but the first */
#define SIM_WORDS    4 /* of a page that are used */
#define SIM_REGIONS  (2 * SIM_NODES)
#define SIM_MESSAGES 4096
#define SIM_FAULTS   4096
#define SIM_EPOCH    3

struct sim_page {
	uint64_t gpa;
	unsigned home; /* the first one */
	uint64_t golden[SIM_WORDS];
};

struct sim_copy {
	bool present, writable;
	uint64_t since; /* which mapping of the run this is */
	uint64_t word[SIM_WORDS];
};

enum sim_op { SIM_READ, SIM_WRITE, SIM_ADD };

struct sim_cpu {
	bool waits;
	bool asleep;	/* would not use a page before `at` */
	uint64_t at;	/* next access; when it waits: since when */
	uint64_t began; /* when the instruction was tried first; 0 before */
	unsigned tries; /* of the instruction: faults, so far */
	unsigned left;	/* accesses to make */
	enum sim_op op; /* of the access that is being tried */
	unsigned page, word;
	unsigned also[SIM_ALSO]; /* what else the same instruction touches; may be `page` */
	unsigned missing;	 /* which of them it waits for */
};

/* What this node did, counted beside the core. */
struct sim_tally {
	uint64_t local, remote, joined, prefetches, offers, served, drops, downgrades, sent,
		received;
	uint64_t data_grants, zero_grants, upgrade_grants;
};

struct sim_node {
	struct sim *sim;
	unsigned id;
	struct dsm_proto *proto;
	struct sim_copy copy[SIM_PAGES];
	struct sim_cpu cpu[SIM_CPUS];
	bool tracked[SIM_REGIONS]; /* regions of which this node is the home */
	bool touched[SIM_REGIONS]; /* regions of other homes */
	int protected_last;	   /* the page that the last action protected; -1 for none */
	bool idle;		   /* as the core was told last */
	uint64_t tick_delay;	   /* how late the next tick comes */
	struct sim_tally tally;
};

struct sim_message {
	struct wire_hdr hdr;
	unsigned to;
	uint64_t word[SIM_WORDS];
	uint64_t sharers[SIM_PAGES]; /* of WIRE_HOME, for the pages of its part */
	uint8_t owner[SIM_PAGES];
	uint64_t at;
};

struct sim_fault {
	unsigned node, page;
	bool write;
	uint64_t at;
};

struct sim {
	const struct sim_config *cfg;
	struct sim_result *result;
	uint64_t random;

	/* The shape of this run. */
	unsigned nodes, pages, cpus, accesses, max_pending;
	unsigned write_percent, hot_percent, many_percent, late_percent, duplicate_percent;
	unsigned prefetch_percent, sleep_percent;
	unsigned put_percent;	  /* of the messages that reach a node: it offers a copy, too */
	unsigned untrack_percent; /* likewise: it stops tracking a region, if it can */
	unsigned move_percent;	  /* likewise: a region gets another home */
	unsigned limit; /* copies of other homes' pages that a node keeps; 0: as many as it likes */
	unsigned
		yield_percent; /* of the messages that reach a node: another CPU sends interrupts */
	uint64_t delay, think, hold;

	uint64_t now;
	uint64_t mappings;
	uint64_t written; /* values: each write has its own */
	struct sim_page page[SIM_PAGES];
	struct sim_node node[SIM_NODES];
	struct sim_message message[SIM_MESSAGES];
	unsigned messages;
	uint64_t last[SIM_NODES][SIM_NODES]; /* from, to: when the last message arrives */
	struct sim_fault fault[SIM_FAULTS];
	unsigned faults;

	uint64_t fail_at; /* the action that fails, by number; 0 for none */
	uint64_t actions;
	struct sim_node *failed; /* whose action it was */
	int error;

	uint64_t lose_at; /* when a connection breaks; UINT64_MAX for never */
	uint64_t told_at; /* when its ends get to know */
	unsigned lose_a, lose_b;
};

/* sim.c: 0 <= result < n, n > 0; true in @percent of cases. */
uint64_t sim_random(struct sim *s, uint64_t n);
bool sim_chance(struct sim *s, unsigned percent);
/* How long a message or a fault event takes: mostly short, sometimes ten times as long. */
uint64_t sim_delay(struct sim *s);
/* The page of the simulation at @gpa; -1 for none. */
int sim_page_at(const struct sim *s, uint64_t gpa);
unsigned sim_region(const struct sim_page *p);
/* Records the first failure. Return: -EIO. */
int sim_fail(struct sim *s, const char *fmt, ...) _printf_(2, 3);
void sim_trace(struct sim *s, const char *fmt, ...) _printf_(2, 3);

/* Do turns outlast requests by so much that instructions can be promised to end? */
bool sim_turns_help(const struct sim *s);

/* Judges what a core returned. Return: 0, also for the error that was planned; -EIO. */
int sim_returned(struct sim_node *n, int r, const char *call);

/* The page's home, as @n knows it. */
unsigned sim_home(const struct sim_node *n, unsigned page);

/* sim_node.c */
int sim_emit(void *ctx, const struct dsm_action *a);
bool sim_tracked(const struct sim_node *n, unsigned page);

/* sim_net.c */
int sim_send(struct sim_node *n, const struct wire_hdr *h, unsigned to, const uint64_t *word);
int sim_send_home(struct sim_node *n, const struct dsm_action *a);
int sim_deliver(struct sim *s, unsigned index);

/* sim_cpu.c */
void sim_choose_access(struct sim *s, struct sim_cpu *c);
int sim_access(struct sim_node *n, struct sim_cpu *c);
int sim_take_fault(struct sim *s, unsigned index);
void sim_wake(struct sim_node *n, unsigned page);

/* sim_put.c: offers back what the shape of the run says. Return: 0; -EIO. */
int sim_give_back(struct sim_node *n);

/* sim_check.c */
int sim_check_mappings(struct sim *s);
int sim_check_progress(struct sim *s);
int sim_check_rest(struct sim *s);
int sim_check_stats(struct sim *s);

#endif
