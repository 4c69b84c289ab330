/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/scarce.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/base.h"

static unsigned calls, failing; /* 0: none fails */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__real_getcwd(char *ret, size_t size);
char *__wrap_getcwd(char *ret, size_t size);
int __real_vasprintf(char **ret, const char *fmt, va_list args);
int __wrap_vasprintf(char **ret, const char *fmt, va_list args);
void *__real_cyaml_mem(void *ctx, void *at, size_t size);
void *__wrap_cyaml_mem(void *ctx, void *at, size_t size);

static bool fails_now(void)
{
	if (++calls != failing)
		return false;
	errno = ENOMEM;
	return true;
}

void scarce_begin(unsigned fails)
{
	calls = 0;
	failing = fails;
}

unsigned scarce_end(void)
{
	failing = 0;
	return calls;
}

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails_now() ? NULL : __real_calloc(count, size);
}

char *__wrap_strdup(const char *text)
{
	return fails_now() ? NULL : __real_strdup(text);
}

char *__wrap_getcwd(char *ret, size_t size)
{
	return fails_now() ? NULL : __real_getcwd(ret, size);
}

/* What it leaves in @ret when it fails is undefined: something that nobody may free. */
int __wrap_vasprintf(char **ret, const char *fmt, va_list args)
{
	if (!fails_now())
		return __real_vasprintf(ret, fmt, args);
	*ret = (char *)1;
	return -1;
}

/* libcyaml's, which frees with size 0. */
void *__wrap_cyaml_mem(void *ctx, void *at, size_t size)
{
	return size && fails_now() ? NULL : __real_cyaml_mem(ctx, at, size);
}
