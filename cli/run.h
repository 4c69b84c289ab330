/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: the nodes of one cluster as child processes, from their start to the guest's end.
 *
 * THEORY. Each node is `ssihv node ...` behind a launcher, which is nothing but a command prefix:
 * none, `python3 lab.py exec ...`, or `ssh ...`. Between us and a node are three pipes:
 *   stdin   one JSON object a line: what the user types (first node), commands (see
 *           vmm/commands.h); its end tells the node to stop
 *   stdout  the guest's console, raw (first node)
 *   stderr  one JSON object a line: what happens (see events.c); anything else is kept as log
 * One thread, one poll loop (supervise.c), no blocking but in poll.
 *
 * INVARIANTS. Every child is a process group of its own and is ended by that id. Nothing survives
 * the run: a node whose stdin ends stops by itself, also when this program was killed; the lab
 * watches this process. The terminal is restored however the run ends, short of SIGKILL.
 *
 * The first thing that ends the run decides its result; later ones are consequences. The one
 * exception: a lost node explains what its peers say, whoever is heard first.
 */
#ifndef SSIHV_CLI_RUN_H
#define SSIHV_CLI_RUN_H

#include <jansson.h>
#include <stdio.h>
#include <sys/types.h>
#include <termios.h>

#include "base/base.h"
#include "base/err.h"
#include "config/cluster.h"

/* Bytes gathered to lines. Whoever writes them decides their length: it is bounded. */
struct lines {
	char *buf;
	size_t len, size, max;
};
typedef void (*line_fn)(void *ctx, char *line, size_t len);

/** lines_add() - gather @data, call @fn for each full line; one above the bound comes in parts. */
void lines_add(struct lines *l, const char *data, size_t len, line_fn fn, void *ctx);
/** lines_end() - call @fn for what has no newline yet; frees the buffer. */
void lines_end(struct lines *l, line_fn fn, void *ctx);

enum run_result {
	RUN_GOES_ON,
	RUN_POWEROFF,
	RUN_RESET,
	RUN_FAILED, /* a node said that it cannot go on */
	RUN_LOST,   /* a node went away without a word */
	RUN_TIMEOUT,
	RUN_INTERRUPTED, /* by the user */
};

/* How far the nodes that still run were pressed to stop. */
enum stop_step { STOP_NONE, STOP_STDIN_CLOSED, STOP_TERM, STOP_KILL };

struct run_options {
	const char *report; /* file, or NULL */
	const char *keep_logs;
	const char *node_program; /* NULL: this program */
	double timeout_s;	  /* 0: none */
	bool json, quiet, verbose;
};

/* A child process with its three pipes. */
struct child {
	pid_t pid; /* 0: not started or reaped */
	int pidfd, in, out, err;
	int status; /* as of waitpid() */
};

struct node_run {
	const struct cluster_node *cfg;
	struct run *run;
	struct child child;
	pid_t pid; /* stays after the end, for messages */
	bool ready;
	bool ended;	  /* its process was reaped */
	bool lost;	  /* it ended without a word, unasked */
	bool stop_forced; /* it had to be ended with a signal */
	struct lines events;
	FILE *log;
	char phase[64];
	char last_words[200]; /* the last line that was no event */
	/* From its "stopped" event. */
	bool stopped;
	enum run_result stop_result;
	char stop_text[520];
	bool blames; /* it stopped because another node was lost */
	json_t *report;
};

#define CONSOLE_KEYS 512 /* typed bytes that are taken at a time */

/* The guest's console: to our stdout, to a file, and watched for the lines of the proof. */
struct console {
	char pending[4096]; /* read from the guest, not yet written */
	size_t pending_len;
	bool stdout_gone;
	FILE *log;
	struct lines lines;
	json_t *proof;
	uint64_t proof_start_ns;
	/* Input. */
	char input[6 * CONSOLE_KEYS + 256]; /* lines for the first node that it has not taken */
	size_t input_len;
	bool stdin_open, raw, escape;
	struct termios before;
};

