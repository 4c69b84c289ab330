/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameters and small text files.
 *
 * The kernel hands words with a dot that belong to no module to nobody, so `proof.xxx=value` is
 * read back from /proc/cmdline. A proof word that is unknown or has no value is an error that
 * fails the whole proof: a misspelt expectation must not pass silently.
 */
#include <fcntl.h>

#include "tests/guest/proof.h"

enum kind { UNSIGNED, REAL, TEXT };

struct param {
	const char *name;
	enum kind kind;
	size_t offset, size;
};

#define PARAM(field, kind)                                                                         \
	{                                                                                          \
#field, kind, offsetof(struct config, field), sizeof(((struct config *)0)->field)  \
	}

static const struct param params[] = {
	PARAM(scale, REAL),
	PARAM(seconds, UNSIGNED),
	PARAM(timeout, UNSIGNED),
	PARAM(expect_cpus, UNSIGNED),
	PARAM(expect_nodes, UNSIGNED),
	PARAM(distance, UNSIGNED),
	PARAM(distances, TEXT),
	PARAM(cpu_nodes, TEXT),
	PARAM(node_mib, TEXT),
	PARAM(sweep_percent, UNSIGNED),
	PARAM(sweep_mib, UNSIGNED),
	PARAM(sweep_passes, UNSIGNED),
	PARAM(reserve_kib, UNSIGNED),
	PARAM(clock_delay, UNSIGNED),
	PARAM(only, TEXT),
	PARAM(skip, TEXT),
	PARAM(sabotage, TEXT),
};

static bool param_set(struct config *config, const struct param *param, const char *value)
{
	void *field = (char *)config + param->offset;
	char *end;

	switch (param->kind) {
	case UNSIGNED:
		*(unsigned *)field = (unsigned)strtoul(value, &end, 10);
		return *value >= '0' && *value <= '9' && !*end;
	case REAL:
		*(double *)field = strtod(value, &end);
		return *value && !*end && *(double *)field > 0;
	case TEXT:
		if (strlen(value) >= param->size)
			return false;
		strcpy(field, value);
		return *value != 0;
	}
	return false;
}

static bool word_set(struct config *config, const char *name, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(params); i++)
		if (!strcmp(params[i].name, name))
			return value && param_set(config, &params[i], value);
	return false;
}

/* Reads every proof word of @text; the first one that is wrong is kept in config->error. */
void config_parse(struct config *config, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *save = NULL;

	for (char *word = strtok_r(copy, " \t\n", &save); word;
	     word = strtok_r(NULL, " \t\n", &save)) {
		char whole[sizeof(config->error)];
		char *value;

		if (strncmp(word, "proof.", 6))
			continue;
		snprintf(whole, sizeof(whole), "%s", word);
		value = strchr(word, '=');
		if (value)
			*value++ = 0;
		if (!word_set(config, word + 6, value) && !*config->error)
			memcpy(config->error, whole, sizeof(whole));
	}
}

/* Whether the comma-separated @list names the check or its group. */
bool list_has(const char *list, const char *group, const char *name)
{
	while (*list) {
		size_t len = strcspn(list, ",");

		if ((len == strlen(group) && !strncmp(list, group, len)) ||
		    (len == strlen(name) && !strncmp(list, name, len)))
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}

/* Decimal numbers separated by anything else; returns how many were found, at most @max. */
unsigned list_numbers(const char *list, unsigned max, unsigned *numbers)
{
	unsigned n = 0;

	while (n < max) {
		char *end;

		list += strcspn(list, "0123456789");
		if (!*list)
			break;
		numbers[n++] = (unsigned)strtoul(list, &end, 10);
		list = end;
	}
	return n;
}

/* The text of a small file of /proc or /sys; returns its length or a negative errno. */
int read_file(const char *path, char *text, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;

	if (fd < 0)
		return -errno;
	while (have < size - 1) {
		ssize_t got = read(fd, text + have, size - 1 - have);

		if (got < 0)
			return -errno;
		if (!got)
			break;
		have += (size_t)got;
	}
	text[have] = 0;
	return (int)have;
}
