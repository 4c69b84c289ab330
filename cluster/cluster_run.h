/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of a cluster: its nodes as child processes, from their start to the guest's end, and why it
 * ended. No terminal, no signals, no standard streams: those belong to whoever uses it.
 *
 * THEORY. Each node is `ssihv node ...` behind a launcher, which is nothing but a command prefix:
 * none, `python3 lab.py exec ...`, or `ssh ...`. Between us and a node are three pipes:
 *   stdin   one JSON object a line: what the user types (first node), commands (vmm/commands.h);
 *           its end tells the node to stop
 *   stdout  the guest's console, raw (first node)
 *   stderr  one JSON object a line: what happens (cluster/events.c); anything else is kept as log
 * Everything happens in cluster_run_step(), which never blocks: its user waits for
 * cluster_run_fd() to be readable, beside whatever else it waits for, and calls it then and after
 * cluster_run_timeout() at the latest.
 *
 * HOW IT ENDS. The first thing that ends a run decides its result; later ones are consequences.
 * There are two exceptions: a node that died without a word explains what its peers say, and so
 * does one that failed by itself where others only miss it. From then on the nodes are pressed to
 * end: they have some time by themselves (after a power-off they still exchange their reports),
 * then their stdin is closed, 1 s later follows SIGTERM, 1 s later SIGKILL. In the lab's slow
 * motion all of this takes as much longer.
 *
 * INVARIANTS. Nothing survives a run: cluster_run_free() leaves no child, and nodes whose stdin
 * ends because our process is gone stop by themselves. What nodes send is bounded and never
 * trusted; texts that reach the user of a run are one printable line.
 *
 * One thread. SIGPIPE must be ignored.
 */
#ifndef SSIHV_CLUSTER_CLUSTER_RUN_H
#define SSIHV_CLUSTER_CLUSTER_RUN_H

#include <jansson.h>

#include "config/cluster.h"

enum cluster_result {
	CLUSTER_GOES_ON,
	CLUSTER_POWEROFF,
	CLUSTER_RESET,
	CLUSTER_FAILED, /* a node said that it cannot go on */
	CLUSTER_LOST,	/* a node went away without a word */
	CLUSTER_TIMEOUT,
	CLUSTER_INTERRUPTED, /* it was asked to end */
};

/* What the user of a run hears, from within cluster_run_step(). Each may be NULL. */
struct cluster_run_ops {
	/** A node has come to another phase, such as "connecting" or "running". */
	void (*phase)(void *ctx, unsigned node, const char *text);
	void (*warning)(void *ctx, unsigned node, const char *text);
	/** What the guest printed. */
	void (*console)(void *ctx, const char *data, size_t len);
	/** The answer to a command; @text says why it was refused, NULL when it was not. */
	void (*reply)(void *ctx, unsigned node, uint32_t id, const char *text, const json_t *body);
	/** It ends. Once more if another reason turns out to explain that. */
	void (*ends)(void *ctx, enum cluster_result result, const char *reason);
};

struct cluster_run_setup {
	const struct cluster_config *cfg;
	const char *dir;	    /* holds cluster.yaml; the nodes' logs are written there */
	const char *program;	    /* `ssihv`, for nodes that start here */
	const char *remote_program; /* the same over ssh, found by the other host's shell */
	const char *lab_tool;	    /* lab.py, when the nodes run in the lab below @dir/lab */
	uint32_t epoch;		    /* not 0; tells this run from others */
	const struct cluster_run_ops *ops;
	void *ctx;
};

struct cluster_run;

/**
 * cluster_run_new() - a run that has not begun
 * @setup: copied; what it points to must stay
 */
int cluster_run_new(const struct cluster_run_setup *setup, struct cluster_run **ret,
		    struct err *err);

/** cluster_run_start() - start all nodes. One that cannot be started ends the run. */
void cluster_run_start(struct cluster_run *run);

/** cluster_run_fd() - readable when cluster_run_step() has something to do. */
int cluster_run_fd(const struct cluster_run *run);

/** cluster_run_timeout() - milliseconds until it has something to do anyway; -1: never. */
int cluster_run_timeout(const struct cluster_run *run);

void cluster_run_step(struct cluster_run *run);

/** cluster_run_alive() - does any node's process live? */
bool cluster_run_alive(const struct cluster_run *run);

/** cluster_run_over() - no node lives, and all that the guest printed was told. */
bool cluster_run_over(const struct cluster_run *run);

/** cluster_run_end() - end the run for a reason of the user's. A second call does not wait. */
void cluster_run_end(struct cluster_run *run, enum cluster_result result, const char *fmt, ...)
	_printf_(3, 4);

/** cluster_run_kill() - end all nodes at once. */
void cluster_run_kill(struct cluster_run *run);

/** cluster_run_hold() - no more of the guest's console for now; the guest may come to wait. */
void cluster_run_hold(struct cluster_run *run, bool hold);

#define CLUSTER_INPUT_MAX 512

/**
 * cluster_run_input() - type @len bytes, at most CLUSTER_INPUT_MAX
 *
 * Return: 0; -EAGAIN when what was typed before is still under way; -EPIPE when the first node has
 * gone.
 */
int cluster_run_input(struct cluster_run *run, const char *data, size_t len);

/** cluster_run_input_room() - would cluster_run_input() take something? */
bool cluster_run_input_room(const struct cluster_run *run);

/**
 * cluster_run_command() - ask a node for something, see vmm/commands.h
 * @command: "pause", "resume", "stats", "stop"
 * @ret_id:  of the answer; a node that ends first does not give one
 *
 * Return: 0; -EAGAIN when too much is under way; -EPIPE when the node has gone.
 */
int cluster_run_command(struct cluster_run *run, unsigned node, const char *command,
			uint32_t *ret_id);

/* What is known of it. */
enum cluster_result cluster_run_result(const struct cluster_run *run);
const char *cluster_run_reason(const struct cluster_run *run);
/** cluster_run_running_ns() - when the guest began to run, by clock_now_ns(); 0: not yet. */
uint64_t cluster_run_running_ns(const struct cluster_run *run);
/** cluster_run_phase() - of a node; "" before its first word. */
const char *cluster_run_phase(const struct cluster_run *run, unsigned node);
/** cluster_run_report() - what the node has counted, or NULL. */
const json_t *cluster_run_report(const struct cluster_run *run, unsigned node);

void cluster_run_free(struct cluster_run *run);
static inline void cluster_run_freep(struct cluster_run **run)
{
	cluster_run_free(*run);
}

#endif
