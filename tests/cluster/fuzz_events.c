/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nodes write on their standard errors: the input is split between two of them. Whatever it
 * is, the run has a verdict when both have ended, and each text that is told is one printable line.
 */
#include "base/text.h"
#include "cluster/member.h"
#include "tests/fuzz/fuzz.h"

static void check_text(const char *text)
{
	char clean[1024];

	text_clean(text, strlen(text), clean, sizeof(clean));
	fuzz_check(strlen(text) < sizeof(clean) && strcmp(text, clean) == 0);
}

static void on_text(void *ctx, unsigned node, const char *text)
{
	fuzz_check(node < 2);
	check_text(text);
}

static void on_reply(void *ctx, unsigned node, uint32_t id, const char *text, const json_t *body)
{
	fuzz_check(node < 2 && id && json_is_object(body));
	if (text)
		check_text(text);
}

static void on_end(void *ctx, enum cluster_result result, const char *reason)
{
	fuzz_check(result != CLUSTER_GOES_ON);
	check_text(reason);
}

static const struct cluster_run_ops ops = {
	.phase = on_text, .warning = on_text, .reply = on_reply, .ends = on_end};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	_cleanup_(cluster_freep) struct cluster_config *cfg = NULL;
	struct member member[2];
	struct cluster_run run = {.setup.ops = &ops, .count = 2, .member = member};
	const size_t half = len ? len * data[0] / 256 : 0;
	struct err err;

	fuzz_check(cluster_default(CLUSTER_LOCAL, 2, MIN_NODE_MEMORY, 1, &cfg, &err) == 0);
	run.setup.cfg = cfg;
	for (unsigned i = 0; i < 2; i++)
		member[i] = (struct member){.run = &run,
					    .cfg = &cfg->nodes[i],
					    .index = i,
					    .pid = 2,
					    .child = CHILD_NONE,
					    .events.max = 4096};
	lines_add(&member[0].events, (const char *)data, half, member_line, &member[0]);
	lines_add(&member[1].events, (const char *)data + half, len - half, member_line,
		  &member[1]);
	for (unsigned i = 0; i < 2; i++) {
		lines_end(&member[i].events, member_line, &member[i]);
		verdict_reaped(&member[i]);
		json_decref(member[i].report);
		check_text(member[i].phase);
		check_text(member[i].last_words);
	}
	verdict_final(&run);
	fuzz_check(run.verdict.final && run.verdict.result != CLUSTER_GOES_ON);
	check_text(run.verdict.reason);
	return 0;
}

static const char *pick(uint64_t *random, const char *const *from, size_t count)
{
	return from[fuzz_random(random) % count];
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	static const char *const events[] = {"log",	"phase",  "ready", "reply",
					     "stopped", "report", "?",	   "\xff"};
	static const char *const keys[] = {"level",  "text", "reason", "culprit",
					   "report", "id",   "ok"};
	static const char *const values[] = {"\"warning\"",
					     "\"running\"",
					     "\"poweroff\"",
					     "\"failed\"",
					     "\"node1\"",
					     "\"\\u009b2J\"",
					     "\"a\\u001b[m\"",
					     "{\"faults_remote\":1}",
					     "7",
					     "-1",
					     "null",
					     "true",
					     "1e999",
					     "[[]]",
					     "\"\\u0000\""};
	size_t len = 0;

	for (unsigned lines = (unsigned)(fuzz_random(random) % 8); lines; lines--) {
		char line[512];
		int n = snprintf(line, sizeof(line), "{\"event\":\"%s\"",
				 pick(random, events, ARRAY_SIZE(events)));

		for (unsigned i = (unsigned)(fuzz_random(random) % 5); i; i--)
			n += snprintf(line + n, sizeof(line) - (size_t)n, ",\"%s\":%s",
				      pick(random, keys, ARRAY_SIZE(keys)),
				      pick(random, values, ARRAY_SIZE(values)));
		n += snprintf(line + n, sizeof(line) - (size_t)n, "}\n");
		if (len + (size_t)n > room)
			break;
		memcpy(data + len, line, (size_t)n);
		len += (size_t)n;
	}
	for (unsigned i = (unsigned)(fuzz_random(random) % 3); i && len; i--)
		data[fuzz_random(random) % len] = (uint8_t)fuzz_random(random);
	return len;
}
