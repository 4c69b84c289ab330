/* SPDX-License-Identifier: Apache-2.0 */
/* How a run ends: who is heard first, and who explains it. See "HOW IT ENDS" in cluster_run.h. */
#include <stdarg.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "cluster/member.h"

/* After a good end the nodes still exchange their reports. */
#define AFTER_POWEROFF_MS 2500
#define AFTER_FAILURE_MS  1000

static void tell(struct cluster_run *run)
{
	const struct cluster_run_setup *setup = &run->setup;

	if (setup->ops->ends)
		setup->ops->ends(setup->ctx, run->verdict.result, run->verdict.reason);
}

void verdict_end(struct cluster_run *run, enum cluster_result result, unsigned natural_ms,
		 const char *fmt, ...)
{
	struct verdict *v = &run->verdict;
	va_list args;

	if (v->result != CLUSTER_GOES_ON)
		return;
	v->result = result;
	run->press_at_ns = clock_now_ns() + run_patience(run, natural_ms);
	va_start(args, fmt);
	vsnprintf(v->reason, sizeof(v->reason), fmt, args);
	va_end(args);
	tell(run);
}

/* Most texts name a node already: this one, or the one that it has heard it from. */
static void say_stopped(const struct member *m, char *ret, size_t len)
{
	const struct cluster_config *cfg = m->run->setup.cfg;
	const size_t word = strcspn(m->stop_text, ": ");
	bool named = false;

	for (unsigned i = 0; i < cfg->nodes_count; i++)
		named |= strlen(cfg->nodes[i].name) == word &&
			 memcmp(cfg->nodes[i].name, m->stop_text, word) == 0;
	snprintf(ret, len, "%s%s%s", named ? "" : m->cfg->name, named ? "" : ": ", m->stop_text);
}

void verdict_stopped(struct member *m, const struct member *culprit)
{
	char text[sizeof(m->stop_text) + sizeof(m->cfg->name) + 2];

	say_stopped(m, text, sizeof(text));
	m->blames = m->stop_result == CLUSTER_FAILED && culprit;
	if (m->run->verdict.result == CLUSTER_GOES_ON && m->blames)
		m->run->verdict.named = culprit;
	if (m->blames)
		verdict_end(m->run, CLUSTER_LOST, AFTER_FAILURE_MS,
			    "%s was lost: the guest cannot go on (%s)", culprit->cfg->name, text);
	else
		verdict_end(m->run, m->stop_result,
			    m->stop_result == CLUSTER_POWEROFF ? AFTER_POWEROFF_MS
							       : AFTER_FAILURE_MS,
			    "%s", text);
}

/* A node that went without a word, while nobody had asked it to. */
static void say_lost(const struct member *m, char *ret, size_t len)
{
	const int status = m->child.status;

	if (WIFSIGNALED(status) || m->run->running_ns)
		snprintf(ret, len, "%s (process %d) was lost: the guest cannot go on%s%s",
			 m->cfg->name, m->pid, m->last_words[0] ? "; its last words: " : "",
			 m->last_words);
	else
		snprintf(ret, len, "%s did not start (status %d): %s", m->cfg->name,
			 WEXITSTATUS(status), m->last_words[0] ? m->last_words : "it said nothing");
}

void verdict_reaped(struct member *m)
{
	struct cluster_run *run = m->run;
	char text[sizeof(run->verdict.reason)];

	if (m->stopped || run->press != PRESS_NONE)
		return;
	/* After another's end an orderly exit is a consequence. */
	if (run->verdict.result != CLUSTER_GOES_ON && !WIFSIGNALED(m->child.status))
		return;
	say_lost(m, text, sizeof(text));
	m->lost = true;
	if (run->verdict.result == CLUSTER_GOES_ON)
		run->verdict.named = m;
	verdict_end(run, CLUSTER_LOST, AFTER_FAILURE_MS, "%s", text);
}

/* A node that ended badly although its guest had ended well: its memory is not to be trusted. */
static void look_for_bad_ends(struct cluster_run *run)
{
	for (unsigned i = 0; i < run->count; i++) {
		const struct member *m = &run->member[i];
		const int status = m->child.status;

		if (!m->pid || !status || m->stop_forced)
			continue;
		run->verdict.result = CLUSTER_FAILED;
		snprintf(run->verdict.reason, sizeof(run->verdict.reason),
			 "%s ended with status %d after the guest had powered off", m->cfg->name,
			 WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
		return;
	}
}

static const struct member *find(const struct cluster_run *run,
				 bool (*matches)(const struct member *m))
{
	for (unsigned i = 0; i < run->count; i++)
		if (matches(&run->member[i]))
			return &run->member[i];
	return NULL;
}

static bool is_lost(const struct member *m)
{
	return m->lost;
}

static bool failed_by_itself(const struct member *m)
{
	return m->stopped && m->stop_result == CLUSTER_FAILED && !m->blames;
}

static void look_for_causes(struct cluster_run *run)
{
	struct verdict *v = &run->verdict;
	const struct member *lost = find(run, is_lost), *failed = find(run, failed_by_itself);

	if (lost) {
		v->result = CLUSTER_LOST;
		say_lost(lost, v->reason, sizeof(v->reason));
	} else if (v->result == CLUSTER_LOST && failed) {
		v->result = CLUSTER_FAILED;
		say_stopped(failed, v->reason, sizeof(v->reason));
	}
}

void verdict_final(struct cluster_run *run)
{
	const struct verdict before = run->verdict;
	struct verdict *v = &run->verdict;

	if (v->final)
		return;
	v->final = true;
	if (v->result == CLUSTER_GOES_ON)
		verdict_end(run, CLUSTER_FAILED, 0, "all nodes ended, and none said why");
	else if (v->result == CLUSTER_POWEROFF)
		look_for_bad_ends(run);
	else if (v->result == CLUSTER_FAILED || v->result == CLUSTER_LOST)
		look_for_causes(run);
	/* That this node is lost was told already, by who missed it. */
	if (v->named && v->named->lost)
		return;
	if (before.result != CLUSTER_GOES_ON && strcmp(before.reason, v->reason) != 0)
		tell(run);
}
