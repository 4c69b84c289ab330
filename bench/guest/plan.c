/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "bench/guest/guest.h"

static int read_text(const char *path, char **ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = calloc(1, PLAN_MAX_TEXT);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	if (!text)
		return -ENOMEM;
	while (len < PLAN_MAX_TEXT - 1 && (n = read(fd, text + len, PLAN_MAX_TEXT - 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		return -errno;
	if (len == PLAN_MAX_TEXT - 1)
		return -E2BIG;
	*ret = TAKE_PTR(text);
	return 0;
}

static bool number(const char *text, unsigned max, unsigned *ret)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value > max)
		return false;
	*ret = (unsigned)value;
	return true;
}

static bool add_load(struct plan *plan, char **word, unsigned n)
{
	struct load *load = &plan->load[plan->n_loads];

	if (n != 3 || plan->n_loads == PLAN_MAX_LOADS || !number(word[2], 86400, &load->seconds))
		return false;
	load->name = word[1];
	plan->n_loads++;
	return true;
}

static bool add_run(struct plan *plan, char **word, unsigned n)
{
	static const char *const kinds[] = {"prepare", "server", "run"};
	struct load *load = plan->n_loads ? &plan->load[plan->n_loads - 1] : NULL;
	unsigned first = 2;

	if (!load || load->n_runs == PLAN_MAX_RUNS)
		return false;

	struct run *run = &load->run[load->n_runs];
	unsigned kind = 0;
	while (kind < ARRAY_SIZE(kinds) && strcmp(word[0], kinds[kind]))
		kind++;
	if (kind == ARRAY_SIZE(kinds) || n < 3)
		return false;
	run->kind = (enum run_kind)kind;
	run->cpu = PLAN_CPU_ANY;
	if (strcmp(word[1], "-") && !number(word[1], 4095, &run->cpu))
		return false;
	if (run->kind == RUN_SERVER && !number(word[first++], 65535, &run->port))
		return false;
	if (n <= first)
		return false;
	memcpy(run->argv, word + first, (n - first) * sizeof(*word));
	load->n_runs++;
	return true;
}

static bool add_line(struct plan *plan, char *line)
{
	char *word[PLAN_MAX_WORDS], *rest = line;
	unsigned n = 0;

	while (rest && n < PLAN_MAX_WORDS)
		word[n++] = strsep(&rest, "\t");
	if (rest)
		return false;
	return strcmp(word[0], "load") ? add_run(plan, word, n) : add_load(plan, word, n);
}

int plan_read(const char *path, struct plan **ret, unsigned *ret_line)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	int r = plan ? read_text(path, &plan->text) : -ENOMEM;

	*ret_line = 0;
	for (char *rest = r ? NULL : plan->text; rest && *rest;) {
		char *line = strsep(&rest, "\n");

		++*ret_line;
		if (*line && !add_line(plan, line)) {
			r = -EINVAL;
			break;
		}
	}
	if (r < 0)
		plan_free(plan);
	else
		*ret = plan;
	return r;
}

void plan_free(struct plan *plan)
{
	if (plan)
		free(plan->text);
	free(plan);
}
