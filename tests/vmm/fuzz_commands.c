/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of commands that a node gets, in pieces: what was typed stays within its room, each
 * line is answered once or is good input, and each answer can be written as a line.
 *
 * Input: one byte whether the guest runs, then pieces: a length, and as many bytes.
 */
#include "tests/fuzz/fuzz.h"
#include "vmm/machine.h"
#include "vmm/node.h"
#include "vmm/obey.h"
#include "vmm/phase.h"

struct answers {
	unsigned replies;
};

static void on_event(void *ctx, const json_t *event)
{
	struct answers *a = ctx;
	_cleanup_free_ char *line = json_dumps(event, JSON_COMPACT);

	fuzz_check(line && !strchr(line, '\n'));
	if (strcmp(json_string_value(json_object_get(event, "event")), "reply") == 0) {
		const json_t *ok = json_object_get(event, "ok");

		a->replies++;
		fuzz_check(json_is_boolean(ok));
		fuzz_check(json_is_true(ok) || json_is_string(json_object_get(event, "text")));
	}
}

/* As much as fits, as from read(2). Return: lines that it ended. */
static unsigned give(struct commands *q, struct fuzz_input *in, size_t len)
{
	unsigned lines = 0;

	len = MIN(len, fuzz_left(in));
	len = MIN(len, COMMAND_LINE_MAX - q->len);
	memcpy(q->line + q->len, in->at, len);
	q->len += len;
	for (size_t i = 0; i < len; i++)
		lines += in->at[i] == '\n';
	in->at += len;
	return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_input in = fuzz_input(data, len);
	struct answers answers = {0};
	const struct node_port port = {
		.commands = -1, .console = -1, .event = on_event, .ctx = &answers};
	struct cluster_config *cfg;
	unsigned lines = 0;
	struct node *n;
	struct err err;

	fuzz_check(cluster_default(CLUSTER_LOCAL, 1, 64 * MIB, 1, &cfg, &err) == 0);
	const struct node_options options = {.cfg = cfg, .epoch = 1};
	fuzz_check(node_new(&options, &port, &n) == 0);
	n->run_ns = fuzz_take(&in, 1) & 1;
	while (fuzz_left(&in)) {
		uint64_t piece = fuzz_take(&in, 1);

		/* The guest reads, now and then. */
		if (piece & 128)
			n->typed_len = 0;
		if (obey_wants(n))
			lines += give(&n->commands, &in, piece & 127);
		obey_all(n);
		fuzz_check(n->typed_len <= sizeof(n->typed));
		fuzz_check(n->commands.len <= COMMAND_LINE_MAX);
	}
	phase_end(n);
	commands_close(&n->commands);
	/* One more for a line that was too long, which is told before it ends. */
	fuzz_check(answers.replies <= lines + 1);
	node_free(n);
	cluster_free(cfg);
	return 0;
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	static const char *const lines[] = {
		"{\"input\": \"ls\\r\"}\n",
		"{\"input\": \"\\u0000\\u00ff\", \"id\": 3}\n",
		"{\"command\": \"stats\", \"id\": 7}\n",
		"{\"command\": \"pause\", \"id\": -1}\n",
		"{\"command\": \"resume\"}\n",
		"{\"command\": \"stop\", \"id\": 10}\n",
		"[]\n",
		"\n",
	};

	data[0] = (uint8_t)fuzz_random(random);
	return 1 + fuzz_lines(random, data + 1, lines, ARRAY_SIZE(lines), 8, 128);
}
