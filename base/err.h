/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An error that a user reads: one line that names the thing and the way out.
 *
 * A function that meets something a user can mend takes a `struct err *` (never NULL), fills it
 * with err_set() and returns the same negative errno. The edge prints `err.text`.
 */
#ifndef SSIHV_BASE_ERR_H
#define SSIHV_BASE_ERR_H

#include "base/base.h"

struct err {
	char text[512];
};

/**
 * err_set() - describe a failure in one line
 * @err:  where to write; the text is truncated to fit
 * @code: negative errno, returned as it is
 * @fmt:  printf format without a trailing newline or full stop
 *
 * Return: @code, so that callers can write `return err_set(err, -EINVAL, ...)`.
 */
int err_set(struct err *err, int code, const char *fmt, ...) _printf_(3, 4);

#endif
