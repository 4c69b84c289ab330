/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of the program share. Everything here runs in the one thread of the program. */
#ifndef SSIHV_CLI_CLI_H
#define SSIHV_CLI_CLI_H

#include "base/err.h"

enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_TIMEOUT = 124,
	STATUS_INTERRUPTED = 130,
};

/* One option of a verb: parsing and help are made from it. */
struct option_spec {
	const char *name;     /* without the dashes; NULL ends the table */
	char letter;	      /* 0: no short form */
	const char *argument; /* what help calls its value; NULL: it takes none */
	const char *help;     /* NULL: not shown */
};

struct verb {
	const char *name;
	const char *arguments; /* for help */
	const char *help;
	const struct option_spec *options; /* NULL: none */
	/* argv[0] is the verb. Return: the exit status. */
	int (*run)(int argc, char **argv);
};

extern const struct verb verb_run, verb_node, verb_acpi, verb_lab, verb_check_kvm, verb_config;
extern const struct verb verb_trace;

/* Position in a verb's arguments; start with {argc, argv, 1}. */
struct options {
	int argc;
	char **argv;
	int at;
	bool only_positional; /* "--" was seen */
	int status;	      /* with OPTIONS_STOP */
};

enum { OPTIONS_END = -1, OPTIONS_STOP = -2, OPTIONS_POSITIONAL = -3 };

/**
 * options_next() - take the next argument
 * @value: the option's value, or the positional argument
 *
 * -h and --help are options of every verb: they print its help.
 *
 * Return: the index in the verb's options, or OPTIONS_*. OPTIONS_STOP: the verb ends with
 * @o->status; a mistake was explained, or help was printed.
 */
int options_next(struct options *o, const struct verb *verb, const char **value);

/** verb_help() - the verb and its options, on standard output. */
void verb_help(const struct verb *verb);

/** option_is_json() - check the value of -o; a wrong one is explained. */
bool option_is_json(const struct verb *verb, const char *value);

/** usage_error() - one line about a wrong command line. Return: STATUS_USAGE. */
int usage_error(const char *fmt, ...) _printf_(1, 2);

/** failure() - one line about what went wrong. Return: STATUS_FAILED. */
int failure(const struct err *err);

/**
 * lab_tool_path() - where the source tree's lab/lab.py is
 *
 * The lab is not installed: it compiles, and caches what it boots below the source tree.
 *
 * Return: 0; -ENOENT when this program does not run from its build directory.
 */
int lab_tool_path(char *ret, size_t len);

/** own_path() - the absolute path of this program. Return: 0 or negative errno. */
int own_path(char *ret, size_t len);

#endif
