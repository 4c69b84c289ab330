/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A check's result and its bounds. Called by the check's own thread; workers count in their own
 * memory and the check speaks for them after it has joined them.
 */
#include <stdarg.h>

#include "tests/guest/proof.h"

static _printf_(4, 0) void append(char *text, size_t size, const char *separator, const char *fmt,
				  va_list args)
{
	size_t have = strlen(text);

	if (have)
		have += (size_t)snprintf(text + have, size - have, "%s", separator);
	if (have < size)
		vsnprintf(text + have, size - have, fmt, args);
}

/* Adds words to the check's line. */
void check_note(struct check *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	append(c->details, sizeof(c->details), ", ", fmt, args);
	va_end(args);
}

/* The same, and the check has failed. */
void check_fail(struct check *c, const char *fmt, ...)
{
	va_list args;

	c->status = CHECK_FAILED;
	va_start(args, fmt);
	append(c->details, sizeof(c->details), ", ", fmt, args);
	va_end(args);
}

/* The check cannot run here, and why. */
void check_skip(struct check *c, const char *fmt, ...)
{
	va_list args;

	c->status = CHECK_SKIPPED;
	va_start(args, fmt);
	append(c->details, sizeof(c->details), ", ", fmt, args);
	va_end(args);
}

/* Adds fields `"key": value` to the machine-readable line. */
void check_json(struct check *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	append(c->json, sizeof(c->json), ", ", fmt, args);
	va_end(args);
}

/* Whether this check was told to spoil its own run, to show that it would notice. */
bool check_sabotaged(const struct check *c)
{
	return list_has(c->config->sabotage, c->group, c->name);
}

/* The scaled number of rounds, at least one. */
uint64_t check_rounds(const struct check *c, uint64_t base)
{
	double rounds = (double)base * c->config->scale;

	return rounds < 1 ? 1 : (uint64_t)rounds;
}

/* The CLOCK_MONOTONIC nanosecond at which @share of the time budget, from now, is used up. */
uint64_t check_deadline(const struct check *c, double share)
{
	double budget = c->config->seconds * c->config->scale * share;

	return clock_now_ns() + (uint64_t)(budget * (double)NSEC_PER_SEC);
}

bool check_needs_cpus(struct check *c, unsigned n)
{
	if (c->topo->n_cpus >= n)
		return true;
	check_skip(c, "needs %u CPUs, there is %u", n, c->topo->n_cpus);
	return false;
}
