/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node says on standard error, one JSON object a line:
 *
 *   {"t": seconds, "node": "node0", "event": EVENT, ...}
 *     log      level, text        for the log file; warnings and errors are shown
 *     phase    text               what it is doing: "connecting", "running", ...
 *     ready                       it waits for nothing but the others
 *     stopped  reason, text, culprit   poweroff, reset, failed or asked; culprit: the lost node
 *     report   object             its statistics
 *
 * A node behind a launcher is as trustworthy as a file: every field may be missing or of another
 * type. A line that is no event is kept as log, and as last words of a node that then dies.
 */
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/run.h"

/* A string member as one printable line; "" when it is not there. */
static void take_text(const json_t *o, const char *key, char *ret, size_t len)
{
	const json_t *text = json_object_get(o, key);

	text_clean(json_string_value(text) ?: "", json_string_length(text), ret, len);
}

static void on_log(struct node_run *node, const json_t *o)
{
	char level[16], text[300];

	take_text(o, "level", level, sizeof(level));
	take_text(o, "text", text, sizeof(text));
	if (strncmp(level, "warn", 4) == 0 || strncmp(level, "err", 3) == 0)
		progress_warn(node->run, "%s: %s", node->cfg->name, text);
}

static void on_phase(struct node_run *node, const json_t *o)
{
	struct run *run = node->run;
	char text[sizeof(node->phase)];

	take_text(o, "text", text, sizeof(text));
	if (strcmp(text, node->phase) == 0)
		return;
	strcpy(node->phase, text);
	if (node == run->nodes && strcmp(text, "running") == 0 && !run->running_ns)
		run->running_ns = clock_now_ns();
	progress_say(run, "%s: %s", node->cfg->name, text);
}

/* Most texts name a node already: this one, or the one that it has heard it from. */
static void say_stopped(const struct node_run *node, char *ret, size_t len)
{
	const struct cluster_config *cfg = node->run->cfg;
	const size_t word = strcspn(node->stop_text, ": ");
	bool named = false;

	for (unsigned i = 0; i < cfg->nodes_count; i++)
		named |= strlen(cfg->nodes[i].name) == word &&
			 memcmp(cfg->nodes[i].name, node->stop_text, word) == 0;

	snprintf(ret, len, "%s%s%s", named ? "" : node->cfg->name, named ? "" : ": ",
		 node->stop_text);
}

/* Return: NULL when no node has this name. */
static const struct node_run *node_called(const struct run *run, const char *name)
{
	int i = cluster_find(run->cfg, name);

	return i < 0 ? NULL : &run->nodes[i];
}

static void on_stopped(struct node_run *node, const json_t *o)
{
	static const struct {
		const char *reason;
		enum run_result result;
	} reasons[] = {{"poweroff", RUN_POWEROFF},
		       {"reset", RUN_RESET},
		       {"failed", RUN_FAILED},
		       {"asked", RUN_INTERRUPTED}};
	char reason[16], text[sizeof(node->stop_text) + 40], culprit_name[sizeof(node->cfg->name)];
	const struct node_run *culprit;

	take_text(o, "reason", reason, sizeof(reason));
	take_text(o, "text", node->stop_text, sizeof(node->stop_text));
	take_text(o, "culprit", culprit_name, sizeof(culprit_name));
	culprit = node_called(node->run, culprit_name);
	node->blames = culprit != NULL;
	node->stopped = true;
	node->stop_result = RUN_FAILED;
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (strcmp(reason, reasons[i].reason) == 0)
			node->stop_result = reasons[i].result;
	strcpy(node->phase, "stopped");
	if (!node->stop_text[0])
		strcpy(node->stop_text, reason);
	say_stopped(node, text, sizeof(text));
	if (node->stop_result == RUN_FAILED && culprit) {
		/* What the node says of the other is told at once; the other may yet say more. */
		run_end(node->run, RUN_LOST, 1000, "%s was lost: the guest cannot go on (%s)",
			culprit->cfg->name, text);
		return;
	}
	/* After a good end the nodes still exchange their reports. */
	run_end(node->run, node->stop_result, node->stop_result == RUN_POWEROFF ? 2500 : 1000, "%s",
		text);
}

