/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node says on standard error, one JSON object a line:
 *
 *   {"t": seconds, "node": "node0", "event": EVENT, ...}
 *     log      level, text        for the log file; warnings and errors are told
 *     phase    text               what it is doing: "connecting", "running", ...
 *     ready                       it waits for nothing but the others
 *     reply    id, ok, text, ...  the answer to a command
 *     stopped  reason, text, culprit   poweroff, reset, failed or asked; culprit: the lost node
 *     report   object             its statistics
 *
 * A node behind a launcher is as trustworthy as a file: every field may be missing or of another
 * type. A line that is no event is kept as log, and as last words of a node that then dies.
 */
#include "base/clock.h"
#include "base/text.h"
#include "cluster/member.h"

/* A string member as one printable line; "" when it is not there. */
static void take_text(const json_t *o, const char *key, char *ret, size_t len)
{
	const json_t *text = json_object_get(o, key);

	text_clean(json_string_value(text) ?: "", json_string_length(text), ret, len);
}

static void on_log(struct member *m, const json_t *o)
{
	const struct cluster_run_setup *setup = &m->run->setup;
	char level[16], text[300];

	take_text(o, "level", level, sizeof(level));
	take_text(o, "text", text, sizeof(text));
	if (setup->ops->warning && (!strncmp(level, "warn", 4) || !strncmp(level, "err", 3)))
		setup->ops->warning(setup->ctx, m->index, text);
}

static void on_phase(struct member *m, const json_t *o)
{
	struct cluster_run *run = m->run;
	char text[sizeof(m->phase)];

	take_text(o, "text", text, sizeof(text));
	if (strcmp(text, m->phase) == 0)
		return;
	strcpy(m->phase, text);
	if (m->index == 0 && strcmp(text, "running") == 0 && !run->running_ns)
		run->running_ns = clock_now_ns();
	if (run->setup.ops->phase)
		run->setup.ops->phase(run->setup.ctx, m->index, text);
}

static void on_reply(struct member *m, const json_t *o)
{
	const struct cluster_run_setup *setup = &m->run->setup;
	const json_int_t id = json_integer_value(json_object_get(o, "id"));
	const bool ok = json_is_true(json_object_get(o, "ok"));
	char text[300];

	if (!setup->ops->reply || id <= 0 || id > UINT32_MAX)
		return;
	take_text(o, "text", text, sizeof(text));
	setup->ops->reply(setup->ctx, m->index, (uint32_t)id, ok ? NULL : text, o);
}

static void on_stopped(struct member *m, const json_t *o)
{
	static const struct {
		const char *reason;
		enum cluster_result result;
	} reasons[] = {{"poweroff", CLUSTER_POWEROFF},
		       {"reset", CLUSTER_RESET},
		       {"failed", CLUSTER_FAILED},
		       {"asked", CLUSTER_INTERRUPTED}};
	char reason[16], culprit[sizeof(m->cfg->name)];

	if (m->stopped)
		return;
	take_text(o, "reason", reason, sizeof(reason));
	take_text(o, "text", m->stop_text, sizeof(m->stop_text));
	take_text(o, "culprit", culprit, sizeof(culprit));
	m->stopped = true;
	m->stop_result = CLUSTER_FAILED;
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (strcmp(reason, reasons[i].reason) == 0)
			m->stop_result = reasons[i].result;
	strcpy(m->phase, "stopped");
	if (!m->stop_text[0])
		strcpy(m->stop_text, reason);

	const int lost = cluster_find(m->run->setup.cfg, culprit);
	verdict_stopped(m, lost < 0 ? NULL : &m->run->member[lost]);
}

static void on_report(struct member *m, json_t *o)
{
	json_decref(m->report);
	m->report = json_incref(json_object_get(o, "report") ?: o);
}

void member_line(void *ctx, char *line, size_t len)
{
	struct member *m = ctx;
	json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *event = json_string_value(json_object_get(o, "event"));

	if (m->log)
		fprintf(m->log, "%s\n", line);
	if (!event) {
		if (line[0])
			text_clean(line, len, m->last_words, sizeof(m->last_words));
	} else if (strcmp(event, "log") == 0) {
		on_log(m, o);
	} else if (strcmp(event, "phase") == 0) {
		on_phase(m, o);
	} else if (strcmp(event, "reply") == 0) {
		on_reply(m, o);
	} else if (strcmp(event, "stopped") == 0) {
		on_stopped(m, o);
	} else if (strcmp(event, "report") == 0) {
		on_report(m, o);
	}
	json_decref(o);
}
