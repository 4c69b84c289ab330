/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a verb, from its table: "--name VALUE", "--name=VALUE", "-x VALUE", "--". */
#include <stdarg.h>
#include <stdio.h>

#include "cli/cli.h"

int usage_error(const char *fmt, ...)
{
	va_list args;

	fputs("ssihv: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs("; `ssihv help` lists what there is\n", stderr);
	return STATUS_USAGE;
}

int failure(const struct err *err)
{
	fprintf(stderr, "ssihv: %s\n", err->text);
	return STATUS_FAILED;
}

static int find(const struct option_spec *specs, const char *word, size_t len, bool is_long)
{
	for (int i = 0; specs[i].name; i++) {
		if (is_long ? strlen(specs[i].name) == len && !memcmp(specs[i].name, word, len)
			    : specs[i].letter == word[0] && len == 1)
			return i;
	}
	return -1;
}

int options_next(struct options *o, const struct option_spec *specs, const char **value)
{
	if (o->at >= o->argc)
		return OPTIONS_END;

	const char *word = o->argv[o->at++];

	if (!o->only_positional && strcmp(word, "--") == 0) {
		o->only_positional = true;
		return options_next(o, specs, value);
	}
	if (o->only_positional || word[0] != '-' || !word[1]) {
		*value = word;
		return OPTIONS_POSITIONAL;
	}

	const bool is_long = word[1] == '-';
	const char *start = word + (is_long ? 2 : 1);
	const char *equals = is_long ? strchr(start, '=') : NULL;
	int i = find(specs, start, equals ? (size_t)(equals - start) : strlen(start), is_long);

	if (i < 0) {
		usage_error("%s: unknown option '%s'", o->argv[0], word);
		return OPTIONS_BAD;
	}
	if (!specs[i].argument) {
		if (!equals)
			return i;
		usage_error("%s: --%s takes no value", o->argv[0], specs[i].name);
		return OPTIONS_BAD;
	}
	*value = equals ? equals + 1 : o->at < o->argc ? o->argv[o->at++] : NULL;
	if (*value)
		return i;
	usage_error("%s: --%s wants a value: %s", o->argv[0], specs[i].name, specs[i].argument);
	return OPTIONS_BAD;
}