void node_line(void *ctx, char *line, size_t len)
{
	struct node_run *node = ctx;
	json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *event = json_string_value(json_object_get(o, "event"));

	if (node->log)
		fprintf(node->log, "%s\n", line);
	if (!event) {
		if (line[0])
			text_clean(line, len, node->last_words, sizeof(node->last_words));
	} else if (strcmp(event, "log") == 0) {
		on_log(node, o);
	} else if (strcmp(event, "phase") == 0) {
		on_phase(node, o);
	} else if (strcmp(event, "ready") == 0) {
		node->ready = true;
	} else if (strcmp(event, "stopped") == 0) {
		on_stopped(node, o);
	} else if (strcmp(event, "report") == 0) {
		json_decref(node->report);
		node->report = json_incref(json_object_get(o, "report") ?: o);
	}
	json_decref(o);
}

/* A node that went without a word, while nobody had asked it to. */
static void say_lost(const struct node_run *node, char *ret, size_t len)
{
	const int status = node->child.status;

	if (WIFSIGNALED(status) || node->run->running_ns)
		snprintf(ret, len, "%s (process %d) was lost: the guest cannot go on%s%s",
			 node->cfg->name, node->pid,
			 node->last_words[0] ? "; its last words: " : "", node->last_words);
	else
		snprintf(ret, len, "%s did not start (status %d): %s", node->cfg->name,
			 WEXITSTATUS(status),
			 node->last_words[0] ? node->last_words : "it said nothing");
}

void node_ended(struct node_run *node)
{
	char text[sizeof(node->run->reason)];

	const bool signalled = WIFSIGNALED(node->child.status);

	if (node->stopped || node->run->stop_step != STOP_NONE)
		return;
	/* After another's end an orderly exit is a consequence. */
	if (node->run->result != RUN_GOES_ON && !signalled)
		return;
	say_lost(node, text, sizeof(text));
	node->lost = true;
	run_end(node->run, RUN_LOST, 1000, "%s", text);
}

/* A node that ended badly although its guest had ended well: its memory is not to be trusted. */
static const struct node_run *ended_badly(const struct run *run)
{
	for (unsigned i = 0; i < run->cfg->nodes_count; i++) {
		const struct node_run *n = &run->nodes[i];

		if (n->pid && n->child.status && !n->stop_forced)
			return n;
	}
	return NULL;
}

void verdict(struct run *run)
{
	const struct node_run *bad;

	if (run->result == RUN_POWEROFF) {
		bad = ended_badly(run);
		if (!bad)
			return;
		run->result = RUN_FAILED;
		snprintf(run->reason, sizeof(run->reason),
			 "%s ended with status %d after the guest had powered off", bad->cfg->name,
			 WIFEXITED(bad->child.status) ? WEXITSTATUS(bad->child.status)
						      : 128 + WTERMSIG(bad->child.status));
		return;
	}
	if (run->result != RUN_FAILED && run->result != RUN_LOST)
		return;
	for (unsigned i = 0; i < run->cfg->nodes_count; i++) {
		const struct node_run *n = &run->nodes[i];

		if (!n->lost)
			continue;
		run->result = RUN_LOST;
		say_lost(n, run->reason, sizeof(run->reason));
		return;
	}
	/* Nobody died without a word: whoever says that it failed by itself explains the others. */
	for (unsigned i = 0; run->result == RUN_LOST && i < run->cfg->nodes_count; i++) {
		const struct node_run *n = &run->nodes[i];

		if (!n->stopped || n->stop_result != RUN_FAILED || n->blames)
			continue;
		run->result = RUN_FAILED;
		say_stopped(n, run->reason, sizeof(run->reason));
	}
}
