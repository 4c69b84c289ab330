/* SPDX-License-Identifier: Apache-2.0 */
/* ssihv lab: hands its arguments to the lab's own program. */
#include <stdio.h>

#include "cli/cli.h"

static int run(int argc, char **argv)
{
	static const struct {
		const char *name, *passed;
	} verbs[] = {{"up", "up"}, {"run", "exec"}, {"down", "down"}, {"status", "status"}};
	_cleanup_free_ char **args = calloc((size_t)argc + 2, sizeof(*args));
	const char *passed = NULL;
	char tool[4096];

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		verb_help(&verb_lab);
		return STATUS_OK;
	}
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			passed = verbs[i].passed;
	if (!passed)
		return usage_error("lab wants one of up, run, down, status");
	if (lab_tool_path(tool, sizeof(tool)) < 0)
		return failure(&(struct err){"the lab is not installed: run the ssihv of a source "
					     "tree's build directory"});
	if (!args)
		return failure(&(struct err){"out of memory"});
	args[0] = "python3";
	args[1] = tool;
	args[2] = (char *)passed;
	for (int i = 2; i < argc; i++)
		args[i + 1] = argv[i];
	execvp(args[0], args);
	return failure(&(struct err){"python3 is not there; install it"});
}

const struct verb verb_lab = {
	.name = "lab",
	.arguments = "up N --dir DIR ... | run --dir DIR HOST -- COMMAND ... | down --dir DIR | "
		     "status --dir DIR",
	.help = "emulated hosts on this machine; `ssihv lab up --help` tells the options",
	.run = run,
};
