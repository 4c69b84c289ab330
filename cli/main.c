/* SPDX-License-Identifier: Apache-2.0 */
/* ssihv: one verb a file; this one finds the verb and prints the help of all. */
#include <fcntl.h>
#include <stdio.h>

#include "cli/cli.h"

static const struct verb *const verbs[] = {
	&verb_run, &verb_node, &verb_acpi, &verb_lab, &verb_check_kvm, &verb_config, &verb_trace,
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

static int no_verb(const char *name)
{
	return usage_error("there is no verb '%s'", name);
}

static int help(const char *name)
{
	const struct verb *one = name ? find_verb(name) : NULL;

	if (one) {
		verb_help(one);
		return STATUS_OK;
	}
	if (name)
		return no_verb(name);
	puts("ssihv: many hosts, one machine for one guest\n\nusage: ssihv VERB ...\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  ssihv %s %s\n      %s\n", verbs[i]->name, verbs[i]->arguments,
		       verbs[i]->help);
	puts("  ssihv help [VERB], ssihv VERB --help\n      this text, or one verb with its "
	     "options\n"
	     "  ssihv --version");
	return STATUS_OK;
}

/* What is opened later must not pass for a standard stream that we were started without. */
static void open_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	closep(&fd);
}

int main(int argc, char **argv)
{
	const struct verb *verb;

	open_standard_streams();
	if (argc < 2)
		return usage_error("no verb");
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "-h") == 0)
		return help(argc > 2 ? argv[2] : NULL);
	if (strcmp(argv[1], "--version") == 0) {
		puts("ssihv " SSIHV_VERSION);
		return STATUS_OK;
	}
	verb = find_verb(argv[1]);
	if (!verb)
		return no_verb(argv[1]);
	return verb->run(argc - 1, argv + 1);
}
