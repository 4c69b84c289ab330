/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a verb, from its table: "--name VALUE", "--name=VALUE", "-x VALUE", "--"; its help. */
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

static void print_option(const struct option_spec *o)
{
	char form[64];

	if (!o->help)
		return;
	if (o->letter)
		snprintf(form, sizeof(form), "-%c, --%s %s", o->letter, o->name, o->argument ?: "");
	else
		snprintf(form, sizeof(form), "--%s %s", o->name, o->argument ?: "");
	printf("      %-28s %s\n", form, o->help);
}

void verb_help(const struct verb *verb)
{
	printf("  ssihv %s %s\n      %s\n", verb->name, verb->arguments, verb->help);
	for (const struct option_spec *o = verb->options; o && o->name; o++)
		print_option(o);
}

bool option_is_json(const struct verb *verb, const char *value)
{
	if (strcmp(value, "json") == 0)
		return true;
	usage_error("%s: -o takes json, not '%s'", verb->name, value);
	return false;
}

static int stop(struct options *o, int status)
{
	o->status = status;
	return OPTIONS_STOP;
}

/* @word is "--name", "--name=value" or "-x". */
static int take_option(struct options *o, const struct verb *verb, const char *word,
		       const char **value)
{
	static const struct option_spec none = {NULL};
	const struct option_spec *specs = verb->options ?: &none;
	const bool is_long = word[1] == '-';
	const char *start = word + (is_long ? 2 : 1);
	const char *equals = is_long ? strchr(start, '=') : NULL;
	int i = find(specs, start, equals ? (size_t)(equals - start) : strlen(start), is_long);

	if (i < 0 && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
		verb_help(verb);
		return stop(o, STATUS_OK);
	}
	if (i < 0)
		return stop(o, usage_error("%s: unknown option '%s'", verb->name, word));
	if (!specs[i].argument) {
		if (!equals)
			return i;
		return stop(o, usage_error("%s: --%s takes no value", verb->name, specs[i].name));
	}
	*value = equals ? equals + 1 : o->at < o->argc ? o->argv[o->at++] : NULL;
	if (*value)
		return i;
	return stop(o, usage_error("%s: --%s wants a value: %s", verb->name, specs[i].name,
				   specs[i].argument));
}

int options_next(struct options *o, const struct verb *verb, const char **value)
{
	if (o->at >= o->argc)
		return OPTIONS_END;

	const char *word = o->argv[o->at++];

	if (!o->only_positional && strcmp(word, "--") == 0) {
		o->only_positional = true;
		return options_next(o, verb, value);
	}
	if (!o->only_positional && word[0] == '-' && word[1])
		return take_option(o, verb, word, value);
	*value = word;
	return OPTIONS_POSITIONAL;
}