struct progress {
	bool quiet, verbose, tty, shared; /* shared: the guest's console is on the same terminal */
	bool console_seen, drawn;
	char doing[120]; /* before there are nodes */
};

struct run {
	const struct run_options *opts;
	struct cluster_config *cfg;
	char dir[256]; /* "" before it was made */
	char lab_tool[4096];
	char program[4096];
	bool lab_up;
	bool logs_matter; /* something was started */
	uint32_t epoch;
	int signal_fd;
	uint64_t started_ns, running_ns, ended_ns;
	struct node_run *nodes;
	struct console console;
	struct progress progress;
	/* How it ends. */
	enum run_result result;
	char reason[640];
	char told[640];	     /* the reason as the user has read it */
	uint64_t stop_at_ns; /* when nodes that still run are asked to stop */
	enum stop_step stop_step;
};

/* address.c */

/** addresses_fill() - give every node an address; check those of nodes that start here. */
int addresses_fill(struct cluster_config *cfg, struct err *err);

/* rundir.c */

/** rundir_make() - make the run's directory and the effective cluster file in it. */
int rundir_make(struct run *run, struct err *err);
/** rundir_end() - keep the logs where they were asked for, or after a failure; remove the rest. */
void rundir_end(struct run *run);

/* launch.c */

/** child_start() - start @argv in a process group of its own; @with_in: its stdin is a pipe. */
int child_start(char *const *argv, bool with_in, struct child *ret, struct err *err);
void child_close(struct child *c);
/** node_start() - start one node behind its launcher. */
int node_start(struct run *run, unsigned index, struct err *err);

/* lab_hosts.c */

/** lab_hosts_up() - start the emulated hosts. Return: 0; -EINTR, -ETIME with run->result set. */
int lab_hosts_up(struct run *run, struct err *err);
void lab_hosts_down(struct run *run);

/* supervise.c */

/** supervise() - from running nodes to none; the result is in @run. */
void supervise(struct run *run);
/**
 * run_end() - the run ends with @result, if nothing ended it before
 * @natural_ms: how long the nodes may take to end by themselves before they are asked
 */
void run_end(struct run *run, enum run_result result, unsigned natural_ms, const char *fmt, ...)
	_printf_(4, 5);
/** run_signal() - a signal arrived on signal_fd: the user ends the run. */
void run_signal(struct run *run);
/** run_check_time() - end the run when its time limit has passed. */
void run_check_time(struct run *run);

/* events.c */

/** node_line() - one line that a node wrote to its standard error. */
void node_line(void *ctx, char *line, size_t len);
/** node_ended() - its process has ended and all it wrote was read. */
void node_ended(struct node_run *node);
/** verdict() - after the last node: which of the ends is the cause. */
void verdict(struct run *run);

/* console.c */

void console_open(struct run *run);
void console_close(struct run *run);
/** console_read() - take what the guest printed. Return: false at its end. */
bool console_read(struct run *run, int fd);
void console_write(struct run *run);
void console_input(struct run *run);
void console_feed(struct run *run);

/* progress.c */

void progress_open(struct run *run);
/** progress_say() - a step that was made: a line, if the user wants them all. */
void progress_say(struct run *run, const char *fmt, ...) _printf_(2, 3);
/** progress_warn() - a line that every user should see. */
void progress_warn(struct run *run, const char *fmt, ...) _printf_(2, 3);
/** progress_doing() - what goes on before there are nodes, for the status line. */
void progress_doing(struct run *run, const char *text);
/** progress_end() - why the run ends, also when the user wants no progress. Once for one reason. */
void progress_end(struct run *run);
/** progress_draw() - the status line, on a terminal. */
void progress_draw(struct run *run);
void progress_clear(struct run *run);

/* report.c */

/** report_make() - everything that is known of the run, as JSON. Return: NULL without memory. */
json_t *report_make(const struct run *run);
int report_save(const json_t *report, const char *path, struct err *err);
void report_table(const json_t *report, FILE *f);
const char *result_name(enum run_result result);

#endif
